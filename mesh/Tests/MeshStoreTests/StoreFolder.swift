import Foundation
import GRDB
import Multiformats

@testable import MeshStore

/// A fresh folder for one test's database, removed with it.
final class StoreFolder: Sendable {
    static let owner = "did:key:z6MkowneR"
    let url: URL

    init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "mesh-store-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(at: url)
    }

    /// Takes away what came with versions 7 and 8.
    static let withoutOutcomes =
        withoutHeads + """
            DROP INDEX jobs_ended; DROP INDEX jobs_bids;
            ALTER TABLE jobs DROP COLUMN standard; ALTER TABLE jobs DROP COLUMN outcome;
            ALTER TABLE jobs DROP COLUMN outcome_detail; ALTER TABLE jobs DROP COLUMN winner_price;
            ALTER TABLE jobs DROP COLUMN payment;

            """

    /// Takes away what came with version 8.
    static let withoutHeads = """
        DROP INDEX journal_of_job; DROP INDEX journal_beginnings; DROP INDEX journal_of_head;
        ALTER TABLE journal DROP COLUMN head; CREATE INDEX journal_of_job ON journal(job_id, role, seq);

        """

    var path: String { url.appending(path: "mesh.sqlite").path }

    /// Changes the database behind the store's back.
    func change(_ sql: String) throws {
        let queue = try DatabaseQueue(path: path)
        try queue.write { try $0.execute(sql: sql) }
        try queue.close()
    }

    func open(
        owner: String = StoreFolder.owner, limits: StoreLimits = StoreLimits(),
        clock: @escaping @Sendable () -> UInt64 = MeshStore.systemTime
    ) throws -> MeshStore {
        try MeshStore(path: path, owner: owner, limits: limits, clock: clock)
    }
}

/// A block of a given size whose bytes differ by seed.
func block(_ seed: Int, size: Int = 100) -> (cid: CID, bytes: [UInt8]) {
    var bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: seed), count: size)
    withUnsafeBytes(of: seed.bigEndian) { bytes.replaceSubrange(0..<8, with: $0) }
    return (CID.hashing(bytes, codec: .raw), bytes)
}

/// A job's ID that differs by seed.
func jobID(_ seed: Int) -> CID {
    CID.hashing(Array("job \(seed)".utf8), codec: .dagCBOR)
}

/// A journal entry for a job.
func entry(_ seed: Int, kind: String = "bid_arrived", reason: String = "price 40 > max 30") -> JournalEntry {
    JournalEntry(
        jobID: jobID(seed), role: .originator, kind: kind, at: 1_700_000_000_000 + UInt64(seed), reason: reason,
        bytes: Array("event \(seed)".utf8))
}
