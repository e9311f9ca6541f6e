import Foundation
import GRDB
import IPLD
import MeshStore
import MeshTypes
import Multiformats
import Testing

@testable import JobMarket

/// A home that another release wrote, built again from its text.
final class OldHome {
    /// The folder of homes in the repository.
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("OldHomes")
    /// The commits whose binaries wrote homes.
    static let commits = ["ea6c709", "486526a", "086cb68"]

    let source: URL
    let folder: URL
    let home: URL
    let owner: String

    init(of commit: String, _ name: String) throws {
        source = Self.root.appendingPathComponent("\(commit)/\(name)")
        folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        home = folder.appendingPathComponent(name)
        try FileManager.default.createDirectory(at: home, withIntermediateDirectories: true)
        for file in ["config.json", "identity.key"] {
            try FileManager.default.copyItem(
                at: source.appendingPathComponent(file), to: home.appendingPathComponent(file))
        }
        try FileManager.default.setAttributes(
            [.posixPermissions: 0o600], ofItemAtPath: home.appendingPathComponent("identity.key").path)
        let queue = try DatabaseQueue(path: home.appendingPathComponent("mesh.sqlite").path)
        let dump = try String(contentsOf: source.appendingPathComponent("mesh.sql"), encoding: .utf8)
        try queue.writeWithoutTransaction { try $0.execute(sql: dump) }
        let bytes = try queue.read { try Data.fetchOne($0, sql: "SELECT value FROM settings WHERE key = 'owner'") }
        owner = String(decoding: try #require(bytes), as: UTF8.self)
        try queue.close()
    }

    deinit {
        try? FileManager.default.removeItem(at: folder)
    }

    var database: String { home.appendingPathComponent("mesh.sqlite").path }

    /// Reads the database as it was written, with nothing of ours in between.
    func written<Value>(_ body: (Database) throws -> Value) throws -> Value {
        let queue = try DatabaseQueue(path: database)
        let value = try queue.read(body)
        try queue.close()
        return value
    }

    func open() throws -> MeshStore { try MeshStore(path: database, owner: owner) }

    /// What the release that wrote the home said of its jobs.
    func jobsThen() throws -> [[String: Any]] {
        try #require(try json("jobs.json") as? [[String: Any]])
    }

    /// What the release that wrote the home said of its money.
    func walletThen() throws -> [String: Any] {
        try #require(try json("wallet.json") as? [String: Any])
    }

    private func json(_ name: String) throws -> Any {
        try JSONSerialization.jsonObject(with: Data(contentsOf: source.appendingPathComponent(name)))
    }
}

/// Homes written by earlier releases open with all that they hold.
@Suite("Old homes", .serialized)
struct OldHomeTests {
    private static let blockCounts = [
        "ea6c709": ["originator": 22, "executor": 21], "486526a": ["originator": 21, "executor": 21],
        "086cb68": ["originator": 24, "executor": 21],
    ]
    private static let eventCounts = [
        "ea6c709": ["originator": 43, "executor": 25], "486526a": ["originator": 43, "executor": 25],
        "086cb68": ["originator": 40, "executor": 23],
    ]

    @Test("Each home of the repository is tried")
    func homes() throws {
        let folders = try FileManager.default.contentsOfDirectory(atPath: OldHome.root.path)
        #expect(Set(folders).subtracting(["README.md", "schemas.sql"]) == Set(OldHome.commits))
    }

