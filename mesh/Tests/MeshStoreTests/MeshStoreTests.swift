import MeshStore
import Multiformats
import Testing

@Suite struct MeshStoreTests {
    private func summaries(_ store: MeshStore, _ role: StoreRole? = nil) async throws -> [JobRow] {
        try #require(try await store.jobs(JobFilter(role: role))).rows
    }

    @Test func whatIsCommittedIsReadBackAndSurvivesReopening() async throws {
        let folder = try StoreFolder()
        let (cid, bytes) = block(1)
        let job = JobRow(
            jobID: jobID(1), role: .originator, status: "BiddingOpen", isTerminal: false, submittedAt: 5, updatedAt: 6,
            label: "count words", price: 40, idempotencyKey: "once")
        let receipt = ReceiptRow(
            cid: cid, jobID: jobID(1), executorDID: "did:key:z6Mk", status: "Failed", at: 9, isVerified: nil)
        let movement = LedgerRow(debit: "grant", credit: "me", amount: 1_000, jobID: nil, kind: "grant", at: 1)
        do {
            let store = try folder.open()
            try await store.commit([
                .block(cid: cid, bytes: bytes), .journal(entry(1)), .job(job), .receipt(receipt), .ledger(movement),
                .setting(key: "greeting", value: [1, 2, 3]),
            ])
            try store.close()
        }
        let store = try folder.open()
        #expect(try await store.block(cid) == bytes)
        #expect(try store.blockBlocking(cid) == bytes)
        #expect(try await store.blockSize(cid) == bytes.count)
        #expect(try await store.hasBlock(jobID(1)) == false)
        #expect(try await store.block(jobID(1)) == nil)
        var expected = entry(1)
        expected.sequence = 1
        #expect(try await store.journal(of: jobID(1)) == [expected])
        #expect(try await store.journal(of: jobID(1), role: .executor) == [])
        #expect(try await store.journal(after: 0) == [expected])
        #expect(try await store.journal(after: 1) == [])
        #expect(try await store.jobs()?.rows == [job])
        #expect(try await store.openJobs(role: .originator) == [job])
        #expect(try await store.job(idempotencyKey: "once") == job)
        #expect(try await store.job(idempotencyKey: "") == nil)
        #expect(try await store.receipt(cid) == receipt)
        #expect(try await store.receipts(of: jobID(1)) == [receipt])
        #expect(try await store.ledger().map(\.amount) == [1_000])
        #expect(try await store.setting("greeting") == [1, 2, 3])
        #expect(store.counters.blocks == 1)
        #expect(store.counters.blockBytes == bytes.count)
    }

    @Test func bidsThatNobodyTookAreForgottenByAgeAndNothingElseIs() async throws {
        var limits = StoreLimits()
        limits.prunedBidsMax = 2
        let store = try StoreFolder().openKept(limits: limits)
        func put(_ seed: Int, _ role: StoreRole, _ status: String, _ isTerminal: Bool, _ updatedAt: UInt64) async throws
        {
            let row = JobRow(
                jobID: jobID(seed), role: role, status: status, isTerminal: isTerminal, submittedAt: 1,
                updatedAt: updatedAt)
            var line = entry(seed)
            line.role = role
            try await store.value.commit([.job(row), .journal(line)])
        }
        for seed in 1...3 { try await put(seed, .executor, "BiddingClosed", true, UInt64(10 + seed)) }
        try await put(4, .executor, "BiddingClosed", true, 100)
        try await put(5, .executor, "BiddingClosed", false, 10)
        try await put(6, .executor, "ReceiptAnchored", true, 10)
        try await put(1, .originator, "BiddingClosed", true, 10)
        try await store.value.commit([.pruneBids(before: 100)])
        #expect(Set(try await summaries(store.value, .executor).map(\.jobID)) == Set([3, 4, 5, 6].map(jobID)))
        #expect(try await store.value.journal(of: jobID(1)).map(\.role) == [.originator])
        #expect(try await store.value.journal(of: jobID(2)) == [])
        try await store.value.commit([.pruneBids(before: 100)])
        #expect(Set(try await summaries(store.value, .executor).map(\.jobID)) == Set([4, 5, 6].map(jobID)))
        for seed in [4, 5, 6] { #expect(try await store.value.journal(of: jobID(seed)).count == 1) }
    }

    @Test func aJobThatANodeAskedForAndRanItselfIsListedOnceAsItsOriginatorHasIt() async throws {
        let store = try StoreFolder().openKept()
        let rows: [(Int, StoreRole)] = [(1, .originator), (2, .executor), (2, .originator), (3, .executor)]
        for (seed, role) in rows {
            let row = JobRow(
                jobID: jobID(seed), role: role, status: "Running", isTerminal: false, submittedAt: UInt64(seed),
                updatedAt: 9)
            try await store.value.commit([.job(row)])
        }
        let listed = try await summaries(store.value)
        #expect(listed.map(\.jobID) == [3, 2, 1].map(jobID))
        #expect(listed.map(\.role) == [.executor, .originator, .originator])
        #expect(try await store.value.jobs(limit: 2)?.rows.map(\.jobID) == [3, 2].map(jobID), "a row is a job")
        #expect(try await summaries(store.value, .executor).map(\.jobID) == [3, 2].map(jobID))
        #expect(try await summaries(store.value, .originator).map(\.jobID) == [2, 1].map(jobID))
    }

    @Test func jobSummariesAreReplacedAndLeaveTheOpenListAtTheirEnd() async throws {
        let store = try StoreFolder().openKept()
        var job = JobRow(
            jobID: jobID(1), role: .executor, status: "Running", isTerminal: false, submittedAt: 5, updatedAt: 6)
        try await store.value.commit([.job(job)])
        job.status = "ReceiptAnchored"
        job.isTerminal = true
        job.receiptCID = block(3).cid
        job.fuel = 77
        try await store.value.commit([.job(job)])
        #expect(try await store.value.openJobs(role: .executor) == [])
        #expect(try await store.value.job(jobID(1), role: .executor) == job)
        #expect(try await store.value.job(jobID(1), role: .originator) == nil)
    }

    @Test func aCommitIsWholeOrNotAtAll() async throws {
        let store = try StoreFolder().openKept()
        let conflicting = LedgerRow(debit: "a", credit: "b", amount: 5, jobID: jobID(1), kind: "payment", at: 1)
        try await store.value.commit([.ledger(conflicting)])
        var changed = conflicting
        changed.amount = 6
        await #expect(throws: MeshStoreError.ledgerConflict(jobID: jobID(1), kind: "payment")) {
            try await store.value.commit([.journal(entry(1)), .ledger(changed)])
        }
        #expect(try await store.value.journal(of: jobID(1)) == [])
        #expect(store.value.counters.failedCommits == 1)
    }

