import GRDB
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import P2PTesting
import PeerIdentity
import Receipts
import SignedObjects
import Synchronization
import Testing

@testable import PlanetaryMesh

/// A node as a witness: what it keeps, and what it says after a restart.
@Suite struct WitnessDeskTests {
    private let witness: Identity
    private let author: Identity

    init() throws {
        witness = try Identity(seed: [UInt8](repeating: 8, count: 32))
        author = try Identity(seed: [UInt8](repeating: 9, count: 32))
    }

    private func withStore(_ body: (MeshStore) async throws -> Void) async throws {
        try await withStoreAndPath { store, _ in try await body(store) }
    }

    private func withStoreAndPath(_ body: (MeshStore, String) async throws -> Void) async throws {
        let folder = try TestFolder()
        let path = folder.path + "/mesh.sqlite"
        let store = try MeshStore(path: path, owner: witness.did.text)
        try await body(store, path)
        try store.close()
    }

    /// Makes the database refuse what is put into a table, or not any more.
    private func refuse(_ isRefused: Bool, _ table: String, _ path: String) async throws {
        let queue = try DatabaseQueue(path: path)
        let sql =
            isRefused
            ? "CREATE TRIGGER refusing BEFORE INSERT ON \(table) BEGIN SELECT RAISE(ABORT, 'refused'); END"
            : "DROP TRIGGER refusing"
        try await queue.write { try $0.execute(sql: sql) }
        try queue.close()
    }

    /// SHA-256 of the name of the author's log.
    private func originHash() -> String {
        let origin = AnchorEntry.logName(of: author.did, scope: "global", openedAt: nil)
        return Multibase.encodeWithoutPrefix(
            Array(CID.hashing(Array(origin.utf8), codec: .raw).multihash.digest), .base16)
    }

    private func desk(
        _ store: MeshStore, at seconds: UInt64 = 1_000, _ change: (inout WitnessDesk.Limits) -> Void = { _ in }
    ) -> WitnessDesk {
        desk(store, { seconds }, change)
    }

    private func desk(
        _ store: MeshStore, _ clock: @escaping @Sendable () -> UInt64,
        _ change: (inout WitnessDesk.Limits) -> Void = { _ in }, warn: @escaping @Sendable (String) -> Void = { _ in }
    ) -> WitnessDesk {
        var limits = WitnessDesk.Limits()
        change(&limits)
        return WitnessDesk(
            identity: witness, store: store, authors: [author.did], limits: limits, clock: clock, warn: warn)
    }

    /// The time in the cosignature of an answer to a request, if the witness's key made it; nil if not.
    private func time(_ answer: WitnessAnswer, to request: [UInt8], by desk: WitnessDesk) async throws -> UInt64? {
        let growth = try #require(LogGrowth(bytes: request))
        let key = try #require(NoteKey(text: try await desk.view().key))
        guard answer.status == 200, let note = SignedNote(bytes: Array((growth.note.text + "\n").utf8) + answer.body),
            note.isSigned(by: key) == true
        else { return nil }
        return note.signatures.first.flatMap { Cosignature($0.bytes)?.time }
    }

    /// A request about a log with some leaves, from a size that it had.
    private func request(
        from size: Int, to leaves: [UInt8], by signer: Identity? = nil, scope: String = "global",
        openedAt: UInt64? = nil
    ) throws -> [UInt8] {
        let signer = signer ?? author
        var tree = MerkleTree()
        var hashes: [HashPlace: MerkleHash] = [:]
        for (index, leaf) in leaves.enumerated() {
            for (level, hash) in tree.append(.leaf([leaf])).enumerated() {
                hashes[HashPlace(level: UInt64(level), index: UInt64(index) >> UInt64(level))] = hash
            }
        }
        let origin = AnchorEntry.logName(
            of: signer.did, scope: scope, openedAt: openedAt.map { UnixMilliseconds($0) })
        let checkpoint = try #require(Checkpoint(origin: origin, head: TreeHead(tree)))
        let plan = ProofPlan.consistency(of: UInt64(size), in: tree.size)
        return LogGrowth(
            oldSize: UInt64(size), hashes: plan?.proof(of: hashes) ?? [], note: try checkpoint.signed(with: signer)
        ).bytes
    }

    /// The status of the answer to a request.
    private func status(
        _ desk: WitnessDesk, from size: Int, to leaves: [UInt8], by signer: Identity? = nil, openedAt: UInt64? = nil
    ) async throws -> Int {
        await desk.addCheckpoint(try request(from: size, to: leaves, by: signer, openedAt: openedAt)).status
    }

