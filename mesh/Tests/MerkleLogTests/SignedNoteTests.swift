import Determinism
import MerkleLog
import Multiformats
import PeerIdentity
import Testing

@Suite("Notes, checkpoints, cosignatures and proofs as C2SP writes them")
struct SignedNoteTests {
    private static let origin = "log.example/planet"
    private static let root = "XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg="
    private static let ownLine =
        "— log.example/planet t5r7aQhIpvr3GbT90LmwSVn8vlSbqQI0SxVYKk0ASQIs8civfOquDmgh"
        + "Gaf/ils7jU3H9T5OPI+pznVyeFrT63VdDAA=\n"
    private static let witnessLine =
        "— witness.example/w1 IDJKvgAAAABkGFDLhg8Ov2uM9nCztzb00n9qxK46QN7wVk0ITvE1t+ilAUFF25aJ"
        + "BgVlNsR6vCpc9foIj57sOrbLJYSKK7HKrJFDAQ==\n"
    private static let ownKey = "log.example/planet+b79afb69+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
    private static let witnessKey = "witness.example/w1+20324abe+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X"
    private static var text: String { "\(origin)\n8\n\(root)\n" }
    private static var note: [UInt8] { Array("\(text)\n\(ownLine)\(witnessLine)".utf8) }

    private static func own() throws -> Identity { try Identity(seed: Array(0..<32)) }
    private static func witness() throws -> Identity { try Identity(seed: Array(32..<64)) }

    @Test("The example of the specification is read and verified")
    func example() throws {
        let text = """
            This is an example message.

            — example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYj\
            OBH3mFXmRKuwHjG1Yu72IneyaQM=

            """
        let note = try #require(SignedNote(bytes: Array(text.utf8)))
        let key = try #require(NoteKey(text: "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"))
        #expect(note.isSigned(by: key) == true)
        #expect(note.bytes == Array(text.utf8))
        let other = SignedNote(text: "This is another message.\n", signatures: note.signatures)
        #expect(other.isSigned(by: key) == false)
    }

    /// The note was written by twenty lines of Python with the package `cryptography` (seeds 0 to 31 and 32 to 63).
    @Test("Another implementation's checkpoint and cosignature are verified, and made alike")
    func anothers() throws {
        let note = try #require(SignedNote(bytes: Self.note))
        let (own, witness) = (try Self.own(), try Self.witness())
        let ownKey = try #require(NoteKey(text: Self.ownKey))
        let witnessKey = try #require(NoteKey(text: Self.witnessKey))
        #expect(ownKey.publicKey == own.publicKey && witnessKey.publicKey == witness.publicKey)
        #expect(ownKey.text == Self.ownKey && witnessKey.text == Self.witnessKey)
        #expect(note.isSigned(by: ownKey) == true && note.isSigned(by: witnessKey) == true)
        let checkpoint = try #require(Checkpoint.verified(note, by: own.publicKey))
        #expect(checkpoint.head.size == 8 && checkpoint.head.root.base64 == Self.root)
        #expect(Checkpoint.verified(note, by: witness.publicKey) == nil)
        var made = try checkpoint.signed(with: own)
        let cosignature = try Cosignature.sign(made.text, at: 1_679_315_147, with: witness)
        made.signatures.append(.init(by: witnessKey, cosignature.bytes))
        #expect(made.bytes == Self.note)
    }

    @Test("A line of a known key that does not hold spoils the note; lines of others do not matter")
    func lines() throws {
        let ownKey = try #require(NoteKey(text: Self.ownKey))
        let witnessKey = try #require(NoteKey(text: Self.witnessKey))
        var note = try #require(SignedNote(bytes: Self.note))
        let wrong = SignedNote.Signature(by: ownKey, [UInt8](repeating: 1, count: 64))
        note.signatures.append(wrong)
        #expect(note.isSigned(by: ownKey) == false && note.isSigned(by: witnessKey) == true)
        note.signatures = [wrong]
        #expect(note.isSigned(by: witnessKey) == nil)
        // A time that was moved.
        let cosigned = try #require(SignedNote(bytes: Self.note)?.signatures.last)
        var bytes = cosigned.bytes
        bytes[7] ^= 1
        note.signatures = [.init(by: witnessKey, bytes)]
        #expect(note.isSigned(by: witnessKey) == false)
    }

