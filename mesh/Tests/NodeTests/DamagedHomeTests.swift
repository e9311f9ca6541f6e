import Economics
import Foundation
import GRDB
import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import P2PTesting
import PeerIdentity
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// Homes of which a disk has changed a bit.
@Suite("Damaged homes", .serialized)
struct DamagedHomeTests {
    @Test(
        "With a bit flipped in a job's journal a node starts, leaves the job out and gives its hold back; others go on")
    func journal() async throws {
        var identities: [Identity] = []
        var jobs: [CID] = []
        var tokens: UInt64 = 0
        try await NodeMesh.run(prices: [10]) { mesh in
            identities = mesh.nodes.map(\.identity)
            for label in ["one", "two"] {
                let job = try await mesh.submit(try Assembler.command("(loop (br 0))")) { submission in
                    submission.label = label
                    submission.limits.maxFuel = 900_000_000_000
                    submission.limits.timeoutSeconds = 600
                }
                jobs.append(job)
                try await eventually("\(label) runs") { try await mesh.originator.job(job).phase == "Running" }
            }
            let wallet = try await mesh.originator.wallet(WalletQuery(limit: 1))
            #expect(Set(wallet.holds.map(\.jobID)) == Set(jobs.map(\.text)))
            tokens = wallet.available + wallet.held
        } afterwards: { folder in
            let homes = ["0", "1"].map { folder.appendingPathComponent($0).path }
            for home in homes { try Self.flipBit(inJournalOf: jobs[0], home) }
            try await expectLeftOut(jobs, home: homes[1], identities[1], role: .originator) { node in
                let wallet = try await node.wallet(WalletQuery(limit: 1))
                #expect(wallet.holds.map(\.jobID) == [jobs[1].text])
                #expect(wallet.available + wallet.held == tokens)
                #expect(wallet.entries.first?.kind == "refund" && wallet.entries.first?.jobID == jobs[0].text)
            }
            try await expectLeftOut(jobs, home: homes[0], identities[0], role: .executor) { _ in }
        }
    }

    /// Starts a node twice: the first start tells of the job, and the second has nothing to tell.
    private func expectLeftOut(
        _ jobs: [CID], home: String, _ identity: Identity, role: StoreRole, _ also: (MeshNode) async throws -> Void
    ) async throws {
        let first = try await NodeMesh.open(home, NodeMesh.loopback(), identity: identity)
        let status = try await first.status()
        let warning = try #require(status.journalWarning)
        #expect(warning.contains(jobs[0].text) && warning.contains("of its journal is damaged"), "\(warning)")
        #expect(!warning.contains(jobs[1].text))
        #expect(try await first.count("journals_left_out") == 1)
        #expect(await first.remembers(jobs[1], role))
        #expect(await !first.remembers(jobs[0], role))
        let journal = try await first.store.readableJournal(of: jobs[0], role: role)
        #expect(journal.damaged.count == 1 && journal.entries.count > 1, "its rows are kept")
        let listed = try #require(try await first.jobs(limit: 10).first { $0.jobID == jobs[0].text })
        #expect(listed.isTerminal && listed.phase == "Failed")
        #expect(listed.reason.hasPrefix("left out: row ") && listed.reason.hasSuffix("of its journal is damaged"))
        let told = try await first.explain(jobs[0])
        // That a run goes on is told once, however often its journal says so.
        let steps = try journal.entries.map { try JobEvent.decode($0.bytes).kind }.filter {
            if case .executionProgressed = $0 { true } else { false }
        }
        let repeated = zip(steps, steps.dropFirst()).count { $0 == $1 }
        #expect(told.lines.count == journal.entries.count - repeated + 1)
        #expect(told.lines.last?.text.contains("\(journal.damaged[0])") == true)
        try await also(first)
        try first.store.close()
        let second = try await NodeMesh.open(home, NodeMesh.loopback(), identity: identity)
        #expect(try await second.status().journalWarning == nil)
        #expect(await second.remembers(jobs[1], role))
        try await also(second)
        try second.store.close()
    }

