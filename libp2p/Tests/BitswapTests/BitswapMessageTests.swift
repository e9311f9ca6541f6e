import Bitswap
import Determinism
import Multiformats
import P2PTesting
import Testing

@Suite("Bitswap messages")
struct BitswapMessageTests {
    private func sample(_ generator: inout SeededGenerator) -> BitswapMessage {
        func cid() -> CID {
            CID.hashing(bytes("\(Int.random(in: 0..<1_000, using: &generator))"), codec: .raw)
        }
        func count() -> Int { Int.random(in: 0...6, using: &generator) }
        return BitswapMessage(
            wants: (0..<count()).map { number in
                .init(cid: cid(), kind: number % 2 == 0 ? .block : .have, sendDontHave: number % 3 == 0)
            },
            replacesWants: Bool.random(using: &generator),
            blocks: (0..<count()).map { .init(prefix: [1, 0x55, 0x12, 32], data: bytes("block \($0)")) },
            presences: (0..<count()).map { .init(cid: cid(), isPresent: $0 % 2 == 0) })
    }

    @Test("Encoding and decoding give the same message back")
    func roundTrip() throws {
        var generator = SeededGenerator(seed: 201)
        for _ in 0..<100 {
            let message = sample(&generator)
            #expect(try BitswapMessageCoding.decode(BitswapMessageCoding.encode(message)) == message)
        }
    }

    @Test("Broken bytes are refused, or read as a message that comes back the same", arguments: [202, 203] as [UInt64])
    func fuzz(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var accepted = 0
        for _ in 0..<1_000 {
            let wire = generator.mutated(BitswapMessageCoding.encode(sample(&generator)), most: 6)
            guard let message = try? BitswapMessageCoding.decode(wire) else { continue }
            accepted += 1
            #expect(try BitswapMessageCoding.decode(BitswapMessageCoding.encode(message)) == message, "seed \(seed)")
            for block in message.blocks {
                guard let cid = BlockPrefix.cid(prefix: block.prefix, data: block.data) else { continue }
                #expect(cid.isSHA256 && cid.multihash.digest == Multihash.sha256(of: block.data).digest)
            }
        }
        #expect((1..<1_000).contains(accepted), "seed \(seed): \(accepted) accepted")
    }

    @Test("Past each limit there is an error of its name")
    func limits() {
        func failure(_ bytes: [UInt8]) -> BitswapMessageError? {
            do {
                _ = try BitswapMessageCoding.decode(bytes)
                return nil
            } catch {
                return error
            }
        }
        let mebibyte = 1024 * 1024
        #expect(failure(.init(repeating: 0, count: 4 * mebibyte + 1)) == .messageTooLarge(bytesMax: 4 * mebibyte))
        let large = BitswapMessage(blocks: [.init(prefix: [], data: .init(repeating: 0, count: 2 * mebibyte + 1))])
        #expect(failure(BitswapMessageCoding.encode(large)) == .blockTooLarge(bytesMax: 2 * mebibyte))
        #expect(failure([0x08, 1]) == .wrongWireType(field: 1))
        #expect(failure([0x0a, 9, 0]) == .malformed(.truncated))
        #expect(failure([0x0a, 4, 0x0a, 2, 0x20, 7]) == .unknownKind(7))
        #expect(failure([0x22, 2, 0x10, 2]) == .unknownKind(2))
        var flood = ProtobufWriter()
        for _ in 0..<5_000 { flood.bytes(3, []) }
        #expect(failure(flood.bytes) == .malformed(.tooManyFields(fieldsMax: 4_096)))
        var wants = ProtobufWriter()
        let cid = CID.hashing(bytes("x"), codec: .raw)
        for _ in 0..<3 {
            wants.message(1) { list in
                for _ in 0..<2_000 { list.message(1) { $0.bytes(1, cid.bytes) } }
            }
        }
        #expect(failure(wants.bytes) == .malformed(.tooManyFields(fieldsMax: 4_096)))
    }

    @Test("A prefix and a block name the block's CID, version 0 included")
    func prefixes() throws {
        let data = bytes("hello")
        for codec in [CID.Codec.raw, .dagCBOR, .dagPB] {
            let cid = CID.hashing(data, codec: codec)
            let prefix = try #require(BlockPrefix.bytes(of: cid))
            #expect(BlockPrefix.cid(prefix: prefix, data: data) == cid)
        }
        #expect(BlockPrefix.bytes(of: CID.hashing(data, codec: .raw)) == [1, 0x55, 0x12, 0x20])
        let version0 = try CID(bytes: Multihash.sha256(of: data).bytes)
        #expect(BlockPrefix.bytes(of: version0) == [0, 0x70, 0x12, 0x20])
        #expect(BlockPrefix.cid(prefix: [0, 0x70, 0x12, 0x20], data: data) == version0)
        let broken: [[UInt8]] = [
            [], [1], [1, 0x55, 0x12, 0x20, 0], [1, 0x55, 0x13, 0x20], [2, 0x55, 0x12, 0x20], [1, 0x55, 0x12, 16],
        ]
        for prefix in broken {
            #expect(BlockPrefix.cid(prefix: prefix, data: data) == nil)
        }
        let identity = CID(codec: .raw, multihash: .identity(of: data))
        #expect(BlockPrefix.bytes(of: identity) == nil)
    }
}