    @Test(
        "The store has every block, event, job, movement, receipt, peer and setting",
        arguments: OldHome.commits, ["originator", "executor"])
    func store(commit: String, name: String) async throws {
        let old = try OldHome(of: commit, name)
        let blocks = try old.written { db in
            try Row.fetchAll(db, sql: "SELECT cid, bytes FROM blocks").map { ($0["cid"] as Data, $0["bytes"] as Data) }
        }
        let events = try old.written { try Row.fetchAll($0, sql: "SELECT seq, bytes FROM journal ORDER BY seq") }
            .map { ($0["seq"] as Int64, $0["bytes"] as Data) }
        let movements = try old.written {
            try Row.fetchAll($0, sql: "SELECT debit, credit, amount, kind, reference, at FROM ledger ORDER BY seq")
        }
        let receipts = try old.written { try Row.fetchAll($0, sql: "SELECT cid, status, verified FROM receipts") }
            .map { ($0["cid"] as Data, $0["status"] as String, $0["verified"] as Bool?) }
        let peers = try old.written { try Row.fetchAll($0, sql: "SELECT peer_id, last_seen FROM peers") }
            .map { ($0["peer_id"] as Data, $0["last_seen"] as UInt64) }
        let balances = try old.written { try Row.fetchAll($0, sql: "SELECT account, amount FROM balances") }
            .map { ($0["account"] as String, $0["amount"] as Int64) }
        let heads = try old.written {
            try Data.fetchOne($0, sql: "SELECT value FROM settings WHERE key = 'anchor_heads'")
        }
        #expect(blocks.count == Self.blockCounts[commit]?[name])
        #expect(events.count == Self.eventCounts[commit]?[name])
        #expect(receipts.count == 2)
        #expect(peers.count == 1)

        let store = try old.open()
        #expect(store.counters.blocks == blocks.count)
        for (cid, bytes) in blocks {
            #expect(try await store.block(try CID(bytes: [UInt8](cid))) == [UInt8](bytes))
        }
        let kept = try await store.journal(after: 0)
        #expect(kept.map(\.sequence) == events.map(\.0))
        for (entry, (_, bytes)) in zip(kept, events) {
            #expect(entry.bytes == [UInt8](bytes))
            let event = try JobEvent.decode(entry.bytes)
            #expect(event.jobID.cid == entry.jobID && event.kindName == entry.kind)
        }
        let ledger = try await store.ledger()
        #expect(ledger.map(\.debit) == movements.map { $0["debit"] as String })
        #expect(ledger.map(\.credit) == movements.map { $0["credit"] as String })
        #expect(ledger.map(\.amount) == movements.map { $0["amount"] as UInt64 })
        #expect(ledger.map(\.reference) == movements.map { $0["reference"] as String })
        for (cid, status, verified) in receipts {
            let row = try #require(try await store.receipt(try CID(bytes: [UInt8](cid))))
            #expect(row.status == status && row.isVerified == verified && verified == true)
        }
        for (peer, lastSeen) in peers {
            let row = try #require(try await store.peers().first { $0.peerID.bytes == [UInt8](peer) })
            #expect(row.lastSeen == lastSeen && !row.addresses.isEmpty)
        }
        #expect(try await store.balances().map(\.account).sorted() == balances.map(\.0).sorted())
        #expect(try await store.balances().map(\.amount).sorted() == balances.map(\.1).sorted())
        #expect(try await store.setting("anchor_heads") == heads.map { [UInt8]($0) })
        for then in try old.jobsThen() {
            let id = try CID(parsing: try #require(then["job_id"] as? String))
            let row = try #require(try await store.job(id, role: name == "originator" ? .originator : .executor))
            #expect(row.status == then["phase"] as? String)
            #expect(row.price == (then["price"] as? NSNumber)?.uint64Value)
        }
        if name == "originator" { #expect(try await store.job(idempotencyKey: "old-said") != nil) }
        #expect((try await filesMadePublic(in: store) > 0) == (name == "originator"))
        try store.close()
    }

    /// Nothing is public before its owner says so, and what was kept then can be; how many files that are.
    private func filesMadePublic(in store: MeshStore) async throws -> Int {
        let files = try await store.roots(files: true, limit: 100)
        for file in files {
            #expect(try await PublicBlock.of(file.cid, in: store) == .none)
            try await store.commit([.publication(root: file.cid, isOpen: true)])
            let bytes = try #require(try await store.block(file.cid))
            #expect(try await PublicBlock.of(file.cid, in: store) == .here(bytes))
        }
        #expect(try await PublicBlock.rootCount(in: store) == files.count)
        return files.count
    }

    /// What does not change of a job that had ended.
    private static let lasting = [
        "job_id", "role", "phase", "status", "label", "reason", "price", "submitted_at", "counterparty_did",
    ]

    /// Whether what was known then is still so; a result or a movement may have more keys now.
    private func same(_ now: [String: Any], _ then: [String: Any], _ keys: [String]) -> Bool {
        keys.allSatisfy { key in
            if let known = then[key] as? [String: Any], let found = now[key] as? [String: Any] {
                return same(found, known, Array(known.keys))
            }
            return (now[key] as? NSObject) == (then[key] as? NSObject)
        }
    }

    @Test(
        "The originator's node lists, explains and verifies what it had, and ends what was open without losing money",
        arguments: OldHome.commits)
    func originator(commit: String) throws {
        let old = try OldHome(of: commit, "originator")
        let node = NodeProcess(home: old.home)
        try node.start()
        try node.waitUntilUp()
        var receipts: [String] = []
        for then in try old.jobsThen() where then["terminal"] as? Bool == true {
            let id = try #require(then["job_id"] as? String)
            let now = try #require(try node.job(id), "\(id) is gone")
            #expect(same(now, then, Self.lasting), "\(now)\n\(then)")
            let told = try #require(try node.run(["explain", id, "--json"]).json() as? [String: Any])
            let job = try #require(told["job"] as? [String: Any])
            #expect(same(job, then, Self.lasting + ["result", "updated_at", "terminal"]), "\(job)\n\(then)")
            let result = try #require(then["result"] as? [String: Any])
            receipts.append(try #require(result["receipt_cid"] as? String))
            if let stdout = result["stdout_cid"] as? String {
                let copy = old.folder.appendingPathComponent("stdout")
                #expect(try node.run(["get", stdout, "--output", copy.path]).status == 0)
                #expect(try String(contentsOf: copy, encoding: .utf8) == "kept\n")
            }
        }
        try #require(receipts.count == 2)
        for receipt in receipts {
            for what in ["verify", "replay"] {
                let report = try node.run(["receipt", what, receipt])
                let verdict =
                    what == "verify"
                    ? "The receipt holds.\n" : "The run was repeated here, with the same outcome, outputs, "
                #expect(report.output.contains("\n\(verdict)"), "\(what): \(report.output)\(report.errors)")
            }
        }
        let first = try #require(try old.jobsThen().last)
        let receipt = try #require((first["result"] as? [String: Any])?["receipt_cid"] as? String)
        let shown = try #require(try node.run(["receipt", "show", receipt, "--json"]).json() as? [String: Any])
        let module = try #require(shown["module_cid"] as? String)
        let input = old.folder.appendingPathComponent("stdin")
        try Data("what went in\n".utf8).write(to: input)
        let again = try node.run(
            ["run", module, "--stdin", input.path, "--idempotency-key", "old-said", "--json"])
        #expect(try (again.json() as? [String: Any])?["job_id"] as? String == first["job_id"] as? String)
        try eventually("what was open has ended") {
            let jobs = try #require(try node.run(["jobs", "--json"]).json() as? [[String: Any]])
            return jobs.count == 4 && jobs.allSatisfy { $0["terminal"] as? Bool == true }
        }
        let then = try old.walletThen()
        let wallet = try #require(try node.run(["wallet", "--json", "--entries", "1000"]).json() as? [String: Any])
        #expect((wallet["holds"] as? [Any])?.isEmpty == true)
        #expect(wallet["paid"] as? NSNumber == then["paid"] as? NSNumber)
        let available = try #require(wallet["available"] as? NSNumber).int64Value
        let before = try #require(then["available"] as? NSNumber).int64Value
        #expect(available == before + (try #require(then["held"] as? NSNumber)).int64Value)
        let entries = try #require(wallet["entries"] as? [[String: Any]])
        for entry in try #require(then["entries"] as? [[String: Any]]) {
            #expect(entries.contains { same($0, entry, Array(entry.keys)) }, "\(entry)")
        }
        node.kill()
    }

    @Test(
        "The executor's node keeps its income and receipts, and ends the run that was cut off with one more receipt",
        arguments: OldHome.commits)
    func executor(commit: String) async throws {
        let old = try OldHome(of: commit, "executor")
        let node = NodeProcess(home: old.home)
        try node.start()
        try node.waitUntilUp()
        var cutOff = ""
        for then in try old.jobsThen() {
            let id = try #require(then["job_id"] as? String)
            if then["phase"] as? String == "Running" { cutOff = id }
            guard then["phase"] as? String == "ReceiptAnchored" else { continue }
            let now = try #require(try node.job(id), "\(id) is gone")
            #expect(same(now, then, Self.lasting), "\(now)\n\(then)")
        }
        try eventually("the run that was cut off has its receipt") {
            try node.job(cutOff)?["phase"] as? String == "ReceiptAnchored"
        }
        let reason = try #require(try node.job(cutOff)?["reason"] as? String)
        #expect(reason.contains("the executor restarted after its lease was over"))
        let then = try old.walletThen()
        let wallet = try #require(try node.run(["wallet", "--json", "--entries", "1000"]).json() as? [String: Any])
        for key in ["available", "earned", "paid", "held"] {
            #expect(wallet[key] as? NSObject == then[key] as? NSObject, "\(key)")
        }
        let entries = try #require(wallet["entries"] as? [[String: Any]])
        let known = try #require(then["entries"] as? [[String: Any]])
        #expect(entries.count == known.count && !known.isEmpty)
        for (entry, before) in zip(entries, known) {
            #expect(same(entry, before, Array(before.keys)), "\(entry)")
        }
        node.kill()
        let store = try old.open()
        let receipts = try await store.receipts()
        #expect(receipts.count == 3 && receipts.allSatisfy { $0.isVerified == true })
        let bytes = try #require(try await store.setting("anchor_heads"))
        let heads = try DAGCBORDecoder().decode(AnchorHeadsV1.self, from: bytes)
        #expect(heads.scope == "global" && heads.heads.count == 1)
        #expect(heads.height == 2, "the third receipt is anchored behind the two that were there")
        let log = try await AnchoredRow.newest(limit: 10, in: store)
        #expect(log.map(\.number) == [2, 1, 0], "the entries of before are the log's first")
        #expect(log.first?.entry == heads.heads.first)
        try store.close()
    }
}