    @Test(
        "What is not a note is refused",
        arguments: [
            "", "\n", "\n\n", "text\n", "text\n\n", "text\n\nno signature\n", "text\n\n- a AAAAAAAA\n",
            "text\n\n— a \n",
            "text\n\n— a AAAA\n", "text\n\n— a+b AAAAAAAA\n", "text\n\n—  AAAAAAAA\n", "text\n\n— a AAAAAAA\n",
            "text\n\n— a AAAAAAAA", "te\txt\n\n— a AAAAAAAA\n", "text\n\n— a\u{2003}b AAAAAAAA\n",
            "text\n\n— a AAAAAAAA \n", "text\n\n— a AAAAAAAB\n\n",
        ])
    func notNotes(text: String) {
        #expect(SignedNote(bytes: Array(text.utf8)) == nil)
    }

    @Test("Notes have a bound of bytes, of signatures and of names")
    func bounds() throws {
        let line = "— a AAAAAAAA\n"
        func note(_ count: Int) -> SignedNote? {
            SignedNote(bytes: Array(("text\n\n" + String(repeating: line, count: count)).utf8))
        }
        #expect(note(SignedNote.signaturesMax) != nil)
        #expect(note(SignedNote.signaturesMax + 1) == nil)
        let padding = SignedNote.bytesMax - "\n\n\(line)".utf8.count
        func long(_ count: Int) -> SignedNote? {
            SignedNote(bytes: Array((String(repeating: "x", count: count) + "\n\n\(line)").utf8))
        }
        #expect(long(padding) != nil)
        #expect(long(padding + 1) == nil)
        let key = try Self.own().publicKey
        let longest = String(repeating: "n", count: NoteKey.nameBytesMax)
        #expect(NoteKey(name: longest, kind: .note, publicKey: key) != nil)
        #expect(NoteKey(name: longest + "n", kind: .note, publicKey: key) == nil)
        #expect(SignedNote(bytes: [0x74, 0xFF] + Array("\n\n\(line)".utf8)) == nil)
    }

    @Test(
        "What is not a checkpoint is refused",
        arguments: [
            "", "o\n", "o\n1\n", "o\n01\n%\n", "o\n-1\n%\n", "o\n+1\n%\n", "o\n\n%\n", "\n1\n%\n", "o\n1\n\n",
            "o\n1\n%", "o\n1\n%\nextension\n", "o o\n1\n%\n", "o\n9007199254740993\n%\n",
            "o\n18446744073709551616\n%\n", "o\n1\nAAAA\n",
        ])
    func notCheckpoints(text: String) {
        #expect(Checkpoint(text: String(text.map { $0 == "%" ? Self.root : String($0) }.joined())) == nil)
    }

    @Test("A checkpoint of the empty tree with another root reads, and does not verify")
    func emptyTrees() throws {
        let own = try Self.own()
        for (root, isEmpty) in [(MerkleHash.empty, true), (.leaf([1]), false)] {
            let checkpoint = try #require(Checkpoint(text: "o\n0\n\(root.base64)\n"))
            let note = try checkpoint.signed(with: own)
            #expect((Checkpoint.verified(note, by: own.publicKey) != nil) == isEmpty)
        }
    }

    @Test("A proof is written and read again, to the byte")
    func proofs() throws {
        let note = try #require(SignedNote(bytes: Self.note))
        for (extra, count) in [(nil, 0), ([1, 2, 3], 3), ([], 63)] as [([UInt8]?, Int)] {
            let hashes = (0..<count).map { MerkleHash.leaf([UInt8($0)]) }
            let proof = LogProof(extra: extra, index: 7, hashes: hashes, note: note)
            let again = try #require(LogProof(bytes: proof.bytes))
            #expect(again.extra == extra && again.index == 7 && again.hashes == hashes)
            #expect(again.bytes == proof.bytes)
        }
    }