    @Test func aMovementBookedTwiceCountsOnce() async throws {
        let store = try StoreFolder().openKept()
        let payment = LedgerRow(debit: "hold", credit: "executor", amount: 30, jobID: jobID(1), kind: "payment", at: 1)
        try await store.value.commit([.ledger(payment)])
        try await store.value.commit([.ledger(payment), .ledger(payment)])
        #expect(try await store.value.ledger(of: jobID(1)).count == 1)
        var second = payment
        second.reference = "attempt 2"
        try await store.value.commit([.ledger(second)])
        #expect(try await store.value.ledger(of: jobID(1)).map(\.reference) == ["", "attempt 2"])
    }

    @Test func oneCallersErrorStaysThatCallers() async throws {
        let store = try StoreFolder().openKept()
        let first = LedgerRow(debit: "a", credit: "b", amount: 5, jobID: jobID(0), kind: "payment", at: 1)
        try await store.value.commit([.ledger(first)])
        var changed = first
        changed.amount = 6
        let refused = [StoreWrite.ledger(changed)]
        let failures = await withTaskGroup(of: MeshStoreError?.self) { group in
            for number in 1...40 {
                let writes = number % 10 == 0 ? refused : [.journal(entry(number))]
                group.addTask {
                    do throws(MeshStoreError) { try await store.value.commit(writes) } catch { return error }
                    return nil
                }
            }
            return await group.reduce(into: [MeshStoreError]()) { if let error = $1 { $0.append(error) } }
        }
        #expect(failures == Array(repeating: MeshStoreError.ledgerConflict(jobID: jobID(0), kind: "payment"), count: 4))
        #expect(try await store.value.journal(after: 0).count == 36)
    }

