import Multiformats
import PeerIdentity
import Testing

@testable import MerkleLog

/// What a witness answers, case by case as c2sp.org/tlog-witness says.
@Suite struct WitnessRuleTests {
    private static let origin = "example.org/log"
    private let identity: Identity
    private let other: Identity

    init() throws {
        identity = try Identity(seed: [UInt8](repeating: 5, count: 32))
        other = try Identity(seed: [UInt8](repeating: 6, count: 32))
    }

    /// A tree, with the hashes that it made.
    private func tree(_ leaves: [UInt8]) -> (tree: MerkleTree, hashes: [HashPlace: MerkleHash]) {
        var tree = MerkleTree()
        var hashes: [HashPlace: MerkleHash] = [:]
        for (index, leaf) in leaves.enumerated() {
            for (level, hash) in tree.append(.leaf([leaf])).enumerated() {
                hashes[HashPlace(level: UInt64(level), index: UInt64(index) >> UInt64(level))] = hash
            }
        }
        return (tree, hashes)
    }

    private func head(_ leaves: [UInt8]) -> TreeHead { TreeHead(tree(leaves).tree) }

    /// A request: from a size to the tree of some leaves.
    private func request(
        from size: UInt64, to leaves: [UInt8], by signer: Identity? = nil, root: MerkleHash? = nil,
        hashes: [MerkleHash]? = nil
    ) throws -> LogGrowth {
        let (tree, stored) = tree(leaves)
        let head = TreeHead(size: tree.size, root: root ?? tree.root)
        let checkpoint = try #require(Checkpoint(origin: Self.origin, head: head))
        let proof = hashes ?? ProofPlan.consistency(of: size, in: tree.size)?.proof(of: stored) ?? []
        return LogGrowth(oldSize: size, hashes: proof, note: try checkpoint.signed(with: signer ?? identity))
    }

    private func refusal(_ request: LogGrowth, after known: TreeHead?, isKnown: Bool = true) -> WitnessRule.Refusal? {
        do throws(WitnessRule.Refusal) {
            _ = try WitnessRule.accepted(request) { _ in
                isKnown ? identity.publicKey : nil
            } latest: { _ in
                known
            }
            return nil
        } catch {
            return error
        }
    }

    @Test func whatContinuesTheHeadIsTaken() throws {
        #expect(refusal(try request(from: 0, to: [1, 2, 3]), after: nil) == nil)
        #expect(refusal(try request(from: 3, to: [1, 2, 3]), after: head([1, 2, 3])) == nil)
        #expect(refusal(try request(from: 3, to: [1, 2, 3, 4, 5]), after: head([1, 2, 3])) == nil)
        #expect(refusal(try request(from: 0, to: []), after: nil) == nil, "an empty log is a log")
    }

    @Test func otherSizesAreToldTheOneThatIsKnown() throws {
        let known = head([1, 2, 3])
        for size in [0, 1, 2, 4] as [UInt64] {
            #expect(refusal(try request(from: size, to: [1, 2, 3, 4, 5]), after: known) == .otherSize(3))
        }
        #expect(refusal(try request(from: 2, to: [1, 2, 3]), after: nil) == .otherSize(0))
    }

