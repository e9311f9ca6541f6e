import JobMarket
import MeshTypes
import Multiformats

extension SessionPort {
    /// The module's end of the session of a run that begins, or begins again after a restart of this node; nil where
    /// what its user did is not known any more.
    static func module(of order: ExecutionOrder, _ terms: SessionTerms, folder: String) -> SessionPort? {
        let (job, assignment) = (order.jobID, order.assignmentCID)
        guard terms.transcript != nil else { return SessionPort(job: job, assignment: assignment, side: .module) }
        let witness = SessionWitness(
            jobID: job, assignment: assignment, originator: order.manifest.originatorDID, side: .checks)
        guard SessionLog.exists(assignment.text, in: folder) else {
            // Without a log it cannot begin again, and is a session all the same.
            let log = SessionLog.begin(assignment.text, in: folder)
            return SessionPort(job: job, assignment: assignment, side: .module, witness: witness, log: log)
        }
        return SessionLog.goOn(assignment.text, in: folder).flatMap { log, records in
            SessionPort(job: job, assignment: assignment, witness: witness, log: log, records)
        }
    }
}