    @Test func twoHistoriesAreAProofAndNotOnlyARefusal() async throws {
        try await withStore { store async throws in
            let desk = desk(store)
            let (told, tell) = AsyncStream.makeStream(of: LogFork.self, bufferingPolicy: .bufferingNewest(8))
            await desk.tellForks { _ = tell.yield($0) }
            #expect(try await status(desk, from: 0, to: [1, 2, 3]) == 200)
            #expect(try await status(desk, from: 2, to: [1, 2, 3, 4]) == 409)
            #expect(try await status(desk, from: 3, to: [1, 2, 4]) == 422)
            #expect(try await status(desk, from: 3, to: [1, 2, 4, 5]) == 422)
            tell.finish()
            var forks: [LogFork] = []
            for await fork in told { forks.append(fork) }
            #expect(forks.map(\.author) == [author.did, author.did])
            for fork in forks { #expect(try LogFork(verifying: fork.bytes) == fork) }
        }
    }

    @Test func anAuthorOfTwoHistoriesIsCosignedNoMore() async throws {
        try await withStore { store in
            let desk = desk(store)
            #expect(try await status(desk, from: 0, to: [1, 2, 3]) == 200)
            await desk.renounce(Identity.generate().did)
            #expect(try await status(desk, from: 3, to: [1, 2, 3, 4]) == 200)
            await desk.renounce(author.did)
            let answer = await desk.addCheckpoint(try request(from: 4, to: [1, 2, 3, 4, 5]))
            #expect(answer.status == 403)
            #expect(
                String(decoding: answer.body, as: UTF8.self)
                    == "Its author told two histories of it, which is proved: it is cosigned no more.\n")
        }
    }

    @Test func aHeadIsCosignedWithTheTime() async throws {
        try await withStore { store in
            let desk = desk(store, at: 1_234)
            let request = try request(from: 0, to: [1, 2, 3])
            let answer = await desk.addCheckpoint(request)
            #expect(try await time(answer, to: request, by: desk) == 1_234)
            #expect(try await desk.view().authors == [author.did.text])
        }
    }

    @Test func answersHaveTheFormOfTheSpecification() async throws {
        try await withStore { store in
            let desk = desk(store)
            #expect(try await status(desk, from: 0, to: [1, 2, 3]) == 200)
            let other = await desk.addCheckpoint(try request(from: 2, to: [1, 2, 3, 4]))
            #expect(other == WitnessAnswer(409, Array("3\n".utf8), type: "text/x.tlog.size"))
            #expect(try await status(desk, from: 3, to: [1, 2, 9, 4]) == 422)
            #expect(try await status(desk, from: 0, to: [1], by: witness) == 404)
            #expect(await desk.addCheckpoint(Array("old 0\n".utf8)).status == 400)
        }
    }

    @Test func theKeyIsOfTheDatabaseAndNotOfTheNode() async throws {
        var keys: Set<String> = []
        for _ in 0..<2 {
            try await withStore { store in
                let key = try await desk(store).view().key
                #expect(try await desk(store).view().key == key, "it stays over a restart")
                #expect(NoteKey(text: key)?.publicKey != witness.publicKey)
                keys.insert(key)
            }
        }
        #expect(keys.count == 2, "whoever lost the heads cannot cosign under the same key")
    }

    @Test func aClockThatWasSetBackIsNotFollowed() async throws {
        try await withStore { store in
            let clock = Mutex<UInt64>(5_000)
            let (desk, first) = (desk(store) { clock.withLock { $0 } }, try request(from: 0, to: [1]))
            #expect(try await time(await desk.addCheckpoint(first), to: first, by: desk) == 5_000)
            clock.withLock { $0 = 4_700 }
            let second = try request(from: 1, to: [1, 2])
            #expect(try await time(await desk.addCheckpoint(second), to: second, by: desk) == 5_000)
            clock.withLock { $0 = 6_000 }
            let third = try request(from: 2, to: [1, 2])
            #expect(try await time(await desk.addCheckpoint(third), to: third, by: desk) == 6_000)
        }
    }

    @Test func aTimeThatNoReaderTakesIsNotSaidAgain() async throws {
        try await withStore { (store: MeshStore) async throws -> Void in
            let clock = Mutex<UInt64>(100_000)
            let warnings = Mutex<[String]>([])
            // Its clock jumped, cosigned, and was set right.
            let desk = desk(
                store, { clock.withLock { $0 } }, warn: { text in warnings.withLock { $0.append(text) } })
            #expect(try await status(desk, from: 0, to: [1]) == 200)
            clock.withLock { $0 = 99_699 }
            #expect(try await status(desk, from: 1, to: [1, 2]) == 503)
            #expect(try await status(desk, from: 1, to: [1]) == 503)
            #expect(await desk.checkpoint(ofOriginHash: originHash()).status == 503)
            #expect(try await WitnessedRow.all(in: store).map(\.seconds) == [100_000])
            #expect(warnings.withLock { $0.count } == 1)
            #expect(warnings.withLock { $0.first }?.contains("99699") == true)
            clock.withLock { $0 = 99_700 }
            #expect(try await status(desk, from: 1, to: [1, 2]) == 200)
        }
    }

