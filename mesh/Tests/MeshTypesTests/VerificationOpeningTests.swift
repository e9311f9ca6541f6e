import IPLD
import MeshTypes
import Multiformats
import SignedObjects
import Testing

@Suite("Commitments to how a result is checked")
struct VerificationOpeningTests {
    private let seed = [UInt8](0..<32)

    @Test("A commitment hides level and seed, and only they open it")
    func commitments() throws {
        let levels: [VerificationLevel] = [.none, .spot(permille: 1), .spot(permille: 1_000), .replay]
        let commitments = try levels.map { level in
            try #require(VerificationOpening(level: level, seed: seed).commitment)
        }
        #expect(Set(commitments).count == levels.count)
        #expect(commitments.allSatisfy { $0.count == VerificationOpening.commitmentBytes })
        for (level, commitment) in zip(levels, commitments) {
            #expect(VerificationOpening(level: level, seed: seed).opens(commitment))
            #expect(!VerificationOpening(level: level, seed: [1] + seed.dropFirst()).opens(commitment))
            for other in levels where other != level {
                #expect(!VerificationOpening(level: other, seed: seed).opens(commitment))
            }
            #expect(!VerificationOpening(level: level, seed: seed).opens(nil))
        }
        let short = VerificationOpening(level: .none, seed: [1])
        #expect(!short.opens(short.commitment))
        let never = VerificationOpening(level: .spot(permille: 0), seed: seed)
        #expect(!never.opens(never.commitment))
    }

    @Test("The draw is the one that PROTOCOL.md describes")
    func draws() {
        var drawn = 0
        for number in 0..<2_000 {
            let receipt = CID.hashing([UInt8(number % 256), UInt8(number / 256)], codec: .dagCBOR)
            #expect(!VerificationOpening(level: .none, seed: seed).draws(receipt))
            #expect(VerificationOpening(level: .replay, seed: seed).draws(receipt))
            let digest = CID.hashing(
                Array("icn-mesh/v1/VerificationDraw\0".utf8) + seed + receipt.bytes, codec: .raw
            ).multihash.digest
            let value = digest.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) } % 1_000
            let opening = VerificationOpening(level: .spot(permille: 100), seed: seed)
            #expect(opening.draws(receipt) == (value < 100))
            drawn += opening.draws(receipt) ? 1 : 0
        }
        #expect((150...250).contains(drawn), "\(drawn) of 2,000 at 10 %")
    }

    @Test("Levels read as they are written")
    func texts() {
        let good: [(String, VerificationLevel)] = [
            ("none", .none), ("replay", .replay), ("spot:10%", .spot(permille: 100)), ("spot:0.1%", .spot(permille: 1)),
            ("spot:100%", .spot(permille: 1_000)), ("spot:2.5%", .spot(permille: 25)),
            ("quorum:2/3", .quorum(agreeing: 2, of: 3)), ("quorum:8/8", .quorum(agreeing: 8, of: 8)),
            ("quorum:2/2", .quorum(agreeing: 2, of: 2)), ("quorum:5/8", .quorum(agreeing: 5, of: 8)),
            ("replay@executor", .byExecutor(.replay)), ("adaptive@executor", .byExecutor(.adaptive)),
            ("spot:10%@executor", .byExecutor(.spot(permille: 100))),
        ]
        for (text, level) in good {
            #expect(VerificationLevel(text: text) == level)
            #expect(level.description == text)
        }
        for text in [
            "", "spot", "spot:", "spot:%", "spot:0%", "spot:0.0%", "spot:100.1%", "spot:10", "spot:1.25%",
            "spot:-1%", "spot:.5%", "spot:5.%", "Replay", "spot:99999999999999999999%", "spot:٣%", "quorum",
            "quorum:", "quorum:2", "quorum:1/1", "quorum:1/2", "quorum:4/8", "quorum:3/2", "quorum:5/9", "quorum:2/3/4",
            "quorum:02/3", "quorum:-2/3", "quorum:٢/3", "quorum:2/3 ", "quorum:/",
            "@executor", "none@executor", "quorum:2/3@executor", "replay@executor@executor", "replay@",
            "replay@Executor", "spot:0%@executor", "replay @executor",
        ] {
            #expect(VerificationLevel(text: text) == nil, "\(text)")
        }
    }

    @Test("Who checks stands beside the level, and earlier versions read that as ever")
    func checkers() throws {
        let own = VerificationOpening(level: .spot(permille: 100), seed: seed)
        let other = VerificationOpening(level: .byExecutor(.spot(permille: 100)), seed: seed)
        let bytes = try DAGCBOREncoder().encode(other)
        #expect(try DAGCBORDecoder().decode(VerificationOpening.self, from: bytes) == other)
        #expect(try DAGCBORDocument(validating: bytes).root.decode(VerificationOpening.self) == other)
        #expect(try DAGCBORDecoder().decode(VerificationOpening.self, from: DAGCBOREncoder().encode(own)) == own)
        let node = try DAGCBORDocument(validating: bytes).root.decode(Earlier.self)
        #expect(node.level == own.level && node.seed == seed)
        #expect(own.commitment != other.commitment)
        #expect(!own.opens(other.commitment) && other.opens(other.commitment))
        for number in 0..<50 as Range<UInt8> {
            let receipt = CID.hashing([number], codec: .dagCBOR)
            #expect(own.draws(receipt) == other.draws(receipt))
        }
        for level: VerificationLevel in [.none, .quorum(agreeing: 2, of: 3), .byExecutor(.replay)] {
            let opening = VerificationOpening(level: .byExecutor(level), seed: seed)
            #expect(!opening.opens(opening.commitment), "\(level)")
        }
        #expect(VerificationLevel.byExecutor(.replay).executors == 1)
        #expect(VerificationLevel.byExecutor(.replay).executorsMost == VerificationLevel.checkedExecutorsMax)
        #expect(VerificationLevel.quorum(agreeing: 2, of: 3).executorsMost == 3)
        #expect(VerificationLevel.replay.executorsMost == 1)
    }

    /// An opening as versions read it that knew only the originator as checker.
    private struct Earlier: Codable {
        let level: VerificationLevel
        let seed: [UInt8]
    }

    @Test("A manifest with a commitment reads in both ways, and one without as ever")
    func manifests() throws {
        var manifest = Samples.manifest
        manifest.params = MeshJobParams(wasmCID: Samples.module)
        let without = try DAGCBOREncoder().encode(manifest)
        #expect(try DAGCBORDecoder().decode(JobManifest.self, from: without) == manifest)
        manifest.verificationCommitment = seed
        let with = try DAGCBOREncoder().encode(manifest)
        #expect(try DAGCBORDecoder().decode(JobManifest.self, from: with) == manifest)
        #expect(try JobManifest(plain: DAGCBORDocument(validating: with).root) == manifest)
        #expect(try DAGCBORDocument(validating: with).root.decode(JobManifest.self) == manifest)
        #expect(JobRules().refusal(of: manifest, wallClock: Samples.date) == nil)
        manifest.verificationCommitment = [1]
        #expect(JobRules().refusal(of: manifest, wallClock: Samples.date) == .commitmentLength(1))
    }
}
