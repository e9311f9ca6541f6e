import Multiformats
import Synchronization

/// One side of a job.
struct JobSide: Hashable, Sendable {
    let jobID: CID
    let role: StoreRole
}

/// What the writing thread knows of jobs between transactions.
///
/// - The newest rows of open jobs. A job changes a dozen times on its way, and only listings read its row; so the store
///   writes its first row and its last one at once, and of those between only the newest: with the next transaction
///   after `StoreLimits.idleMilliseconds`, or with one that somebody waits for (`MeshStore.persisted`).
/// - Where journals begin, so that appending to one need not look that up.
final class JobMemory: Sendable {
    /// How the row of a side in the database compares with the newest one.
    fileprivate enum Standing: Sendable {
        /// It is the newest, and not of an open job; or nothing is remembered of it.
        case unknown
        /// It is the newest.
        case written
        /// This one is newer.
        case newer(JobRow)
    }

    fileprivate struct State {
        var beginnings: [JobSide: Int64] = [:]
        var written: Set<JobSide> = []
        var newer: [JobSide: JobRow] = [:]
        /// When the oldest of the newer rows came, in milliseconds since the Unix epoch.
        var since: UInt64?

        func standing(_ side: JobSide) -> Standing {
            if let row = newer[side] { return .newer(row) }
            return written.contains(side) ? .written : .unknown
        }
    }

    /// What one transaction changes; a transaction that fails leaves no trace.
    struct Draft: Sendable {
        fileprivate let memory: JobMemory
        /// The first positions of journals. Only a cache: what is missing is looked up.
        var beginnings: [JobSide: Int64]
        fileprivate let since: UInt64?
        fileprivate let remembered: Int
        fileprivate var changes: [JobSide: Standing] = [:]

        /// Takes a row; returns whether it has to be written now.
        mutating func mustWrite(_ row: JobRow, _ limits: StoreLimits) -> Bool {
            let side = JobSide(jobID: row.jobID, role: row.role)
            switch changes[side] ?? memory.state.withLock({ $0.standing(side) }) {
            case .written where !row.isTerminal, .newer where !row.isTerminal:
                changes[side] = .newer(row)
                return false
            default:
                let hasRoom = remembered + changes.count < limits.rememberedJobRowsMax
                changes[side] = row.isTerminal || !hasRoom ? .unknown : .written
                return true
            }
        }

        /// Whether the oldest newer row has waited for long enough.
        func isDue(at now: UInt64, _ limits: StoreLimits) -> Bool {
            guard let since else { return false }
            // A clock that was set back must not hold them back for longer.
            return now < since || now - since >= UInt64(limits.idleMilliseconds)
        }

        /// All newer rows, which the caller writes.
        mutating func takeNewer() -> [JobRow] {
            var newer = memory.state.withLock { $0.newer }
            for (side, standing) in changes {
                if case .newer(let row) = standing { newer[side] = row } else { newer[side] = nil }
            }
            for side in newer.keys { changes[side] = .written }
            return Array(newer.values)
        }
    }

    fileprivate let state = Mutex(State())

    /// What a transaction begins with; the writing thread has one transaction at a time.
    ///
    /// It takes the beginnings of journals away instead of copying them, so a failed transaction forgets them.
    func begin() -> Draft {
        state.withLock { state in
            defer { state.beginnings = [:] }
            return Draft(
                memory: self, beginnings: state.beginnings, since: state.since,
                remembered: state.written.count + state.newer.count)
        }
    }

    /// Keeps what a transaction changed that is on the disk.
    func keep(_ draft: Draft, at now: UInt64) {
        state.withLock { state in
            state.beginnings = draft.beginnings
            for (side, standing) in draft.changes {
                state.newer[side] = nil
                state.written.remove(side)
                switch standing {
                case .unknown: break
                case .written: state.written.insert(side)
                case .newer(let row): state.newer[side] = row
                }
            }
            state.since = state.newer.isEmpty ? nil : state.since ?? now
        }
    }

    /// Whether rows are newer than those in the database.
    var hasNewer: Bool { state.withLock { !$0.newer.isEmpty } }

    /// The newest row of a side, if it is newer than the one in the database.
    func newer(_ jobID: CID, _ role: StoreRole) -> JobRow? {
        state.withLock { $0.newer[JobSide(jobID: jobID, role: role)] }
    }
}
