import Determinism
import LogTesting
import MerkleLog
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import Receipts

/// What a node takes of another's log.
@Suite struct FollowedLogTests {
    /// The log with the entries of some ranges.
    private func following(_ author: LogAuthor, _ ranges: [Range<Int>]) throws -> FollowedLog {
        var log = try #require(FollowedLog(origin: author.origin))
        for range in ranges {
            guard
                case .grown(let grown, let batch) = try log.taking(
                    author.range(range), asked: author.request(from: range.lowerBound))
            else { throw LogRangeFault.giver("nothing") }
            #expect(batch.start == UInt64(range.lowerBound) && batch.entries.count == range.count)
            log = grown
        }
        return log
    }

    private func fault(_ log: FollowedLog, _ author: LogAuthor, _ range: LogRange) -> LogRangeFault? {
        do throws(LogRangeFault) {
            _ = try log.taking(range, asked: author.request(from: Int(log.tree.size)))
            return nil
        } catch {
            return error
        }
    }

    @Test("Ranges of all sizes join to the author's tree, under one head or under heads that grow")
    func ranges() throws {
        var author = try LogAuthor(seed: 1)
        for size in [1, 2, 3, 7, 8, 9, 31] {
            try author.grow(to: size)
            for cut in 1...size {
                let log = try following(author, cut == size ? [0..<size] : [0..<cut, cut..<size])
                #expect(log.tree == author.tree && log.isComplete)
            }
        }
        var growing = try LogAuthor(seed: 2)
        try growing.grow(to: 5)
        let first = try following(growing, [0..<3])
        #expect(!first.isComplete)
        try growing.grow(to: 9)
        guard
            case .grown(let log, let batch) = try first.taking(
                growing.range(3..<9), asked: growing.request(from: 3))
        else { throw LogRangeFault.giver("nothing") }
        #expect(log.tree == growing.tree && log.byteCount == growing.entries.reduce(0) { $0 + UInt64($1.bytes.count) })
        // As it is read from the disk.
        let again = try #require(
            FollowedLog(
                origin: growing.origin, tree: log.tree, byteCount: log.byteCount, note: batch.note,
                lastEntry: growing.entries[8].bytes, lastHashes: batch.lastHashes))
        #expect(again.last == log.last && again.head == log.head && again.lastEntry == log.lastEntry)
        guard
            case .nothingNew = try again.taking(
                LogRange(note: growing.note().bytes, start: 9), asked: growing.request(from: 9))
        else { throw LogRangeFault.giver("something") }
    }

    @Test("A head or an entry that is longer than it may be is not taken, and its giver is to blame")
    func lengths() throws {
        var author = try LogAuthor(seed: 1)
        try author.grow(to: 3)
        let (range, log) = (try author.range(0..<3), try #require(FollowedLog(origin: author.origin)))
        let longest = author.entries.map(\.bytes.count).max() ?? 0
        func fault(_ entryBytesMax: Int, _ noteBytesMax: Int) -> LogRangeFault? {
            var limits = FollowedLog.Limits()
            (limits.entryBytesMax, limits.noteBytesMax) = (entryBytesMax, noteBytesMax)
            do throws(LogRangeFault) {
                _ = try log.taking(range, asked: author.request(from: 0), limits: limits)
                return nil
            } catch {
                return error
            }
        }
        #expect(fault(longest, range.note.count) == nil)
        #expect(fault(longest - 1, range.note.count) == .giver("the range is not the one that was asked for"))
        #expect(
            fault(longest, range.note.count - 1)
                == .giver("the head is not of the log that was asked for, or its author did not sign it"))
    }

    @Test("What the disk has of a log is held against the head that it stands under")
    func damaged() throws {
        var (author, other) = (try LogAuthor(seed: 1), try LogAuthor(seed: 2))
        try author.grow(to: 9)
        try other.grow(to: 9)
        let range = try author.range(0..<9)
        func stored(_ tree: MerkleTree, _ entry: [UInt8], _ hashes: [UInt8]) -> FollowedLog? {
            FollowedLog(
                origin: author.origin, tree: tree, byteCount: 1, note: range.note, lastEntry: entry,
                lastHashes: hashes)
        }
        #expect(stored(author.tree, author.entries[8].bytes, range.last) != nil)
        #expect(stored(other.tree, author.entries[8].bytes, range.last) == nil)
        #expect(stored(author.tree, author.entries[7].bytes, range.last) == nil)
        #expect(stored(author.tree, author.entries[8].bytes, Array(range.last.dropLast(32))) == nil)
        #expect(stored(author.tree, author.entries[8].bytes, [1]) == nil)
    }

    @Test("A proof of two histories has no line but its author's")
    func foreignLines() throws {
        var (author, other) = (try LogAuthor(seed: 1), try LogAuthor(seed: 1))
        try author.grow(to: 3)
        try other.grow(to: 3, "other ")
        let (first, second) = (try author.note(), try other.note())
        let fork = try #require(LogFork(first.bytes, second.bytes))
        #expect(try LogFork(verifying: fork.bytes) == fork)
        var cosigned = second
        let stranger = try LogAuthor(seed: 3)
        let checkpoint = try #require(Checkpoint(text: second.text))
        cosigned.signatures += try checkpoint.signed(with: stranger.identity).signatures
        #expect(cosigned.signatures.count == 2 && LogFork(first.bytes, cosigned.bytes) == nil)
        let header = "icn-mesh/log-fork@v1 \(first.bytes.count) \(cosigned.bytes.count)\n"
        #expect(throws: LogForkError.noContradiction) {
            try LogFork(verifying: Array(header.utf8) + first.bytes + cosigned.bytes)
        }
    }

    @Test("A head that contradicts the newest one is judged however many its author sends")
    func worthJudging() throws {
        var (author, other) = (try LogAuthor(seed: 1), try LogAuthor(seed: 1))
        try author.grow(to: 3)
        try other.grow(to: 3, "other ")
        var heads = KnownHeads()
        let note = try author.note().bytes
        #expect(!heads.isWorthJudging(note, of: author.identity.did))
        _ = heads.heard(note, of: author.identity.did, followed: [])
        #expect(heads.isWorthJudging(note, of: author.identity.did))
        #expect(heads.isWorthJudging(try other.note().bytes, of: author.identity.did))
        try author.grow(to: 4)
        #expect(!heads.isWorthJudging(try author.note().bytes, of: author.identity.did))
        #expect(!heads.isWorthJudging([1, 2], of: author.identity.did))
    }

    @Test("Whatever a giver changes is refused, and blames the giver")
    func lies() throws {
        var (author, other) = (try LogAuthor(seed: 1), try LogAuthor(seed: 2))
        try author.grow(to: 20)
        try other.grow(to: 20)
        let log = try following(author, [0..<8])
        let honest = try author.range(8..<20)
        #expect(fault(log, author, honest) == nil)
        func isGivers(_ range: LogRange, _ what: String) {
            guard case .giver? = fault(log, author, range) else {
                Issue.record("\(what): \(fault(log, author, range).map { "\($0)" } ?? "taken")")
                return
            }
        }
        var changed = honest
        changed.entries[3][40] ^= 1
        isGivers(changed, "an entry with another byte")
        changed = honest
        changed.entries.swapAt(2, 3)
        isGivers(changed, "entries in another order")
        changed = honest
        changed.entries.remove(at: 5)
        isGivers(changed, "an entry left out")
        changed = honest
        changed.entries[4] = other.entries[12].bytes
        isGivers(changed, "another author's entry")
        changed = honest
        changed.entries.removeLast()
        isGivers(changed, "the last entry left out")
        changed = honest
        changed.last = Array(honest.last.dropLast(32))
        isGivers(changed, "a proof without its end")
        changed = honest
        changed.first = []
        isGivers(changed, "no proof")
        changed = honest
        changed.note = try other.note().bytes
        isGivers(changed, "another's head")
        isGivers(try author.range(7..<20), "a range that was not asked for")
        isGivers(try author.range(9..<20), "a gap")
        var random = SeededGenerator(seed: 20)
        let bytes = honest.note + honest.first + honest.last
        for _ in 0..<300 {
            var range = honest
            let place = Int(random.next(upperBound: UInt64(bytes.count)))
            if place < honest.note.count {
                range.note[place] ^= 1 << UInt8(random.next(upperBound: UInt64(8)))
            } else if place < honest.note.count + honest.first.count {
                range.first[place - honest.note.count] ^= 4
            } else {
                range.last[place - honest.note.count - honest.first.count] ^= 4
            }
            isGivers(range, "byte \(place)")
        }
        var greedy = author.request(from: 8)
        greedy.entriesMax = 5
        #expect(throws: LogRangeFault.self) { _ = try log.taking(honest, asked: greedy) }
    }

    @Test("Whoever goes on otherwise than before has signed the proof of it, wherever the histories part")
    func forks() throws {
        var random = SeededGenerator(seed: 11)
        for _ in 0..<40 {
            let (kept, parting) = (
                1 + Int(random.next(upperBound: UInt64(20))), Int(random.next(upperBound: UInt64(20)))
            )
            guard parting < kept else { continue }
            var author = try LogAuthor(seed: 1)
            try author.grow(to: parting)
            var other = author
            try author.grow(to: kept + Int(random.next(upperBound: UInt64(4))))
            try other.grow(to: kept + 1 + Int(random.next(upperBound: UInt64(4))), "other ")
            let log = try following(author, [0..<kept])
            guard case .fork(let fork)? = fault(log, author, try other.range(kept..<other.entries.count)) else {
                Issue.record("\(kept) \(parting): no proof")
                continue
            }
            #expect(fork.author == author.identity.did)
            let read = try LogFork(verifying: fork.bytes)
            #expect(read == fork && LogFork.isFork(fork.bytes))
        }
    }

    @Test("An entry that signs another tree than the head has before it is a proof alone")
    func forkAlone() throws {
        var author = try LogAuthor(seed: 1)
        try author.grow(to: 4)
        try author.anchor("4") { $0.root = MerkleHash.empty.bytes }
        try author.grow(to: 6)
        let log = try following(author, [0..<4])
        guard case .fork(let found)? = fault(log, author, try author.range(4..<6)) else {
            Issue.record("an entry that does not fit is no proof")
            return
        }
        #expect(found.second.isEmpty && found.author == author.identity.did)
        // In the middle of a range nothing proves where it stands.
        guard case .giver? = fault(try following(author, [0..<3]), author, try author.range(3..<6)) else {
            Issue.record("an entry that does not fit was taken")
            return
        }
        let evidence = LogProof(
            extra: author.entries[4].bytes, index: 4,
            hashes: try #require(FollowedLog.hashes(try author.hashes(of: 4))),
            note: try author.note())
        let fork = try #require(LogFork(evidence.bytes))
        #expect(try LogFork(verifying: fork.bytes).second.isEmpty)
    }

    @Test("What contradicts nothing is no proof of two histories")
    func noForks() throws {
        var author = try LogAuthor(seed: 1)
        try author.grow(to: 5)
        let first = try author.note().bytes
        var other = try LogAuthor(seed: 2)
        try other.grow(to: 5)
        try author.grow(to: 6)
        #expect(LogFork(first, try author.note().bytes) == nil)
        #expect(LogFork(first, try other.note().bytes) == nil)
        #expect(LogFork(first) == nil && LogFork([1]) == nil)
        for text in [
            "", "icn-mesh/log-fork@v1 1 1\nab", "icn-mesh/log-fork@v1 01 1\nab", "icn-mesh/log-fork@v1 3\nabc",
        ] {
            #expect(throws: LogForkError.self) { _ = try LogFork(verifying: Array(text.utf8)) }
        }
        let long = Array("icn-mesh/log-fork@v1 \(LogFork.pieceBytesMax + 1) 0\n".utf8)
        #expect(throws: LogForkError.unreadable) {
            _ = try LogFork(verifying: long + [UInt8](repeating: 0x61, count: LogFork.pieceBytesMax + 1))
        }
    }

    @Test("A log that began again takes the place of the earlier one, and never the other way round")
    func begunAgain() throws {
        var author = try LogAuthor(seed: 1)
        try author.grow(to: 3)
        let log = try following(author, [0..<3])
        var again = author
        again.openedAt = UnixMilliseconds(77)
        guard
            case .begunAgain(again.origin) = try log.taking(
                LogRange(note: again.note().bytes, start: 3), asked: author.request(from: 3))
        else { throw LogRangeFault.giver("not begun again") }
        let later = try following(again, [0..<3])
        guard
            case .nothingNew = try later.taking(
                LogRange(note: author.note().bytes, start: 3), asked: again.request(from: 3))
        else { throw LogRangeFault.giver("the earlier one") }
    }

    @Test("Of each author the newest head is known, those of followed authors go for nobody else's")
    func knownHeads() throws {
        var limits = KnownHeads.Limits()
        limits.authorsMax = 3
        var heads = KnownHeads(limits: limits)
        var author = try LogAuthor(seed: 1)
        try author.grow(to: 2)
        let did = author.identity.did
        func heard(_ note: SignedNote, of who: DID, _ heads: inout KnownHeads) -> String {
            switch heads.heard(note.bytes, of: who, followed: [did]) {
            case .newest: "newest"
            case .same: "same"
            case .old: "old"
            case .bad: "bad"
            case .fork(let fork): fork.author == did ? "fork" : "fork of another"
            }
        }
        let early = try author.note()
        #expect(heard(early, of: did, &heads) == "newest" && heard(early, of: did, &heads) == "same")
        var other = author
        try author.grow(to: 4)
        try other.grow(to: 4, "other ")
        #expect(heard(try author.note(), of: did, &heads) == "newest" && heard(early, of: did, &heads) == "old")
        #expect(heard(try other.note(), of: did, &heads) == "fork")
        var forged = try author.note()
        forged.signatures[0] = try LogAuthor(seed: 9).note().signatures[0]
        #expect(heard(forged, of: did, &heads) == "bad")
        for seed in 2...9 as ClosedRange<UInt8> {
            var stranger = try LogAuthor(seed: seed)
            try stranger.grow(to: 1)
            #expect(heard(try stranger.note(), of: did, &heads) == "bad")
            #expect(heard(try stranger.note(), of: stranger.identity.did, &heads) == "newest")
        }
        #expect(heads.authors.count == 3 && heads[did]?.head.size == 4)
        let long = [UInt8](repeating: 0x61, count: limits.noteBytesMax + 1)
        guard case .bad = heads.heard(long, of: did, followed: []) else {
            Issue.record("a head that is too long is known")
            return
        }
    }
}
