package import Economics
import IPLD
package import MeshTypes

/// Which of the two parties of a job a journal belongs to.
package enum JobRole: String, Hashable, Sendable, Codable, CaseIterable {
    /// The node that asked for the job.
    case originator
    /// A node that bid on it or runs it.
    case executor
}

/// One row of a job's journal. The state of a job is the fold of its events, and `explanation` puts one into words.
package struct JobEvent: Hashable, Sendable {
    /// The job.
    package var jobID: JobID
    /// Whose journal it is.
    package var role: JobRole
    /// When it happened, on this node's wall clock.
    package var at: UnixMilliseconds
    /// What happened.
    package var kind: JobEventKind
    /// Its ledger entries, written in the same transaction.
    package var ledger: [LedgerEntry]

    package init(jobID: JobID, role: JobRole, at: UnixMilliseconds, kind: JobEventKind, ledger: [LedgerEntry] = []) {
        self.jobID = jobID
        self.role = role
        self.at = at
        self.kind = kind
        self.ledger = ledger
    }

    /// The name of the kind, for the column of the journal.
    package var kindName: String { kind.name }

    /// The event as DAG-CBOR, for the journal.
    package func encoded() throws(JobEventError) -> [UInt8] {
        do {
            return try JournalRow(self).encoded()
        } catch {
            throw .notEncodable(CodingWords.of(error))
        }
    }

    /// The event encoded in these bytes of the journal.
    package static func decode(_ bytes: [UInt8]) throws(JobEventError) -> JobEvent {
        let row: JournalRow
        do {
            row = try DAGCBORDecoder().decode(JournalRow.self, from: bytes)
        } catch {
            throw .notDecodable(CodingWords.of(error))
        }
        return try row.event()
    }
}

/// Why an event cannot be encoded, decoded or applied to a state.
package enum JobEventError: Error, Hashable, Sendable {
    /// The event cannot be written.
    case notEncodable(String)
    /// The bytes are not an event of this version.
    case notDecodable(String)
    /// A signed object inside the event cannot be read: somebody changed the journal.
    case evidenceUnreadable(event: String)
    /// The journal of a job lacks its beginning.
    case jobUnknown(event: String)
    /// The ledger refuses the event's entries.
    case ledger(LedgerRefusal)
}

extension JobEventError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .notEncodable(let reason): "the event cannot be written: \(reason)"
        case .notDecodable(let reason): "the event does not read: \(reason)"
        case .evidenceUnreadable(let event): "the evidence of the event \(event) does not read"
        case .jobUnknown(let event): "the job of the event \(event) is unknown"
        case .ledger(let refusal): "\(refusal)"
        }
    }
}