    /// Changes one bit of the last event of a job, in the file.
    static func flipBit(inJournalOf job: CID, _ home: String) throws {
        let path = NodeHome(path: home).databasePath
        let queue = try DatabaseQueue(path: path)
        let event = try #require(
            try queue.read { db in
                try Data.fetchOne(
                    db, sql: "SELECT bytes FROM journal WHERE job_id = ? ORDER BY seq DESC LIMIT 1",
                    arguments: [Data(job.bytes)])
            })
        try queue.close()
        var file = try Data(contentsOf: URL(fileURLWithPath: path))
        let place = try #require(file.range(of: event))
        file[place.lowerBound + event.count / 2] ^= 0x10
        try file.write(to: URL(fileURLWithPath: path))
    }

    @Test(
        "The hold of a job whose journal is intact and does not read is kept as long as any job lasts, not longer"
    )
    func unknownJournals() async throws {
        let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: folder) }
        let first = try await NodeMesh.open(folder.path, NodeMesh.loopback())
        let jobs = (0..<3).map { CID.hashing([UInt8($0)], codec: .dagCBOR) }
        let now = NodeClock.wallClock.value
        // The second is of a week and an hour ago. Of the third only the hold is left.
        for (number, age) in [0, 7 * 86_400_000 + 3_600_000].enumerated() {
            let row = JobRow(
                jobID: jobs[number], role: .originator, status: "Running", isTerminal: false, submittedAt: now,
                updatedAt: now - UInt64(age))
            try await first.store.commit([
                .job(row),
                .journal(JournalEntry(jobID: jobs[number], role: .originator, kind: "new", at: 1, bytes: [0xFF])),
            ])
        }
        for job in jobs {
            let hold = LedgerEntry.hold(
                TokenAmount(500), job: JobID(job), assignment: job, at: NodeClock.wallClock)
            try await first.store.commit([.ledger(LedgerRow(hold, jobID: JobID(job)))])
        }
        try first.store.close()
        for start in 1...2 as ClosedRange<UInt64> {
            let node = try await NodeMesh.open(folder.path, NodeMesh.loopback(), identity: first.identity)
            let wallet = try await node.wallet(WalletQuery(limit: 10))
            #expect(wallet.holds.map(\.jobID) == [jobs[0].text])
            #expect(wallet.available == 1_000_000_000 - 500)
            #expect(Set(wallet.entries.filter { $0.kind == "refund" }.map(\.jobID)) == Set(jobs[1...].map(\.text)))
            #expect(try await node.status().journalWarning?.contains("its journal does not read") == true)
            #expect(try await node.count("journals_left_out") == 3 - start, "the second is closed")
            #expect(try await node.store.job(jobs[0], role: .originator)?.isTerminal == false)
            #expect(try await node.store.job(jobs[1], role: .originator)?.isTerminal == true)
            try node.store.close()
        }
    }

    @Test("Damaged receipts, rows of receipts and rows of peers are no reason not to start")
    func receipts() async throws {
        var identities: [Identity] = []
        var receipts: [CID] = []
        try await NodeMesh.run(prices: [10]) { mesh in
            identities = mesh.nodes.map(\.identity)
            for label in ["one", "two", "three"] {
                let job = try await mesh.submit(try Assembler.command("nop")) { $0.label = label }
                let result = try await mesh.result(of: job)
                #expect(result.ending == .succeeded, "\(result.detail)")
                receipts.append(try CID(named: try #require(result.receiptCID), "receipt"))
            }
        } afterwards: { folder in
            for (number, identity) in identities.enumerated() {
                let home = folder.appendingPathComponent("\(number)").path
                let queue = try DatabaseQueue(path: NodeHome(path: home).databasePath)
                try await queue.write { [receipts] db in
                    try db.execute(
                        sql: """
                            UPDATE blocks SET bytes = x'00' WHERE cid = ?;
                            UPDATE receipts SET cid = x'01' WHERE cid = ?;
                            INSERT INTO peers(peer_id, addresses, last_seen, misbehaviours, note)
                                VALUES (x'02', '', 1, 0, '')
                            """, arguments: [Data(receipts[0].bytes), Data(receipts[1].bytes)])
                }
                try queue.close()
                let node = try await NodeMesh.open(home, NodeMesh.loopback(), identity: identity)
                let kept = try await node.store.receipts().map(\.cid)
                #expect(Set(kept) == [receipts[0], receipts[2]])
                #expect(try await node.receipt(receipts[2]).receiptCID == receipts[2].text)
                #expect(try await node.jobs(limit: 10).count == 3)
                #expect(try await node.peers().count == identities.count - 1)
                try node.store.close()
            }
        }
    }
}

extension MeshNode {
    fileprivate func remembers(_ job: CID, _ role: StoreRole) -> Bool {
        switch role {
        case .originator: core.market.originatedJob(JobID(job)) != nil
        case .executor: core.market.executedJob(JobID(job)) != nil
        }
    }
}
