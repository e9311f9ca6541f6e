import Credit
import Foundation
import LibP2P
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// What a witness keeps of an issuer's book, of whom, and how much.
@Suite("A desk of a witness that keeps books", .serialized) struct ReplicaDeskTests {
    private let issuer = Identity.generate()
    private let other = Identity.generate()
    private let witness = Identity.generate()
    private let stranger = Identity.generate()
    private let officers = [Identity.generate(), Identity.generate()]
    private let opened = NodeClock.wallClock

    /// The databases of one test, one after the other at one place, beside a node that does nothing.
    private final class Home {
        let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
        let node: MeshNode
        private let owner: Identity
        private(set) var store: MeshStore
        var path: String { folder.appendingPathComponent("replicas.sqlite").path }

        init(_ owner: Identity, _ limits: StoreLimits) async throws {
            self.owner = owner
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            node = try await NodeMesh.open(
                folder.appendingPathComponent("node").path, NodeMesh.loopback(), identity: owner)
            store = try MeshStore(
                path: folder.appendingPathComponent("replicas.sqlite").path, owner: owner.did.text, limits: limits)
        }

        /// Closes the database, and opens it again after something was done to it.
        func reopen(_ change: (String) throws -> Void = { _ in }) throws {
            try store.close()
            try change(path)
            store = try MeshStore(path: path, owner: owner.did.text)
        }
    }

    private func withHome(
        _ limits: StoreLimits = StoreLimits(), _ body: (Home) async throws -> Void
    ) async throws {
        let home = try await Home(witness, limits)
        defer { try? FileManager.default.removeItem(at: home.folder) }
        try await NodeMesh.running([home.node]) { try await body(home) }
        try home.store.close()
    }

    /// The desk as a start makes it.
    private func desk(
        _ home: Home, _ change: (inout ReplicaDesk.Limits) -> Void = { _ in }
    ) async throws -> ReplicaDesk {
        var limits = ReplicaDesk.Limits()
        change(&limits)
        let desk = ReplicaDesk(
            identity: witness, store: home.store, host: home.node.swarm, issuers: [issuer.did, other.did],
            limits: limits)
        try await desk.load()
        return desk
    }

    private func charter(
        of signer: Identity? = nil, witnesses: [Identity]? = nil, openedAt: UnixMilliseconds? = nil
    ) throws -> [UInt8] {
        let signer = signer ?? issuer
        return try SignedObject.sign(
            IssuerCharter(
                issuerDID: signer.did, unit: CreditUnit(name: "hours", decimals: 2), officers: officers.map(\.did),
                approvals: 2, witnesses: (witnesses ?? [witness]).map(\.did), arbiters: [],
                openedAt: openedAt ?? opened), with: signer
        ).bytes
    }

