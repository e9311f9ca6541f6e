import Determinism
import GossipSub
import Multiformats
import P2PTesting
import Testing

@Suite struct CodecTests {
    static func randomRPC(_ generator: inout SeededGenerator) -> GossipSubRPC {
        func bytes(_ range: ClosedRange<Int>) -> [UInt8] {
            (0..<Int.random(in: range, using: &generator)).map { _ in UInt8.random(in: .min ... .max, using: &generator)
            }
        }
        func topic() -> String { "topic-\(Int.random(in: 0..<20, using: &generator))" }
        func ids() -> [MessageID] {
            (0..<Int.random(in: 0..<6, using: &generator)).map { _ in .init(bytes: bytes(1...50)) }
        }
        func times(_ body: () -> Void) { for _ in 0..<Int.random(in: 0..<4, using: &generator) { body() } }
        var rpc = GossipSubRPC()
        times { rpc.subscriptions.append(.init(subscribes: Bool.random(using: &generator), topic: topic())) }
        times { rpc.messages.append(bytes(0...80)) }
        times { rpc.ihave.append(.init(topic: topic(), messageIDs: ids())) }
        times { rpc.iwant.append(ids()) }
        times { rpc.graft.append(topic()) }
        times {
            let backoff = Bool.random(using: &generator) ? nil : UInt64.random(in: .min ... .max, using: &generator)
            rpc.prune.append(.init(topic: topic(), backoffSeconds: backoff))
        }
        return rpc
    }

    @Test(arguments: [UInt64(1), 2, 3, 4, 5]) func whatIsEncodedDecodesToTheSame(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        for round in 0..<60 {
            let rpc = Self.randomRPC(&generator)
            let decoded = try GossipSubCodec.decode(GossipSubCodec.encode(rpc), limits: .init())
            #expect(decoded == rpc, "seed \(seed) round \(round)")
        }
    }

    @Test(arguments: [UInt64(11), 12]) func mutilatedBytesAreRefusedOrComeBackTheSame(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var accepted = 0
        for _ in 0..<400 {
            let bytes = generator.mutated(GossipSubCodec.encode(Self.randomRPC(&generator)))
            guard let rpc = try? GossipSubCodec.decode(bytes, limits: .init()) else { continue }
            accepted += 1
            let wire = GossipSubCodec.encode(rpc)
            var again = try GossipSubCodec.decode(wire, limits: .init())
            #expect(again.entriesLeftOut == 0, "seed \(seed)")
            again.entriesLeftOut = rpc.entriesLeftOut
            #expect(again == rpc, "seed \(seed)")
        }
        #expect((1..<400).contains(accepted), "seed \(seed): \(accepted) accepted")
    }

