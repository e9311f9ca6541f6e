import Determinism
import IPLD
import Multiformats
import P2PTesting
import Testing

/// Random values of the data model.
struct ValueGenerator: RandomNumberGenerator {
    private var seeded: SeededGenerator

    init(state: UInt64) { seeded = SeededGenerator(seed: state) }

    mutating func next() -> UInt64 { seeded.next() }

    mutating func number(_ range: Range<Int>) -> Int { Int.random(in: range, using: &self) }

    mutating func text() -> String {
        let pieces = ["a", "bb", "/", "\"", "\\", "\n", "\u{1}", "é", "水", "𐅑", "key", "\u{7F}", "e\u{301}"]
        return (0..<number(0..<5)).map { _ in pieces[number(0..<pieces.count)] }.joined()
    }

    mutating func integer() -> UInt64 { next() >> UInt64(number(0..<64)) }

    mutating func value(_ depth: Int = 0) -> IPLDValue {
        switch number(0..<(depth > 4 ? 8 : 12)) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &self))
        case 2: return .unsigned(integer())
        case 3: return .negative(~Int64(bitPattern: integer() >> 1))
        case 4:
            let double = Double(bitPattern: next())
            return .float(double.isFinite ? double : 1)
        case 5: return .string(text())
        case 6: return .bytes((0..<number(0..<40)).map { _ in UInt8.random(in: 0...255, using: &self) })
        case 7: return .link(CID.hashing(Array(text().utf8), codec: number(0..<2) == 0 ? .raw : .dagCBOR))
        case 8, 9: return .list((0..<number(0..<6)).map { _ in value(depth + 1) })
        default:
            var entries: [IPLDMap.Entry] = []
            for _ in 0..<number(0..<6) {
                let key = text()
                if key == "/" || entries.contains(where: { $0.key.utf8.elementsEqual(key.utf8) }) { continue }
                entries.append(.init(key: key, value: value(depth + 1)))
            }
            return (try? IPLDMap(entries)).map { .map($0) } ?? .null
        }
    }

    mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
        seeded.mutated(
            bytes, most: 3,
            meaningful: [0x00, 0x18, 0x1B, 0x5F, 0x7F, 0x80, 0x9B, 0xA1, 0xBF, 0xD8, 0xF6, 0xFB, 0xFF])
    }
}

@Suite struct RandomValueTests {
    static let seed: UInt64 = 0x6970_6C64_0001

    @Test func valuesComeBack() throws {
        print("RandomValueTests.valuesComeBack seed \(Self.seed)")
        var generator = ValueGenerator(state: Self.seed)
        for round in 0..<3000 {
            let value = generator.value()
            let cbor = try DAGCBOR.encode(value)
            #expect(try DAGCBOR.decode(cbor) == value, "round \(round)")
            let json = try DAGJSON.encode(value)
            #expect(try DAGJSON.decode(json) == value, "round \(round): \(String(decoding: json, as: UTF8.self))")
        }
    }

    /// Whatever decodes is what encoding gives; nothing crashes on the rest.
    @Test func mutationsAreRefusedOrCanonical() throws {
        print("RandomValueTests.mutationsAreRefusedOrCanonical seed \(Self.seed)")
        var generator = ValueGenerator(state: Self.seed ^ 1)
        var accepted = 0
        for _ in 0..<20_000 {
            let bytes = generator.mutated(try DAGCBOR.encode(generator.value(2)))
            if let value = try? DAGCBOR.decode(bytes) {
                accepted += 1
                #expect(try DAGCBOR.encode(value) == bytes)
            }
            _ = try? DAGCBORDecoder().decode(CodableTests.Everything.self, from: bytes)
        }
        #expect(accepted > 100)
    }

    @Test func mutationsOfATypedValue() throws {
        print("RandomValueTests.mutationsOfATypedValue seed \(Self.seed)")
        var generator = ValueGenerator(state: Self.seed ^ 2)
        let original = try DAGCBOREncoder().encode(CodableTests.everything)
        for _ in 0..<20_000 {
            let bytes = generator.mutated(original)
            guard let value = try? DAGCBORDecoder().decode(CodableTests.Everything.self, from: bytes) else { continue }
            // A dictionary holds no more than the type, so compare what it says and not the bytes.
            let again = try DAGCBOREncoder().encode(value)
            #expect(try DAGCBORDecoder().decode(CodableTests.Everything.self, from: again) == value)
        }
    }

    @Test func mutationsOfJSON() throws {
        print("RandomValueTests.mutationsOfJSON seed \(Self.seed)")
        var generator = ValueGenerator(state: Self.seed ^ 3)
        for _ in 0..<20_000 {
            let bytes = generator.mutated(try DAGJSON.encode(generator.value(2)))
            if let value = try? DAGJSON.decode(bytes) { #expect(try DAGJSON.encode(value) == bytes) }
            if let value = try? DAGJSON.decode(bytes, form: .relaxed) {
                #expect(try DAGJSON.decode(DAGJSON.encode(value)) == value)
            }
        }
    }
}

@Suite struct SpellingTests {
    @Test func textsAndKeysCompareByTheirBytes() throws {
        let (composed, decomposed) = ("\u{E9}", "e\u{301}")
        #expect(IPLDValue.string(composed) != .string(decomposed))
        #expect(Set([IPLDValue.string(composed), .string(decomposed), .string(composed)]).count == 2)
        let first = try IPLDMap([.init(key: composed, value: .null), .init(key: decomposed, value: .bool(true))])
        #expect(first.entries.count == 2)
        #expect(([composed: .null, decomposed: .null] as IPLDMap).entries.count == 2)
        #expect(([composed: .null] as IPLDMap) != [decomposed: .null])
        let value = IPLDValue.map(first)
        #expect(try DAGCBOR.decode(DAGCBOR.encode(value)) == value)
    }

    @Test func integersAboveTheLimitAreRefused() throws {
        let limits = DAGCBOR.Limits(integerMax: UInt64(Int64.max))
        let bytes = try DAGCBOR.encode(.list([.unsigned(UInt64(Int64.max)), .negative(.min)]))
        #expect(throws: Never.self) { try DAGCBOR.decode(bytes, limits: limits) }
        let large = try DAGCBOR.encode(.list([.unsigned(1 << 63)]))
        #expect(throws: DAGCBORError.integerTooLarge(integerMax: UInt64(Int64.max), offset: 1)) {
            try DAGCBOR.decode(large, limits: limits)
        }
        #expect(try DAGCBOR.decode(large) == .list([.unsigned(1 << 63)]), "the format itself has it")
    }
}