    private func term(_ number: UInt64) -> BookTerm {
        BookTerm(number: number, life: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 16))
    }

    /// Entries that nobody can read, as a witness has them.
    private func batch(_ numbers: Range<UInt64>, _ number: UInt64 = 1, bytes: Int = 100) -> ReplicaBatch {
        ReplicaBatch(
            start: numbers.lowerBound,
            entries: numbers.map { entry in
                var commitment = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 32)
                commitment[0] = UInt8(truncatingIfNeeded: entry)
                commitment[1] = UInt8(truncatingIfNeeded: entry >> 8)
                return ReplicaEntry(
                    term: term(number), commitment: commitment, sealed: [UInt8](repeating: 7, count: bytes))
            })
    }

    private func head(of batches: [ReplicaBatch]) throws -> [UInt8] {
        var tree = MerkleTree()
        for entry in batches.flatMap(\.entries) { _ = tree.append(.leaf(entry.commitment)) }
        let checkpoint = try #require(Checkpoint(origin: IssuerLogName.of(issuer.did), head: TreeHead(tree)))
        return try checkpoint.signed(with: issuer).bytes
    }

    private func promise(_ number: UInt64, at desk: ReplicaDesk) async throws -> ReplicaAnswer {
        await desk.answer(.promise(term: term(number), charter: try charter()), from: issuer.peerID)
    }

    private func propose(
        _ batch: ReplicaBatch, _ number: UInt64 = 1, head: [UInt8]? = nil, at desk: ReplicaDesk
    ) async -> ReplicaAnswer {
        await desk.answer(.propose(term: term(number), head: head, batch: batch), from: issuer.peerID)
    }

    private func kept(from number: UInt64, at desk: ReplicaDesk) async -> ReplicaAnswer {
        await desk.answer(.kept(from: number), from: issuer.peerID)
    }

    private func reason(_ answer: ReplicaAnswer) -> ReplicaAnswer.Reason? {
        if case .refused(let reason, _) = answer { reason } else { nil }
    }

    private func text(_ answer: ReplicaAnswer) -> String {
        if case .refused(_, let text) = answer { text } else { "" }
    }

    // MARK: What is kept

    @Test("What was answered is on the disk: a start goes on with the promise, the batch, the head and its entries")
    func durable() async throws {
        try await withHome { (home: Home) async throws -> Void in
            let (first, second) = (batch(0..<3), batch(3..<5))
            let note = try head(of: [first])
            let begun = try await self.desk(home)
            #expect(await reason(propose(first, at: begun)) == .invalid, "the first question is for a promise")
            #expect(try await promise(1, at: begun) == .promised(head: nil, batch: nil))
            #expect(await propose(first, at: begun) == .accepted)
            try home.reopen()
            let again = try await self.desk(home)
            #expect(await kept(from: 0, at: again) == .entries(batch: batch(0..<0), more: false), "none has a head")
            #expect(await propose(first, at: again) == .accepted, "it is the same one")
            #expect(await propose(second, head: note, at: again) == .accepted)
            #expect(try await promise(3, at: again) == .promised(head: note, batch: second))
            try home.reopen()
            let third = try await self.desk(home)
            #expect(await propose(second, at: third) == .superseded(term: term(3)))
            #expect(try await promise(2, at: third) == .superseded(term: term(3)))
            #expect(try await promise(4, at: third) == .promised(head: note, batch: second))
            #expect(await kept(from: 0, at: third) == .entries(batch: first, more: false))
            // Entries that lead to a head come without a term.
            let fill = ReplicaQuestion.fill(head: try head(of: [first, second]), batch: second)
            #expect(await third.answer(fill, from: issuer.peerID) == .accepted)
            try home.reopen()
            let last = try await self.desk(home)
            #expect(await kept(from: 3, at: last) == .entries(batch: second, more: false))
        }
    }

    @Test("Questions that come at once are decided one after the other, and each answer is on the disk")
    func atOnce() async throws {
        try await withHome { (home: Home) async throws -> Void in
            let desk = try await self.desk(home)
            _ = try await promise(1, at: desk)
            let batches = (1...12 as ClosedRange<UInt64>).map { batch(0..<$0) }
            let answers = await withTaskGroup(of: ReplicaAnswer.self) { group in
                for batch in batches { group.addTask { await self.propose(batch, at: desk) } }
                var answers: [ReplicaAnswer] = []
                for await answer in group { answers.append(answer) }
                return answers
            }
            let areAccepted = answers.count == 12 && answers.allSatisfy { $0 == .accepted }
            #expect(areAccepted)
            try home.reopen()
            let again = try await self.desk(home)
            #expect(try await promise(2, at: again) == .promised(head: nil, batch: batch(0..<12)))
        }
    }

    @Test("Entries with a head come in pages of so many entries and bytes, to their issuer alone")
    func pages() async throws {
        try await withHome { (home: Home) async throws -> Void in
            let desk = try await self.desk(home)
            _ = try await promise(1, at: desk)
            let parts = [batch(0..<256), batch(256..<300), batch(300..<301, bytes: 300_000)]
            let large = batch(301..<302, bytes: 300_000)
            var before: [ReplicaBatch] = []
            for part in parts + [large, batch(302..<302)] {
                let note = try before.isEmpty ? nil : head(of: before)
                #expect(await propose(part, head: note, at: desk) == .accepted)
                before.append(part)
            }
            #expect(await kept(from: 0, at: desk) == .entries(batch: parts[0], more: true))
            #expect(await kept(from: 300, at: desk) == .entries(batch: parts[2], more: true), "two are too long")
            #expect(await kept(from: 301, at: desk) == .entries(batch: large, more: false))
            for end in [302, 303, 1 << 60] as [UInt64] {
                #expect(await kept(from: end, at: desk) == .entries(batch: batch(end..<end), more: false))
            }
            #expect(await reason(desk.answer(.kept(from: 0), from: other.peerID)) == .invalid, "it has no book here")
            #expect(await reason(desk.answer(.kept(from: 0), from: stranger.peerID)) == .notForYou)
        }
    }

    // MARK: Refusals

    @Test("Only an issuer that the owner named is kept, with a charter of its own that names this witness, for ever")
    func strangers() async throws {
        try await withHome { (home: Home) async throws -> Void in
            let desk = try await self.desk(home)
            func promised(_ charter: [UInt8], _ peer: Identity) async -> ReplicaAnswer.Reason? {
                await reason(desk.answer(.promise(term: term(1), charter: charter), from: peer.peerID))
            }
            #expect(try await promised(charter(of: stranger), stranger) == .notForYou)
            #expect(try await promised(charter(), stranger) == .notForYou)
            #expect(try await promised(charter(), other) == .invalid, "it is another issuer's")
            #expect(try await promised(charter(witnesses: [stranger]), issuer) == .invalid)
            #expect(await promised([], issuer) == .invalid)
            #expect(try await promised(charter(), issuer) == nil)
            let later = try charter(openedAt: opened.advanced(milliseconds: 1))
            #expect(await promised(later, issuer) == .invalid, "a charter stays")
            try home.reopen()
            let again = try await self.desk(home)
            let answer = await again.answer(.promise(term: term(2), charter: later), from: issuer.peerID)
            #expect(text(answer) == "This witness knows another charter of that issuer.")
            #expect(try await promise(2, at: again) == .promised(head: nil, batch: nil))
        }
    }

    @Test("A witness that was restored from a backup says so, of what it kept and what it may have kept since")
    func restored() async throws {
        try await withHome { (home: Home) async throws -> Void in
            let before = try await self.desk(home)
            let (first, second) = (batch(0..<3), batch(3..<5))
            _ = try await promise(1, at: before)
            #expect(await propose(first, at: before) == .accepted)
            let note = try head(of: [first])
            #expect(await propose(second, head: note, at: before) == .accepted)
            let now = NodeClock.wallClock
            try home.reopen { path in
                try StoreCopy.accept(path, owner: witness.did.text, madeAt: now.value - 1, at: now.value)
            }
            let desk = try await self.desk(home)
            #expect(try await reason(promise(2, at: desk)) == .restored)
            #expect(await reason(propose(second, 2, at: desk)) == .restored)
            let fill = ReplicaQuestion.fill(head: try head(of: [first, second]), batch: second)
            #expect(await reason(desk.answer(fill, from: issuer.peerID)) == .restored)
            #expect(await kept(from: 0, at: desk) == .entries(batch: first, more: false), "what it has it gives")
            // The backup knows nothing of this one, who may have been here since; but not before it was.
            func begin(_ openedAt: UnixMilliseconds) async throws -> ReplicaAnswer {
                let block = try charter(of: other, openedAt: openedAt)
                return await desk.answer(.promise(term: term(1), charter: block), from: other.peerID)
            }
            #expect(try await reason(begin(opened)) == .restored)
            #expect(try await begin(now.advanced(milliseconds: 60_000)) == .promised(head: nil, batch: nil))
        }
    }

    @Test("Books are bounded in number and bytes, and questions at once and in a second")
    func quotas() async throws {
        try await withHome { (home: Home) async throws -> Void in
            let few = try await self.desk(home) { $0.issuersMax = 1 }
            _ = try await promise(1, at: few)
            let second = ReplicaQuestion.promise(term: term(1), charter: try charter(of: other))
            let answer = await few.answer(second, from: other.peerID)
            #expect(reason(answer) == .full && text(answer).contains("the books of 1 issuers already"))
            #expect(try await promise(1, at: few) == .promised(head: nil, batch: nil), "one that is there is asked")
        }
        try await withHome { (home: Home) async throws -> Void in
            let small = try await self.desk(home) { $0.bytesPerIssuerMax = 1_000 }
            _ = try await promise(1, at: small)
            let (first, second) = (batch(0..<2, bytes: 250), batch(2..<4, bytes: 250))
            #expect(await propose(first, at: small) == .accepted)
            let (note, next) = (try head(of: [first]), try head(of: [first, second]))
            #expect(await propose(second, head: note, at: small) == .accepted)
            let answer = await propose(batch(4..<5), head: next, at: small)
            #expect(reason(answer) == .full && text(answer).contains("keeps 1000 bytes of a book"))
            // Nothing came of it.
            #expect(try await promise(2, at: small) == .promised(head: note, batch: second))
            #expect(await kept(from: 0, at: small) == .entries(batch: first, more: false))
        }
        try await withHome { (home: Home) async throws -> Void in
            let busy = try await self.desk(home) { $0.answeredAtOnceMax = 0 }
            let answer = try await promise(1, at: busy)
            #expect(reason(answer) == .full && text(answer).contains("0 questions are answered at once"))
        }
    }

    @Test("Of questions beyond a peer's rate, and those of strangers, none is read")
    func rates() async throws {
        try await withHome { (home: Home) async throws -> Void in
            let desk = try await self.desk(home) {
                ($0.questionsPerSecondPerPeerMax, $0.questionsBurstPerPeerMax) = (0, 2)
            }
            try await desk.begin(admitting: { _ in true }, blame: { _, _ in })
            func ask(as identity: Identity, times: Int) async throws {
                let path = home.folder.appendingPathComponent("asker-\(times)").path
                let asker = try await NodeMesh.open(path, NodeMesh.loopback(), identity: identity)
                try await NodeMesh.running([asker]) {
                    try await asker.swarm.connect(
                        to: witness.peerID, addresses: await home.node.swarm.listenAddresses())
                    let exchange = ReplicaExchange(host: asker.swarm)
                    for _ in 0..<times {
                        let answer = try await exchange.ask(.kept(from: 0), of: witness.peerID)
                        #expect(reason(answer) == .invalid)
                    }
                    await #expect(throws: ReplicaExchange.Failure.self) {
                        _ = try await exchange.ask(.kept(from: 0), of: witness.peerID)
                    }
                }
            }
            try await ask(as: issuer, times: 2)
            try await ask(as: stranger, times: 0)
        }
    }

    // MARK: The disk

    @Test("After a write that failed nothing is kept until the next start, which has all that was accepted")
    func fullDisk() async throws {
        var full = StoreLimits()
        (full.databasePagesMax, full.fullMillisecondsMax) = (300, 10)
        try await withHome(full) { (home: Home) async throws -> Void in
            let desk = try await self.desk(home)
            _ = try await promise(1, at: desk)
            // Each gives a head to what came before it.
            var accepted: [ReplicaBatch] = []
            var (last, newest) = (ReplicaAnswer.accepted, [UInt8]?.none)
            while last == .accepted, accepted.count < 64 {
                let number = UInt64(accepted.count)
                let next = batch(number..<number + 1, bytes: 60_000)
                let note = try accepted.isEmpty ? nil : head(of: accepted)
                last = await propose(next, head: note, at: desk)
                if last == .accepted {
                    accepted.append(next)
                    newest = note
                }
            }
            #expect(text(last) == "This witness could not write." && accepted.count > 2, "\(accepted.count)")
            #expect(try await text(promise(2, at: desk)).contains("until it starts again"))
            try home.reopen()
            let again = try await self.desk(home)
            let answer = try await promise(2, at: again)
            #expect(answer == .promised(head: newest, batch: accepted.last))
            guard case .entries(let page, _) = await kept(from: 0, at: again) else {
                Issue.record("it gives nothing")
                return
            }
            let told = accepted.dropLast().prefix(page.entries.count).flatMap(\.entries)
            #expect(!told.isEmpty && page.entries == told)
        }
    }

    @Test("A row that tells of entries which are not there is not written")
    func gaps() async throws {
        try await withHome { (home: Home) async throws -> Void in
            let store = home.store
            let row = ReplicaRow(
                issuer: issuer.did.text, charter: [1], promised: nil, size: 2, peaks: [], head: nil, batch: nil,
                bytes: 2, isRestored: false)
            func write(_ row: ReplicaRow, from start: UInt64, _ entries: [[UInt8]]) async throws {
                try await store.commit([.replica(.kept(row, from: start, entries: entries))])
            }
            for (start, entries) in [(0, [[1]]), (2, []), (1, [[1], [2]])] as [(UInt64, [[UInt8]])] {
                await #expect(throws: MeshStoreError.self) { try await write(row, from: start, entries) }
            }
            #expect(try await ReplicaRow.all(in: store).isEmpty)
            try await write(row, from: 0, [[1], [2]])
            await #expect(throws: MeshStoreError.self, "no entry changes") { try await write(row, from: 1, [[3]]) }
            var later = row
            later.promised = [5]
            try await write(later, from: 0, [])
            let rows = try await ReplicaRow.all(in: store)
            #expect(rows == [later])
            let found = try await ReplicaRow.entries(
                of: row.issuer, from: 0, limit: 9, bytesMax: 9, in: store)
            #expect(found == [[1], [2]])
        }
    }
}