    @Test("A proof has a bound of hashes and of bytes, and one spelling")
    func badProofs() throws {
        let note = try #require(SignedNote(bytes: Self.note))
        let many = LogProof(
            extra: nil, index: 0, hashes: [MerkleHash](repeating: .empty, count: LogProof.hashesMax + 1), note: note)
        #expect(LogProof(bytes: many.bytes) == nil)
        let long = LogProof(extra: [UInt8](repeating: 0, count: LogProof.bytesMax), index: 0, hashes: [], note: note)
        #expect(LogProof(bytes: long.bytes) == nil)
        let text = String(decoding: LogProof(extra: [1], index: 7, hashes: [.empty], note: note).bytes, as: UTF8.self)
        #expect(LogProof(bytes: Array(text.utf8)) != nil)
        for (old, new) in [
            ("@v1", "@v2"), ("index 7", "index 07"), ("index 7", "index"), ("extra AQ==", "extra AR=="),
            ("extra AQ==\nindex 7", "index 7\nextra AQ=="), ("\n\n", "\n"),
        ] {
            let parts = text.split(separator: old, maxSplits: 1, omittingEmptySubsequences: false)
            let changed = parts.joined(separator: new)
            #expect(LogProof(bytes: Array(changed.utf8)) == nil, "\(new)")
        }
        #expect(LogProof(bytes: []) == nil)
    }

    @Test("The request in the specification of witnesses is read, and written as it was")
    func publishedRequest() throws {
        let text = """
            old 20852014
            PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
            jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
            5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
            /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

            example.com/behind-the-sofa
            20852163
            CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

            — example.com/behind-the-sofa \
            Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
            — example.com/behind-the-sofa \
            opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=

            """
        let growth = try #require(LogGrowth(bytes: Array(text.utf8)))
        let checkpoint = try #require(Checkpoint(text: growth.note.text))
        #expect(growth.oldSize == 20_852_014 && growth.hashes.count == 4 && growth.note.signatures.count == 2)
        #expect(checkpoint.origin == "example.com/behind-the-sofa" && checkpoint.head.size == 20_852_163)
        #expect(growth.bytes == Array(text.utf8))
    }

    @Test("What a witness is asked with is written and read again, and has a bound of hashes and of bytes")
    func growths() throws {
        let note = try #require(SignedNote(bytes: Self.note))
        for count in [0, 3, LogProof.hashesMax] {
            let hashes = (0..<count).map { MerkleHash.leaf([UInt8($0)]) }
            let growth = LogGrowth(oldSize: 7, hashes: hashes, note: note)
            let again = try #require(LogGrowth(bytes: growth.bytes))
            #expect(again.oldSize == 7 && again.hashes == hashes && again.bytes == growth.bytes)
        }
        let many = [MerkleHash](repeating: .empty, count: LogProof.hashesMax + 1)
        #expect(LogGrowth(bytes: LogGrowth(oldSize: 7, hashes: many, note: note).bytes) == nil)
        let line = try #require(note.signatures.first)
        func long(_ count: Int) -> LogGrowth {
            let signatures = [SignedNote.Signature](repeating: line, count: count)
            return LogGrowth(
                oldSize: 7, hashes: Array(many.dropFirst()), note: SignedNote(text: note.text, signatures: signatures))
        }
        #expect(LogGrowth(bytes: long(SignedNote.signaturesMax / 2).bytes) != nil)
        #expect(long(SignedNote.signaturesMax).bytes.count > LogGrowth.bytesMax)
        #expect(LogGrowth(bytes: long(SignedNote.signaturesMax).bytes) == nil)
        let text = String(decoding: LogGrowth(oldSize: 7, hashes: [.empty], note: note).bytes, as: UTF8.self)
        for (old, new) in [("old 7", "old 07"), ("old 7", "7"), ("old 7\n", ""), ("\n\n", "\n")] {
            let parts = text.split(separator: old, maxSplits: 1, omittingEmptySubsequences: false)
            #expect(LogGrowth(bytes: Array(parts.joined(separator: new).utf8)) == nil, "\(new)")
        }
    }

    @Test("Whatever arrives is read or refused", arguments: [UInt64(1), 2])
    func fuzzed(seed: UInt64) throws {
        var chance = SeededGenerator(seed: seed)
        let note = try #require(SignedNote(bytes: Self.note))
        let key = try #require(NoteKey(text: Self.ownKey))
        let good = LogProof(extra: [1], index: 7, hashes: [.empty, .empty], note: note).bytes
        for _ in 0..<3_000 {
            var bytes = good
            for _ in 0..<Int.random(in: 1...3, using: &chance) {
                bytes[Int.random(in: bytes.indices, using: &chance)] = UInt8.random(in: 0...255, using: &chance)
            }
            guard let proof = LogProof(bytes: Array(bytes[..<Int.random(in: 0...bytes.count, using: &chance)])) else {
                continue
            }
            // A text that is signed is the one that was signed.
            #expect(proof.note.isSigned(by: key) != true || proof.note.text == Self.text)
        }
    }
}
