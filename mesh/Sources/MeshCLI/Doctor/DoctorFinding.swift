/// One thing that `mesh doctor` looked at.
struct DoctorFinding: Hashable, Encodable {
    /// How it stands. The raw values are part of the output.
    enum Verdict: String, Encodable {
        /// It is as it should be.
        case ok
        /// The node works, and its owner should know of it.
        case warn
        /// The node does not work, or not for long.
        case bad
    }

    /// What was looked at: a name for programs.
    let check: String
    let verdict: Verdict
    /// What was found, as a clause without a full stop.
    let detail: String
    /// What to do, as a sentence; nil where nothing is to be done.
    let remedy: String?

    static func ok(_ check: String, _ detail: String) -> DoctorFinding {
        DoctorFinding(check: check, verdict: .ok, detail: detail, remedy: nil)
    }

    static func warn(_ check: String, _ detail: String, _ remedy: String) -> DoctorFinding {
        DoctorFinding(check: check, verdict: .warn, detail: detail, remedy: remedy)
    }

    static func bad(_ check: String, _ detail: String, _ remedy: String) -> DoctorFinding {
        DoctorFinding(check: check, verdict: .bad, detail: detail, remedy: remedy)
    }
}
