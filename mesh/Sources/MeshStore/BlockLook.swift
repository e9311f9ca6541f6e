import GRDB
import Multiformats

/// What a look at a block finds: its bytes are held against the CID.
enum BlockLook: Sendable {
    case intact([UInt8])
    case missing
    case damaged

    /// Looks at a block as the rows of this transaction know it.
    init(at cid: CID, in packs: BlockPacks, _ db: Database) throws {
        let bytes: [UInt8]?
        switch try PackedRows.home(of: cid, db) {
        case .database(let found): bytes = found
        case .pack(let extent): bytes = packs.read(extent.count, at: extent.place)
        case nil:
            self = .missing
            return
        }
        if let bytes, cid.matches(bytes) { self = .intact(bytes) } else { self = .damaged }
    }

    /// The bytes, if they are intact.
    var bytes: [UInt8]? {
        guard case .intact(let bytes) = self else { return nil }
        return bytes
    }

    /// The bytes as newer rows know them, after a look that found damage: a block that was deleted between its row and
    /// its bytes is missing, and not damaged.
    static func again(at cid: CID, in packs: BlockPacks, _ db: Database) throws -> [UInt8]? {
        switch try Self(at: cid, in: packs, db) {
        case .intact(let bytes): return bytes
        case .missing: return nil
        case .damaged: throw MeshStoreError.blockCorrupt(cid)
        }
    }
}
