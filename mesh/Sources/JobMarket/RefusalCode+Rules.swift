import MeshTypes

extension RefusalCode {
    /// Whether a node may bid again after this refusal when the job is announced again: the bid only lost or came too
    /// late, and the chosen executor has failed since.
    var leavesJobOpen: Bool {
        self == .known(.biddingClosed) || self == .known(.otherBidTaken) || self == .known(.bidNotCommitted)
    }

    /// Whether an originator that refuses a status update with this code wants the run to stop: its job is over, or it
    /// does not know the job any more. One that gave the job to another executor does not: whoever delivers first is
    /// paid.
    var endsRun: Bool { self == .known(.jobOver) || self == .known(.assignmentUnknown) }
}
