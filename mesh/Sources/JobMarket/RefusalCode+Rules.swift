import MeshTypes

extension RefusalCode {
    /// Whether a bid that was refused so may be made anew when the job is announced again: it only lost or came too
    /// late, and whoever was taken has failed since.
    var leavesJobOpen: Bool { self == .known(.biddingClosed) || self == .known(.otherBidTaken) }

    /// Whether an originator that refuses a status update so wants the run to stop: its job is over, or it does not
    /// know of it any more. One that gave the job to another executor does not: whoever delivers first is paid.
    var endsRun: Bool { self == .known(.jobOver) || self == .known(.assignmentUnknown) }
}
