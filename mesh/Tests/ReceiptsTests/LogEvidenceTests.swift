import Determinism
import MerkleLog
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import Receipts

/// What a stranger makes of files about logs.
@Suite struct LogEvidenceTests {
    /// A log with all its hashes.
    private struct Author {
        let identity: Identity
        private(set) var tree = MerkleTree()
        private(set) var entries: [SignedObject<AnchorEntry>] = []
        private var stored: [MerkleHash] = []

        init(_ seed: UInt8 = 1) throws { identity = try Identity(seed: [UInt8](repeating: seed, count: 32)) }

        var origin: String { AnchorEntry.logName(of: identity.did, scope: "global", openedAt: nil) }

        mutating func anchor(
            _ text: String, size: UInt64? = nil, by other: Identity? = nil,
            _ change: (inout AnchorEntry) -> Void = { _ in }
        ) throws {
            let signer = other ?? identity
            var entry = AnchorEntry(
                nodeDID: signer.did, parents: [], payload: [CID.hashing(Array(text.utf8), codec: .dagCBOR)],
                scope: "global", height: tree.size, recordedAt: UnixMilliseconds(tree.size), size: size ?? tree.size,
                root: tree.root.bytes)
            change(&entry)
            let signed = try SignedObject.sign(entry, with: signer)
            entries.append(signed)
            stored += tree.append(.leaf(signed.cid.bytes))
        }

        func checkpoint(_ origin: String? = nil) throws -> SignedNote {
            try #require(Checkpoint(origin: origin ?? self.origin, head: TreeHead(tree))).signed(with: identity)
        }

        func hashes(_ plan: ProofPlan?) throws -> [MerkleHash] {
            let plan = try #require(plan)
            return try #require(
                plan.proof(of: Dictionary(uniqueKeysWithValues: plan.places.map { ($0, stored[Int($0.position)]) })))
        }

        func proof(_ index: Int) throws -> [UInt8] {
            LogProof(
                extra: entries[index].bytes, index: UInt64(index),
                hashes: try hashes(.inclusion(of: UInt64(index), in: tree.size)), note: try checkpoint()
            ).bytes
        }