    @Test func theBytesAreThoseOfTheSpecification() throws {
        var rpc = GossipSubRPC()
        rpc.subscriptions = [.init(subscribes: true, topic: "t")]
        rpc.graft = ["t"]
        rpc.prune = [.init(topic: "u", backoffSeconds: 60)]
        #expect(
            GossipSubCodec.encode(rpc) == [
                0x0A, 5, 0x08, 1, 0x12, 1, 0x74,  // subscriptions { subscribe: true topicid: "t" }
                0x1A, 12,  // control
                0x1A, 3, 0x0A, 1, 0x74,  // graft { topicID: "t" }
                0x22, 5, 0x0A, 1, 0x75, 0x18, 60,  // prune { topicID: "u" backoff: 60 }
            ])
    }

    @Test func aMebibyteOfEmptyEntriesIsRefusedAtTheElementCap() {
        let limits = GossipSubRouter.Limits()
        for entry in [[0x0A, 0], [0x12, 0], [0x1A, 0], [0x7A, 0]] as [[UInt8]] {
            let bytes = Array(repeatElement(entry, count: limits.rpcBytesMax / 2).joined())
            #expect(throws: GossipSubCodecError.tooManyElements(elementsMax: limits.rpcElementsMax)) {
                try GossipSubCodec.decode(bytes, limits: limits)
            }
        }
    }

    @Test func nestedElementsCountAgainstTheSameCap() {
        var limits = GossipSubRouter.Limits()
        limits.rpcElementsMax = 100
        var rpc = GossipSubRPC()
        // 1 control, 1 IHAVE, 1 topic, 98 IDs: one more than the cap, though no single message has a hundred fields.
        rpc.ihave = [.init(topic: "t", messageIDs: (0..<98).map { .init(bytes: [UInt8($0)]) })]
        #expect(throws: GossipSubCodecError.tooManyElements(elementsMax: 100)) {
            try GossipSubCodec.decode(GossipSubCodec.encode(rpc), limits: limits)
        }
        rpc.ihave[0].messageIDs.removeLast()
        #expect(throws: Never.self) { try GossipSubCodec.decode(GossipSubCodec.encode(rpc), limits: limits) }
    }

    @Test func anRPCLongerThanTheLimitIsRefused() {
        let limits = GossipSubRouter.Limits()
        #expect(throws: GossipSubCodecError.tooLong(bytes: limits.rpcBytesMax + 1, bytesMax: limits.rpcBytesMax)) {
            try GossipSubCodec.decode([UInt8](repeating: 0, count: limits.rpcBytesMax + 1), limits: limits)
        }
    }

    @Test func entriesBeyondTheirLimitAreLeftOutAndCounted() throws {
        var limits = GossipSubRouter.Limits()
        limits.subscriptionsPerRPCMax = 2
        limits.messagesPerRPCMax = 3
        limits.controlEntriesPerRPCMax = 4
        limits.topicBytesMax = 5
        limits.messageIDBytesMax = 6
        var rpc = GossipSubRPC()
        rpc.subscriptions = (0..<3).map { .init(subscribes: true, topic: "s\($0)") }
        rpc.messages = Array(repeating: [1], count: 5)
        rpc.ihave = (0..<5).map { .init(topic: "t\($0)", messageIDs: [.init(bytes: [1])]) }
        rpc.iwant = Array(repeating: [.init(bytes: [9]), .init(bytes: [UInt8](repeating: 1, count: 7))], count: 5)
        rpc.graft = (0..<6).map { "g\($0)" }
        rpc.prune = (0..<6).map { .init(topic: "p\($0)", backoffSeconds: 1) }
        let decoded = try GossipSubCodec.decode(GossipSubCodec.encode(rpc), limits: limits)
        #expect(decoded.subscriptions.count == 2)
        #expect(decoded.messages.count == 3)
        #expect(decoded.ihave.count == 4)
        #expect(decoded.iwant == Array(repeating: [.init(bytes: [9])], count: 4))
        #expect(decoded.graft.count == 4)
        #expect(decoded.prune.count == 4)
        #expect(decoded.entriesLeftOut == 1 + 2 + 1 + (1 + 5) + 2 + 2)

        var long = GossipSubRPC()
        long.graft = ["longer", "short"]
        #expect(try GossipSubCodec.decode(GossipSubCodec.encode(long), limits: limits).graft == ["short"])
    }

    @Test func unknownFieldsAndIDONTWANTAreSkipped() throws {
        var writer = ProtobufWriter()
        writer.message(3) {
            $0.message(5) { $0.bytes(1, [1, 2, 3]) }  // IDONTWANT of 1.2
            $0.message(3) { $0.text(1, "t") }
        }
        writer.varint(99, 7)
        let rpc = try GossipSubCodec.decode(writer.bytes, limits: .init())
        #expect(rpc.graft == ["t"])
        #expect(rpc.entriesLeftOut == 0)
    }

    @Test func exchangedPeersAreCountedAndNotKept() throws {
        var writer = ProtobufWriter()
        writer.message(3) { control in
            control.message(4) { prune in
                prune.text(1, "t")
                for _ in 0..<16 { prune.message(2) { $0.bytes(1, [1, 2, 3]) } }
                prune.varint(3, .max)
            }
        }
        let rpc = try GossipSubCodec.decode(writer.bytes, limits: .init())
        #expect(rpc.prune == [.init(topic: "t", backoffSeconds: .max, exchangedPeers: 16)])
    }

    @Test func wrongWireTypesAreMalformed() {
        var writer = ProtobufWriter()
        writer.varint(1, 5)
        #expect(throws: GossipSubCodecError.malformed) { try GossipSubCodec.decode(writer.bytes, limits: .init()) }
    }
}