    @Test func aClockThatIsBehindDoesNotStopTheCount() async throws {
        try await withStore { (store: MeshStore) async throws -> Void in
            let clock = Mutex<UInt64>(6_200)
            let desk = desk(store, { clock.withLock { $0 } }, { $0.headsPerAuthorPerMinuteMax = 1 })
            #expect(try await status(desk, from: 0, to: [1]) == 200)
            // Minutes pass, though the time that is said stays.
            for (seconds, size) in [(6_000, 1), (6_060, 2), (6_120, 3)] as [(UInt64, UInt8)] {
                clock.withLock { $0 = seconds }
                #expect(try await status(desk, from: Int(size), to: Array(1...size + 1)) == 200)
            }
        }
    }

    @Test func whatDidNotGetOnTheDiskIsNotCosigned() async throws {
        try await withStoreAndPath { store, path in
            let desk = desk(store)
            #expect(try await status(desk, from: 0, to: [1]) == 200)
            try await refuse(true, "witnessed", path)
            #expect(try await status(desk, from: 1, to: [1, 2]) == 500)
            let shown = await desk.checkpoint(ofOriginHash: originHash())
            #expect(SignedNote(bytes: shown.body).flatMap { Checkpoint(text: $0.text) }?.head.size == 1)
            #expect(try await status(desk, from: 2, to: [1, 2]) == 409, "it is as if it had not come")
            #expect(try await status(desk, from: 1, to: [1, 2]) == 500)
            try await refuse(false, "witnessed", path)
            #expect(try await status(desk, from: 2, to: [1, 2]) == 409)
            #expect(try await status(desk, from: 1, to: [1, 3]) == 200, "nothing else of that size was cosigned")
        }
    }

