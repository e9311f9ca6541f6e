import GRDB
package import Multiformats

/// Why the store could not open, read or write; each case has what a person needs to act on it.
package enum MeshStoreError: Error, Hashable, Sendable {
    /// Another process, or another store of this process, holds the database.
    case inUse(path: String)
    /// The database stayed locked by another program for longer than the busy timeout.
    case locked(path: String)
    /// The file is another application's SQLite database.
    case foreignDatabase(path: String, applicationID: Int)
    /// The database belongs to the node with another identity.
    case otherNode(path: String, owner: String)
    /// The database was written by a newer version of this program.
    case newerSchema(path: String, found: Int, supported: Int)
    /// The file is not a database, or its pages contradict each other.
    case corrupt(path: String, detail: String)
    /// The file or its folder cannot be opened, read or written.
    case unreadable(path: String, detail: String)
    /// The disk, or the space that the configuration grants to the database, is used up; nothing of the commit was
    /// stored.
    case full(path: String)
    /// The blocks would exceed the configured total; nothing of the commit was stored.
    case blockSpaceUsedUp(bytesMax: Int)
    /// The thing to remove is still needed; the reason is for people.
    case needed(CID, reason: String)
    /// The file or folder is not kept.
    case notKept(CID)
    /// A block is larger than any block may be.
    case blockTooLarge(bytes: Int, bytesMax: Int)
    /// The bytes to store do not hash to the CID they came with.
    case blockMismatch(CID)
    /// A stored block no longer hashes to its CID; it is not served.
    case blockCorrupt(CID)
    /// A stored row no longer matches its checksum; it is not served.
    case recordCorrupt(table: String, row: Int64)
    /// The ledger row already exists with another amount; a movement is booked once and never changed.
    case ledgerConflict(jobID: CID?, kind: String)
    /// The next entry of the log has another number; each is given once.
    case logTaken(number: UInt64, size: UInt64)
    /// An amount or a time is larger than the database can hold.
    case numberTooLarge(UInt64)
    /// Too many commits are waiting for the disk; the limit is given in commits.
    case overloaded(waitingMax: Int)
    /// The store was closed.
    case closed
    /// Any other failure of SQLite, by its extended result code.
    case database(code: Int, detail: String)
}

extension MeshStoreError: CustomStringConvertible {
    /// One sentence for a person: what is wrong, and what to do next.
    package var description: String {
        switch self {
        case .inUse(let path):
            "The database \(path) is in use by another running node; stop that node or choose another --home."
        case .locked(let path):
            "The database \(path) is locked by another program; close that program and try again."
        case .foreignDatabase(let path, let applicationID):
            "\(path) is a database of another application (id \(applicationID)), not of mesh; "
                + "move it away or choose another --home."
        case .otherNode(let path, let owner):
            "The database \(path) belongs to the node \(owner), not to this node's key; "
                + "restore that node's key file or choose another --home."
        case .newerSchema(let path, let found, let supported):
            "The database \(path) has version \(found) and this program knows versions up to \(supported); "
                + "use a newer mesh."
        case .corrupt(let path, let detail):
            "The database \(path) is damaged (\(detail)); mesh restore makes a new home of a backup. "
                + "Never start an old copy of this home: it would sign a second history with the same key."
        case .unreadable(let path, let detail):
            "The database \(path) cannot be opened (\(detail)); check that this user may read and write it."
        case .full(let path):
            "The disk or the space granted to \(path) is full; free some space, nothing acknowledged was lost."
        case .blockSpaceUsedUp(let bytesMax):
            "The node's blocks already take the \(bytesMax) bytes granted to them; "
                + "see mesh gc and mesh rm, or raise limits.block_bytes_max in config.json."
        case .needed(let cid, let reason):
            "\(cid) is not removed: \(reason)."
        case .notKept(let cid): "\(cid) is not kept here; mesh pin ls lists what is."
        case .blockTooLarge(let bytes, let bytesMax):
            "The block has \(bytes) bytes and no block may have more than \(bytesMax)."
        case .blockMismatch(let cid):
            "The bytes do not hash to \(cid), so they were not stored."
        case .blockCorrupt(let cid):
            "The stored block \(cid) is damaged and was not served; add the file again to repair it."
        case .recordCorrupt(let table, let row):
            "Row \(row) of \(table) is damaged; mesh restore makes a new home of a backup."
        case .ledgerConflict(_, let kind):
            "The movement \(kind) is booked already with another amount; the ledger was left as it was."
        case .logTaken(let number, let size):
            "The log has \(size) entries, so entry \(number) was not written; if another program changed the database, "
                + "mesh restore makes a new home of a backup."
        case .numberTooLarge(let number):
            "\(number) is larger than the database can hold."
        case .overloaded(let waitingMax):
            "More than \(waitingMax) commits wait for the disk; try again in a moment."
        case .closed:
            "The store is closed."
        case .database(let code, let detail):
            "The database failed with SQLite code \(code): \(detail)."
        }
    }

    /// The typed error for what GRDB or a write threw.
    static func from(_ error: any Error, path: String) -> MeshStoreError {
        if let known = error as? MeshStoreError { return known }
        guard let failure = error as? DatabaseError else {
            return .corrupt(path: path, detail: "a row does not read as it was written")
        }
        let detail = failure.message ?? "no message"
        switch failure.extendedResultCode {
        case .SQLITE_IOERR_SHMSIZE:
            return .full(path: path)
        default:
            break
        }
        switch failure.resultCode {
        case .SQLITE_FULL:
            return .full(path: path)
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            return .corrupt(path: path, detail: detail)
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            return .locked(path: path)
        case .SQLITE_CANTOPEN, .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_AUTH:
            return .unreadable(path: path, detail: detail)
        default:
            return .database(code: Int(failure.extendedResultCode.rawValue), detail: detail)
        }
    }
}