        func growth(since size: UInt64) throws -> [UInt8] {
            LogGrowth(
                oldSize: size, hashes: try hashes(.consistency(of: size, in: tree.size)), note: try checkpoint()
            ).bytes
        }
    }

    private func compared(_ one: [UInt8], _ other: [UInt8]) throws -> LogComparison {
        let (one, other) = (try LogEvidence(verifying: one), try LogEvidence(verifying: other))
        let relation = one.compared(with: other)
        let mirrored = other.compared(with: one)
        switch (relation, mirrored) {
        case (.contradiction, .contradiction): break
        default: #expect(relation == mirrored)
        }
        return relation
    }

    @Test func everyEntryIsProved() throws {
        var author = try Author()
        for number in 0..<20 { try author.anchor("\(number)") }
        for index in 0..<20 {
            let bytes = try author.proof(index)
            #expect(bytes.count < LogProof.bytesMax)
            let evidence = try LogEvidence(verifying: bytes)
            #expect(evidence.author == author.identity.did && evidence.head.size == 20)
            #expect(evidence.included?.number == UInt64(index))
            #expect(evidence.included?.entry.cid == author.entries[index].cid)
        }
    }

    @Test func aLogThatGrewIsOfOneHistory() throws {
        var author = try Author()
        for number in 0..<5 { try author.anchor("\(number)") }
        let (before, proof) = (try author.checkpoint().bytes, try author.proof(2))
        for number in 5..<13 { try author.anchor("\(number)") }
        let (growth, after) = (try author.growth(since: 5), try author.checkpoint().bytes)
        #expect(try compared(before, growth) == .consistent)
        #expect(try compared(proof, growth) == .consistent)
        #expect(try compared(growth, after) == .consistent)
        // Without the proof nobody can tell.
        #expect(try compared(before, after) == .unknown)
        #expect(try compared(before, try author.growth(since: 4)) == .unknown)
        let other = try Author(2).checkpoint().bytes
        #expect(try compared(before, other) == .otherLogs)
    }

    @Test func twoHistoriesAreFoundInTwoFiles() throws {
        var (one, other) = (try Author(), try Author())
        for number in 0..<4 {
            try one.anchor("\(number)")
            try other.anchor("\(number)")
        }
        try one.anchor("left")
        try other.anchor("right")
        // Two heads of one size.
        let heads = try compared(try one.checkpoint().bytes, try other.checkpoint().bytes)
        guard case .contradiction = heads else {
            Issue.record("\(heads)")
            return
        }
        // Two entries of one number, under heads of different sizes.
        let left = try one.proof(4)
        try other.anchor("more")
        guard case .contradiction = try compared(left, try other.proof(4)) else {
            Issue.record("two entries of one number are no contradiction")
            return
        }
        // An entry signs the tree before it, so the next entry is enough.
        guard case .contradiction = try compared(try one.checkpoint().bytes, try other.proof(5)) else {
            Issue.record("the tree that an entry signs is not compared")
            return
        }
        // What they share contradicts nothing, and is not said to be one history either.
        #expect(try compared(try one.proof(3), try other.proof(2)) == .unknown)
    }

    @Test func anEntrySignedAfterOthersThanTheLogHasIsProofEnough() throws {
        var (one, other) = (try Author(), try Author())
        for number in 0..<6 {
            try one.anchor("left \(number)")
            try other.anchor("right \(number)")
        }
        try one.anchor("seven") { $0.root = other.tree.root.bytes }
        for number in 0..<4 { try one.anchor("more \(number)") }
        #expect(try LogEvidence(verifying: one.proof(6)).contradiction?.contains("entry 6") == true)
        #expect(try LogEvidence(verifying: one.proof(7)).contradiction == nil)
    }

    @Test func aProofShowsTheHeadsAroundItsEntry() throws {
        var (one, other) = (try Author(), try Author())
        var heads = [TreeHead(one.tree)]
        for number in 0..<13 {
            // Of a version without a log, so that it signs no tree of its own.
            try one.anchor("\(number)") { ($0.size, $0.root) = (nil, nil) }
            heads.append(TreeHead(one.tree))
        }
        for index in 0..<13 {
            let found = try LogEvidence(verifying: one.proof(index)).heads
            #expect(found == [heads[13], heads[index], heads[index + 1]])
        }
        for number in 0..<7 { try other.anchor("other \(number)") }
        guard case .contradiction = try compared(other.checkpoint().bytes, one.proof(7)) else {
            Issue.record("the tree before an entry is not compared")
            return
        }
    }

    @Test func aGrowthOfAnotherHistoryIsFound() throws {
        var (one, other) = (try Author(), try Author())
        for number in 0..<6 {
            try one.anchor("left \(number)")
            try other.anchor("right \(number)")
            let size = one.tree.size
            let (head, others) = (try one.checkpoint().bytes, other)
            var grown = others
            for more in 0..<3 { try grown.anchor("more \(more)") }
            let relation = try compared(head, grown.growth(since: size))
            if size.nonzeroBitCount == 1 {
                // The proof does not have the earlier root, so it shows nothing but that it does not fit.
                #expect(relation == .unproved)
            } else if case .contradiction = relation {
            } else {
                Issue.record("\(relation) since \(size)")
            }
        }
    }

    @Test func aGrowthThatShowsNothingIsRefused() throws {
        var author = try Author()
        for number in 0..<7 { try author.anchor("\(number)") }
        let note = try author.checkpoint()
        let good = try author.hashes(.consistency(of: 3, in: 7))
        for (old, hashes) in [
            (8, []), (UInt64(Int64.max), []), (0, [.empty]), (7, [.empty]), (3, []), (3, good + [.empty]),
            (3, good.dropLast() + [.empty]), (5, good), (4, []), (4, [.empty, .empty]),
        ] as [(UInt64, [MerkleHash])] {
            let bytes = LogGrowth(oldSize: old, hashes: hashes, note: note).bytes
            #expect(throws: LogEvidenceError.notGrown(since: old)) { try LogEvidence(verifying: bytes) }
        }
        for old in [0, 3, 4, 7] as [UInt64] {
            #expect(throws: Never.self) { try LogEvidence(verifying: author.growth(since: old)) }
        }
    }

    @Test func anEntryOfAnotherLogOfItsAuthorIsRefused() throws {
        for change in [
            { $0.scope = "village" }, { $0.openedAt = UnixMilliseconds(5) },
        ] as [(inout AnchorEntry) -> Void] {
            var author = try Author()
            try author.anchor("entry", change)
            let bytes = try author.proof(0)
            #expect(throws: LogEvidenceError.entryOfAnotherLog) { try LogEvidence(verifying: bytes) }
        }
        for change in [{ $0.root = nil }, { $0.size = nil }, { $0.root = [1] }] as [(inout AnchorEntry) -> Void] {
            var author = try Author()
            try author.anchor("entry", change)
            let bytes = try author.proof(0)
            #expect(throws: LogEvidenceError.headIncomplete) { try LogEvidence(verifying: bytes) }
        }
    }

    @Test func aLogThatBeganAgainIsNoOther() throws {
        var author = try Author()
        try author.anchor("entry")
        let again = AnchorEntry.logName(of: author.identity.did, scope: "global", openedAt: UnixMilliseconds(7))
        #expect(try compared(author.checkpoint().bytes, author.checkpoint(again).bytes) == .begunAgain)
        let village = AnchorEntry.logName(of: author.identity.did, scope: "village", openedAt: nil)
        #expect(try compared(author.checkpoint().bytes, author.checkpoint(village).bytes) == .otherLogs)
    }

    @Test("Two heads of an issuer's log prove its two stories, and are of no other log of the same key")
    func issuers() throws {
        var (author, twin) = (try Author(), try Author())
        try author.anchor("a")
        try twin.anchor("b")
        let name = IssuerLogName.of(author.identity.did)
        #expect(IssuerLogName.issuer(of: name) == author.identity.did)
        #expect(IssuerLogName.issuer(of: name + "/") == nil && IssuerLogName.issuer(of: author.origin) == nil)
        let own = try author.checkpoint(name).bytes
        #expect(try LogEvidence(verifying: own).author == author.identity.did)
        #expect(try compared(own, own) == .consistent)
        guard case .contradiction = try compared(own, twin.checkpoint(name).bytes) else {
            Issue.record("two stories are not found out")
            return
        }
        #expect(try compared(own, author.checkpoint().bytes) == .otherLogs)
        var stranger = try Author(9)
        try stranger.anchor("c")
        #expect(try compared(own, stranger.checkpoint(IssuerLogName.of(stranger.identity.did)).bytes) == .otherLogs)
    }

    @Test func whatDoesNotVerifyIsRefused() throws {
        var author = try Author()
        let stranger = try Identity(seed: [UInt8](repeating: 9, count: 32))
        for number in 0..<3 { try author.anchor("\(number)") }
        #expect(throws: LogEvidenceError.unreadable) { try LogEvidence(verifying: Array("nothing".utf8)) }
        let foreign = try author.checkpoint("log.example/other").bytes
        #expect(throws: LogEvidenceError.notOfTheMesh) { try LogEvidence(verifying: foreign) }
        let borrowed = try author.checkpoint(AnchorEntry.logName(of: stranger.did, scope: "global", openedAt: nil))
            .bytes
        #expect(throws: LogEvidenceError.notSigned(stranger.did)) { try LogEvidence(verifying: borrowed) }
        let (hashes, note) = (try author.hashes(.inclusion(of: 1, in: 3)), try author.checkpoint())
        let bare = LogProof(extra: nil, index: 1, hashes: hashes, note: note).bytes
        #expect(throws: LogEvidenceError.entryMissing) { try LogEvidence(verifying: bare) }
        let swapped = LogProof(extra: author.entries[2].bytes, index: 1, hashes: hashes, note: note).bytes
        #expect(throws: LogEvidenceError.wrongNumber(signed: 2, proved: 1)) { try LogEvidence(verifying: swapped) }
        let short = LogProof(extra: author.entries[1].bytes, index: 1, hashes: [hashes[0]], note: note).bytes
        #expect(throws: LogEvidenceError.notIncluded) { try LogEvidence(verifying: short) }
        try author.anchor("other's", by: stranger)
        let others = try author.proof(3)
        #expect(throws: LogEvidenceError.entryOfAnother(stranger.did)) { try LogEvidence(verifying: others) }
        try author.anchor("displaced", size: 7)
        let displaced = try author.proof(4)
        #expect(throws: LogEvidenceError.wrongNumber(signed: 7, proved: 4)) { try LogEvidence(verifying: displaced) }
    }

    @Test(arguments: [UInt64(1), 2]) func aChangedFileShowsWhatWasSignedOrNothing(seed: UInt64) throws {
        var author = try Author()
        for number in 0..<9 { try author.anchor("\(number)") }
        var chance = SeededGenerator(seed: seed)
        let good = try author.proof(6)
        for _ in 0..<1_000 {
            var bytes = good
            bytes[Int.random(in: bytes.indices, using: &chance)] ^= 1 << UInt8.random(in: 0..<8, using: &chance)
            guard let evidence = try? LogEvidence(verifying: bytes) else { continue }
            #expect(evidence.head == TreeHead(author.tree))
            #expect(evidence.included == nil || evidence.included?.entry.cid == author.entries[6].cid)
        }
    }
}