    @Test func blocksThatDoNotHashToTheirCIDOrAreTooLargeAreRefused() async throws {
        var limits = StoreLimits()
        limits.blockBytesMax = 200
        let store = try StoreFolder().openKept(limits: limits)
        let (cid, bytes) = block(1, size: 201)
        await #expect(throws: MeshStoreError.blockTooLarge(bytes: 201, bytesMax: 200)) {
            try await store.value.commit([.block(cid: cid, bytes: bytes)])
        }
        await #expect(throws: MeshStoreError.blockMismatch(cid)) {
            try await store.value.commit([.block(cid: cid, bytes: Array(bytes.prefix(200)))])
        }
        #expect(try await store.value.hasBlock(cid) == false)
    }

    @Test func blocksStopAtTheirShareAndTheJournalDoesNot() async throws {
        var limits = StoreLimits()
        limits.blockBytesTotalMax = 250
        let store = try StoreFolder().openKept(limits: limits)
        let blocks = (1...3).map { block($0) }
        for (cid, bytes) in blocks.prefix(2) {
            try await store.value.commit([.block(cid: cid, bytes: bytes, pinned: true)])
        }
        await #expect(throws: MeshStoreError.blockSpaceUsedUp(bytesMax: 250)) {
            try await store.value.commit([.block(cid: blocks[2].cid, bytes: blocks[2].bytes)])
        }
        try await store.value.commit([.block(cid: blocks[0].cid, bytes: blocks[0].bytes, pinned: true)])
        try await store.value.commit([.journal(entry(1))])
        try await store.value.commit([.removeBlock(blocks[1].cid), .block(cid: blocks[2].cid, bytes: blocks[2].bytes)])
        #expect(store.value.counters.blockBytes == 200)
        #expect(try await store.value.block(blocks[2].cid) == blocks[2].bytes)
    }

    @Test func peersAreBoundedAndTheirMisbehaviourCounted() async throws {
        var limits = StoreLimits()
        limits.peersMax = 3
        limits.addressesPerPeerMax = 2
        let store = try StoreFolder().openKept(limits: limits)
        let peers = try (0..<5).map { number in
            try PeerID(bytes: [0, 36, 8, 1, 18, 32] + [UInt8](repeating: UInt8(number), count: 32))
        }
        let addresses = try (1...3).map { try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/\($0)") }
        for (age, peer) in peers.enumerated() {
            try await store.value.commit([.peer(PeerRow(peerID: peer, addresses: addresses, lastSeen: UInt64(age)))])
        }
        try await store.value.commit([.peerMisbehaved(peers[4], note: "forged bid", at: 9)])
        try await store.value.commit([.peerMisbehaved(peers[4], note: "expired bid", at: 8)])
        let kept = try await store.value.peers()
        #expect(kept.map(\.peerID) == [peers[4], peers[3], peers[2]])
        #expect(kept[0].addresses == Array(addresses.suffix(2)))
        #expect(kept[0].misbehaviourCount == 2)
        #expect(kept[0].note == "expired bid")
        #expect(kept[0].lastSeen == 9)
    }

    @Test("Peers without addresses push none out that can be dialed, and one that was never met is not remembered")
    func peersWithoutAddresses() async throws {
        var limits = StoreLimits()
        limits.peersMax = 3
        limits.peersWithoutAddressesMax = 2
        let store = try StoreFolder().openKept(limits: limits)
        let peers = try (0..<10).map { number in
            try PeerID(bytes: [0, 36, 8, 1, 18, 32] + [UInt8](repeating: UInt8(number), count: 32))
        }
        let address = try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/1")
        for (age, peer) in peers.prefix(3).enumerated() {
            try await store.value.commit([.peer(PeerRow(peerID: peer, addresses: [address], lastSeen: UInt64(age)))])
        }
        for (number, peer) in peers.enumerated().dropFirst(3) {
            try await store.value.commit([
                .peerMisbehaved(peer, note: "bad", count: 5, isMet: number < 7, at: UInt64(100 + number))
            ])
        }
        #expect(try await store.value.peers().map(\.peerID) == [peers[2], peers[1], peers[0], peers[6], peers[5]])
        #expect(try await store.value.peers(limit: 3).map(\.peerID) == [peers[2], peers[1], peers[0]])
        // One that has a row keeps its count, and its age, also when only others tell of it.
        try await store.value.commit([.peerMisbehaved(peers[0], note: "late", count: 2, isMet: false, at: 900)])
        let known = try await store.value.peers()[2]
        #expect(known.misbehaviourCount == 2 && known.note == "late" && known.lastSeen == 0)
        // Once its address is known it is one of those that can be dialed, with what it did.
        try await store.value.commit([.peer(PeerRow(peerID: peers[6], addresses: [address], lastSeen: 106))])
        let now = try await store.value.peers()
        #expect(now.map(\.peerID) == [peers[6], peers[2], peers[1], peers[5]])
        #expect(now[0].misbehaviourCount == 5)
    }

    @Test func numbersThatTheDatabaseCannotHoldAreRefused() async throws {
        let store = try StoreFolder().openKept()
        let row = LedgerRow(debit: "a", credit: "b", amount: .max, jobID: nil, kind: "grant", at: 1)
        await #expect(throws: MeshStoreError.numberTooLarge(.max)) { try await store.value.commit([.ledger(row)]) }
    }

    @Test func afterClosingEverythingIsRefused() async throws {
        let store = try StoreFolder().openKept()
        try await store.value.commit([.journal(entry(1))])
        try store.value.close()
        await #expect(throws: MeshStoreError.closed) { try await store.value.commit([.journal(entry(2))]) }
        await #expect(throws: MeshStoreError.closed) { _ = try await store.value.journal(after: 0) }
    }
}

/// A store with the folder that has to outlive it.
struct KeptStore: Sendable {
    let folder: StoreFolder
    let value: MeshStore
}

extension StoreFolder {
    func openKept(limits: StoreLimits = StoreLimits()) throws -> KeptStore {
        KeptStore(folder: self, value: try open(limits: limits))
    }
}