    @Test func whatDoesNotContinueItIsRefused() throws {
        let known = head([1, 2, 3])
        #expect(
            refusal(try request(from: 3, to: [1, 2, 9]), after: known) == .inconsistent, "another root of one size")
        #expect(refusal(try request(from: 3, to: [1, 2, 9, 4]), after: known) == .inconsistent)
        #expect(refusal(try request(from: 3, to: [1, 2, 3, 4], hashes: []), after: known) == .inconsistent)
        let extra = try request(from: 0, to: [1], hashes: [.leaf([1])])
        #expect(refusal(extra, after: nil) == .inconsistent, "from nothing no proof is taken")
        let strange = try request(from: 0, to: [], root: .leaf([1]))
        #expect(refusal(strange, after: nil) == .inconsistent, "the empty tree has one root")
    }

    @Test func whatIsNotOfTheLogIsRefused() throws {
        let good = try request(from: 0, to: [1])
        #expect(refusal(good, after: nil, isKnown: false) == .unknownLog)
        #expect(refusal(try request(from: 0, to: [1], by: other), after: nil) == .notSigned)
        var broken = good.note
        let key = try #require(NoteKey(name: Self.origin, kind: .note, publicKey: identity.publicKey))
        broken.signatures.append(.init(by: key, [UInt8](repeating: 0, count: 64)))
        let second = LogGrowth(oldSize: 0, hashes: [], note: broken)
        #expect(refusal(second, after: nil) == .notSigned, "one of two lines of the key does not hold")
        var twice = good.note
        twice.signatures += twice.signatures
        let double = LogGrowth(oldSize: 0, hashes: [], note: twice)
        #expect(refusal(double, after: nil) == .notSigned, "two lines of the key, though both hold")
        #expect(refusal(try request(from: 2, to: [1]), after: head([1, 2])) == .malformed, "it would shrink")
        let text = SignedNote(text: "no checkpoint\n", signatures: good.note.signatures)
        #expect(refusal(LogGrowth(oldSize: 0, hashes: [], note: text), after: nil) == .malformed)
    }

    @Test func statusesAreThoseOfTheSpecification() {
        let refusals: [WitnessRule.Refusal] = [.malformed, .notSigned, .unknownLog, .otherSize(1), .inconsistent]
        #expect(refusals.map(\.status) == [400, 403, 404, 409, 422])
    }

    @Test func twoQuorumsHaveAnHonestWitnessInCommon() {
        for count in 1...12 {
            for faulty in 0..<count {
                for needed in 0...count + 1 {
                    // Two sets of `needed` have at least so many in common.
                    let common = 2 * needed - count
                    let isSound = needed <= count && common > faulty
                    #expect((WitnessQuorum(of: count, faulty: faulty, needed: needed) != nil) == isSound)
                }
            }
        }
        #expect([1, 2, 3, 4, 7].map { WitnessQuorum(of: $0)?.needed } == [1, 2, 2, 3, 5])
        #expect(WitnessQuorum(of: 0) == nil && WitnessQuorum(of: 0, faulty: 0, needed: 0) == nil)
        for number in [Int.min, .max] {
            #expect(WitnessQuorum(of: 4, faulty: number, needed: 3) == nil, "\(number)")
            #expect(WitnessQuorum(of: 4, faulty: 1, needed: number) == nil, "\(number)")
        }
    }

    @Test func theAddressSaysWhereAWitnessIsAsked() throws {
        let key = try #require(NoteKey(name: "w.example", kind: .cosignature, publicKey: identity.publicKey))
        typealias Place = WitnessEntry.Place
        for (url, place) in [
            ("http://w.example", Place(host: "w.example", port: 80, prefix: "")),
            ("http://w.example:8080/a/b/", Place(host: "w.example", port: 8_080, prefix: "/a/b")),
            ("http://[::1]:1/w", Place(host: "::1", port: 1, prefix: "/w")),
            ("http://[::1]", Place(host: "::1", port: 80, prefix: "")),
            ("https://w.example", nil), ("http://", nil), ("http://w:0", nil), ("http://w:99999", nil),
            ("http://w:x", nil), ("http://u@w", nil), ("http://w/?q", nil), ("ftp://w", nil),
        ] as [(String, Place?)] {
            #expect(WitnessEntry(text: "\(key.text) \(url)")?.place == place, "\(url)")
        }
        #expect(WitnessEntry(text: key.text)?.place == nil)
    }

    @Test func anEntryNamesAKeyOfCosignaturesAndAnAddress() throws {
        let key = try #require(NoteKey(name: "w.example", kind: .cosignature, publicKey: identity.publicKey))
        #expect(WitnessEntry(text: key.text)?.url == nil && WitnessEntry(text: key.text) != nil)
        #expect(WitnessEntry(text: key.text + " http://127.0.0.1:1/w")?.url == "http://127.0.0.1:1/w")
        let log = try #require(NoteKey(name: "w.example", kind: .note, publicKey: identity.publicKey))
        let long = key.text + " http://" + String(repeating: "a", count: WitnessEntry.textBytesMax)
        for text in ["", "x", log.text, key.text + " a b", long] { #expect(WitnessEntry(text: text) == nil) }
    }
}