    @Test func aKeyThatDidNotGetOnTheDiskSignsNothing() async throws {
        try await withStoreAndPath { store, path in
            let desk = desk(store)
            try await refuse(true, "settings", path)
            await #expect(throws: MeshStoreError.self) { try await desk.view() }
            #expect(try await status(desk, from: 0, to: [1]) == 500)
            try await refuse(false, "settings", path)
            let keys = try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<8 { group.addTask { try await desk.view().key } }
                return try await group.reduce(into: Set<String>()) { $0.insert($1) }
            }
            let kept = try await self.desk(store).view().key
            #expect(keys == [kept], "all have the one that is on the disk")
        }
    }

    @Test func aLogIsOfTheScopeOfNodesAndGoesOnUnderItsNewestName() async throws {
        try await withStore { store in
            let desk = desk(store)
            let village = try request(from: 0, to: [1], scope: "village")
            #expect(await desk.addCheckpoint(village).status == 404)
            #expect(try await status(desk, from: 0, to: [1]) == 200)
            #expect(try await status(desk, from: 0, to: [1, 2], openedAt: 7) == 200)
            // The name of before, and one of between.
            #expect(try await status(desk, from: 1, to: [1, 3]) == 403)
            #expect(try await status(desk, from: 1, to: [1]) == 403)
            #expect(try await status(desk, from: 0, to: [1], openedAt: 6) == 403)
            let again = self.desk(store)
            #expect(try await status(again, from: 1, to: [1, 3]) == 403, "after a restart too")
            #expect(try await status(again, from: 2, to: [1, 2, 3], openedAt: 7) == 200)
            #expect(try await status(again, from: 0, to: [1], openedAt: 8) == 200)
        }
    }

    @Test func whoRepeatsAHeadMakesTheWitnessWriteNothing() async throws {
        try await withStore { store in
            let clock = Mutex<UInt64>(1_000)
            let desk = desk(store) { clock.withLock { $0 } }
            _ = await desk.addCheckpoint(try request(from: 0, to: [1]))
            let again = try request(from: 1, to: [1])
            for (seconds, expected) in [(1_009, 1_000), (1_010, 1_010), (1_019, 1_010)] as [(UInt64, UInt64)] {
                clock.withLock { $0 = seconds }
                #expect(try await time(await desk.addCheckpoint(again), to: again, by: desk) == expected)
                #expect(try await WitnessedRow.all(in: store).map(\.seconds) == [expected])
            }
            // An older head, as somebody kept it, gets none.
            #expect(try await status(desk, from: 1, to: [1, 2]) == 200)
            #expect(await desk.addCheckpoint(again).status == 409)
        }
    }

    @Test func soManyHeadsOfAnAuthorAreCosignedInAMinute() async throws {
        try await withStore { store in
            let clock = Mutex<UInt64>(6_000)
            let desk = desk(store) {
                clock.withLock { $0 }
            } _: {
                $0.headsPerAuthorPerMinuteMax = 2
            }
            let first = try await status(desk, from: 0, to: [1])
            let second = try await status(desk, from: 0, to: [1], openedAt: 7)
            let third = try await status(desk, from: 1, to: [1, 2], openedAt: 7)
            // What is refused anyway does not count, nor does a stranger find out of what there is too much.
            let refused = try await status(desk, from: 1, to: [2, 2], openedAt: 7)
            #expect([first, second, third, refused] == [200, 200, 429, 422])
            clock.withLock { $0 = 6_060 }
            #expect(try await status(desk, from: 1, to: [1, 2], openedAt: 7) == 200)
        }
    }

    @Test func twoHistoriesDoNotGetAQuorum() async throws {
        for (seen, others) in [([1, 2], [1, 3]), ([1, 3], [1, 2])] as [([UInt8], [UInt8])] {
            try await withStore { store in
                let desk = desk(store)
                // What it saw first it stays with, whatever another witness was shown.
                var answers = [try await status(desk, from: 0, to: seen)]
                for (size, leaves) in [(2, others), (2, others + [4]), (0, others), (1, others)] {
                    answers.append(try await status(desk, from: size, to: leaves))
                }
                #expect(answers == [200, 422, 422, 409, 409])
            }
        }
        #expect(WitnessQuorum(of: 2)?.needed == 2, "of two witnesses both are needed")
    }

    @Test func linesOfOthersAreNotKept() async throws {
        try await withStore { store in
            let desk = desk(store)
            let growth = try #require(LogGrowth(bytes: try request(from: 0, to: [1])))
            var note = growth.note
            let key = try #require(NoteKey(name: "other", kind: .note, publicKey: witness.publicKey))
            note.signatures.append(SignedNote.Signature(by: key, [1, 2, 3]))
            let asked = LogGrowth(oldSize: 0, hashes: [], note: note)
            #expect(await desk.addCheckpoint(asked.bytes).status == 200)
            #expect(try await WitnessedRow.all(in: store).map(\.note) == [growth.note.bytes])
        }
    }

    @Test func afterARestartNoOtherHeadOfASizeIsCosigned() async throws {
        try await withStore { store in
            // It died behind the write: the author has no answer, and asks again.
            #expect(try await status(desk(store), from: 0, to: [1, 2, 3]) == 200)
            let again = desk(store)
            let asked = await again.addCheckpoint(try request(from: 0, to: [1, 2, 9]))
            #expect(asked.status == 409 && asked.body == Array("3\n".utf8))
            #expect(try await status(again, from: 3, to: [1, 2, 9]) == 422)
            #expect(try await status(again, from: 3, to: [1, 2, 3]) == 200, "the same head, once more")
            #expect(try await status(again, from: 3, to: [1, 2, 3, 4]) == 200)
        }
    }

    @Test func twoThatComeAtOnceAreTakenOneBehindTheOther() async throws {
        try await withStore { store in
            let desk = desk(store)
            let requests = try (0..<20).map { try request(from: 0, to: [1, 2, UInt8($0)]) }
            let statuses = await withTaskGroup(of: Int.self) { group in
                for request in requests { group.addTask { await desk.addCheckpoint(request).status } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(statuses.count { $0 == 200 } == 1 && statuses.count { $0 == 409 } == 19)
        }
    }

    @Test func soManyLogsOfAnAuthorAreWitnessed() async throws {
        try await withStore { store in
            let desk = desk(store) { $0.logsPerAuthorMax = 2 }
            let first = try await status(desk, from: 0, to: [1])
            let second = try await status(desk, from: 0, to: [1], openedAt: 7)
            let third = try await status(desk, from: 0, to: [1], openedAt: 8)
            let known = try await status(desk, from: 1, to: [1, 2], openedAt: 7)
            #expect([first, second, third, known] == [200, 200, 404, 200])
        }
    }

    @Test func theNewestCheckpointIsServedWithTheCosignature() async throws {
        try await withStore { store in
            let desk = desk(store, at: 77)
            _ = await desk.addCheckpoint(try request(from: 0, to: [1]))
            let answer = await desk.checkpoint(ofOriginHash: originHash())
            let note = try #require(SignedNote(bytes: answer.body))
            let key = try #require(NoteKey(text: try await desk.view().key))
            #expect(answer.status == 200 && note.isSigned(by: key) == true && note.signatures.count == 2)
            #expect(Checkpoint.verified(note, by: author.publicKey)?.head.size == 1)
            #expect(await desk.checkpoint(ofOriginHash: String(repeating: "0", count: 64)).status == 404)
        }
    }
}
