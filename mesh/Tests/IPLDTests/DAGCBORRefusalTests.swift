import IPLD
import Multiformats
import Testing

@Suite struct DAGCBORRefusalTests {
    static let link: [UInt8] = [0xD8, 0x2A, 0x58, 0x25, 0x00] + CID.hashing([], codec: .raw).bytes

    static let forms: [(String, [UInt8], DAGCBORError)] = [
        ("nothing", [], .truncated(offset: 0)),
        ("two values", [0x01, 0x02], .trailingBytes(offset: 1)),
        ("0 in one more byte", [0x18, 0x00], .notShortest(offset: 0)),
        ("23 in one more byte", [0x18, 0x17], .notShortest(offset: 0)),
        ("255 in two bytes", [0x19, 0x00, 0xFF], .notShortest(offset: 0)),
        ("65535 in four bytes", [0x1A, 0, 0, 0xFF, 0xFF], .notShortest(offset: 0)),
        ("2^32-1 in eight bytes", [0x1B, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF], .notShortest(offset: 0)),
        ("-1 in one more byte", [0x38, 0x00], .notShortest(offset: 0)),
        ("-2^63-1", [0x3B, 0x80, 0, 0, 0, 0, 0, 0, 0], .integerOutOfRange(offset: 0)),
        ("long length of bytes", [0x58, 0x01, 0xAA], .notShortest(offset: 0)),
        ("long length of a text", [0x78, 0x01, 0x61], .notShortest(offset: 0)),
        ("long length of a list", [0x98, 0x01, 0x00], .notShortest(offset: 0)),
        ("long length of a map", [0xB8, 0x00], .notShortest(offset: 0)),
        ("long tag 42", [0xD9, 0x00, 0x2A] + link.dropFirst(2), .notShortest(offset: 0)),
        ("indefinite bytes", [0x5F, 0x41, 0x00, 0xFF], .indefiniteLength(offset: 0)),
        ("indefinite text", [0x7F, 0x61, 0x61, 0xFF], .indefiniteLength(offset: 0)),
        ("indefinite list", [0x9F, 0xFF], .indefiniteLength(offset: 0)),
        ("indefinite map", [0xBF, 0xFF], .indefiniteLength(offset: 0)),
        ("a break alone", [0xFF], .indefiniteLength(offset: 0)),
        ("a break in a list", [0x81, 0xFF], .indefiniteLength(offset: 1)),
        ("reserved 28", [0x1C], .reservedInformation(offset: 0)),
        ("reserved 29 of a map", [0xBD], .reservedInformation(offset: 0)),
        ("reserved 30 of simple", [0xFE], .reservedInformation(offset: 0)),
        ("half float", [0xF9, 0x3C, 0x00], .shortFloat(offset: 0)),
        ("single float", [0xFA, 0x3F, 0x80, 0, 0], .shortFloat(offset: 0)),
        ("NaN", [0xFB, 0x7F, 0xF8, 0, 0, 0, 0, 0, 0], .notFinite(offset: 0)),
        ("a signalling NaN", [0xFB, 0xFF, 0xF0, 0, 0, 0, 0, 0, 1], .notFinite(offset: 0)),
        ("infinity", [0xFB, 0x7F, 0xF0, 0, 0, 0, 0, 0, 0], .notFinite(offset: 0)),
        ("minus infinity", [0xFB, 0xFF, 0xF0, 0, 0, 0, 0, 0, 0], .notFinite(offset: 0)),
        ("undefined", [0xF7], .unsupportedSimpleValue(offset: 0)),
        ("simple 0", [0xE0], .unsupportedSimpleValue(offset: 0)),
        ("simple 32", [0xF8, 0x20], .unsupportedSimpleValue(offset: 0)),
        ("false in two bytes", [0xF8, 0x14], .unsupportedSimpleValue(offset: 0)),
        ("tag 0", [0xC0, 0x60], .unsupportedTag(0, offset: 0)),
        ("tag 2, a big integer", [0xC2, 0x41, 0x01], .unsupportedTag(2, offset: 0)),
        ("tag 55799, self-described", [0xD9, 0xD9, 0xF7, 0x00], .unsupportedTag(55799, offset: 0)),
        (
            "a link without zero", [0xD8, 0x2A, 0x58, 0x24] + CID.hashing([], codec: .raw).bytes,
            .malformedLink(offset: 0)
        ),
        (
            "a link with one before it", [0xD8, 0x2A, 0x58, 0x25, 0x01] + CID.hashing([], codec: .raw).bytes,
            .malformedLink(offset: 0)
        ),
        ("a link of a text", [0xD8, 0x2A, 0x61, 0x61], .malformedLink(offset: 0)),
        ("a link of a map", [0xD8, 0x2A, 0xA0], .malformedLink(offset: 0)),
        ("a link of nothing", [0xD8, 0x2A, 0x40], .malformedLink(offset: 0)),
        ("a link of zero only", [0xD8, 0x2A, 0x41, 0x00], .malformedLink(offset: 0)),
        ("a link to half a CID", [0xD8, 0x2A, 0x43, 0x00, 0x01, 0x71], .malformedLink(offset: 0)),
        ("a link cut", [0xD8, 0x2A], .truncated(offset: 0)),
        ("tag 42 twice", [0xD8, 0x2A, 0xD8, 0x2A, 0x41, 0x00], .malformedLink(offset: 0)),
        ("an integer key", [0xA1, 0x01, 0x02], .keyNotText(offset: 1)),
        ("a bytes key", [0xA1, 0x41, 0x61, 0x02], .keyNotText(offset: 1)),
        ("a list key", [0xA1, 0x80, 0x02], .keyNotText(offset: 1)),
        ("keys against their order", [0xA2, 0x61, 0x62, 0x00, 0x61, 0x61, 0x00], .keysNotSorted(offset: 4)),
        ("a long key before a short one", [0xA2, 0x62, 0x61, 0x61, 0x00, 0x61, 0x62, 0x00], .keysNotSorted(offset: 5)),
        ("a key twice", [0xA2, 0x61, 0x61, 0x00, 0x61, 0x61, 0x00], .duplicateKey(offset: 4)),
        ("an empty key twice", [0xA2, 0x60, 0x00, 0x60, 0x00], .duplicateKey(offset: 3)),
        ("a key with a long length", [0xA1, 0x78, 0x01, 0x61, 0x00], .notShortest(offset: 1)),
        ("a text cut", [0x62, 0x61], .truncated(offset: 0)),
        ("a list cut", [0x82, 0x01], .truncated(offset: 0)),
        ("a list cut inside", [0x82, 0x01, 0x18], .truncated(offset: 2)),
        ("a map cut", [0xA1, 0x61, 0x61], .truncated(offset: 3)),
        ("a float cut", [0xFB, 0, 0], .truncated(offset: 0)),
        ("a head cut", [0x1B, 0, 0], .truncated(offset: 0)),
        ("2^64-1 bytes", [0x5B] + [UInt8](repeating: 0xFF, count: 8), .truncated(offset: 0)),
        ("2^64-1 elements", [0x9B] + [UInt8](repeating: 0xFF, count: 8), .truncated(offset: 0)),
        ("2^63 entries", [0xBB, 0x80] + [UInt8](repeating: 0, count: 7), .truncated(offset: 0)),
        ("a lone continuation byte", [0x61, 0x80], .invalidUTF8(offset: 0)),
        ("an overlong slash", [0x62, 0xC0, 0xAF], .invalidUTF8(offset: 0)),
        ("an overlong of three", [0x63, 0xE0, 0x80, 0xAF], .invalidUTF8(offset: 0)),
        ("a surrogate", [0x63, 0xED, 0xA0, 0x80], .invalidUTF8(offset: 0)),
        ("above U+10FFFF", [0x64, 0xF4, 0x90, 0x80, 0x80], .invalidUTF8(offset: 0)),
        ("a cut character", [0x62, 0xE6, 0xB0], .invalidUTF8(offset: 0)),
        ("a key that is not UTF-8", [0xA1, 0x61, 0xFF, 0x00], .invalidUTF8(offset: 1)),
    ]

    @Test func eachFormForItsReason() {
        for (name, bytes, error) in Self.forms {
            #expect(throws: error, "\(name)") { try DAGCBOR.decode(bytes) }
            #expect(throws: error, "\(name)") { try DAGCBORDocument(validating: bytes) }
            // Inside of a list the same is found, one byte later, unless the list itself says more.
            #expect(throws: DAGCBORError.self, "\(name)") { try DAGCBOR.decode([0x82, 0x00] + bytes) }
        }
    }

    /// Every major type with every argument that has a shorter head.
    @Test func everyLongHead() {
        var refused = 0
        for major: UInt8 in [0x00, 0x20, 0x40, 0x60, 0x80, 0xA0, 0xC0] {
            for argument in Array(0...40) + [255, 256, 300, 65_535, 65_536, 1 << 24, (1 << 32) - 1] as [UInt64] {
                for width in [1, 2, 4, 8] {
                    let isShortest =
                        argument < 24
                        ? false
                        : width == 1 || (width == 2 && argument > 0xFF) || (width == 4 && argument > 0xFFFF)
                            || (width == 8 && argument > 0xFFFF_FFFF)
                    if isShortest || (width < 8 && argument >> UInt64(width * 8) > 0) { continue }
                    let information = UInt8([1: 24, 2: 25, 4: 26, 8: 27][width] ?? 0)
                    let head = (0..<width).reversed().map { UInt8(truncatingIfNeeded: argument >> UInt64($0 * 8)) }
                    #expect(throws: DAGCBORError.notShortest(offset: 0)) {
                        try DAGCBOR.decode([major | information] + head)
                    }
                    refused += 1
                }
            }
        }
        #expect(refused >= 500)
    }

    @Test func nestingIsBounded() throws {
        for opening in [[0x81], [0xA1, 0x60]] as [[UInt8]] {
            let deepest = [[UInt8]](repeating: opening, count: 128).flatMap(\.self) + [0x00]
            #expect(try DAGCBOR.encode(DAGCBOR.decode(deepest)) == deepest)
            let tooDeep = opening + deepest
            #expect(throws: DAGCBORError.tooDeep(depthMax: 128, offset: 128 * opening.count)) {
                try DAGCBOR.decode(tooDeep)
            }
        }
        #expect(throws: DAGCBORError.tooDeep(depthMax: 128, offset: 128)) {
            try DAGCBOR.decode([UInt8](repeating: 0x81, count: 2 << 20))
        }
        #expect(throws: DAGCBORError.tooDeep(depthMax: 128, offset: 256)) {
            try DAGCBOR.decode([[UInt8]](repeating: [0xA1, 0x60], count: 1 << 20).flatMap(\.self))
        }
        #expect(throws: DAGCBORError.tooDeep(depthMax: 1, offset: 1)) {
            try DAGCBOR.decode([0x81, 0x80], limits: DAGCBOR.Limits(depthMax: 1))
        }
        var value = IPLDValue.null
        for _ in 0..<129 { value = .list([value]) }
        #expect(throws: DAGCBOREncodingError.tooDeep) { try DAGCBOR.encode(value) }
    }

    @Test func inputIsBounded() throws {
        let limits = DAGCBOR.Limits(bytesMax: 100)
        #expect(try DAGCBOR.decode([0x58, 98] + [UInt8](repeating: 0, count: 98), limits: limits) != .null)
        #expect(throws: DAGCBORError.tooLarge(bytesMax: 100)) {
            try DAGCBOR.decode([0x58, 99] + [UInt8](repeating: 0, count: 99), limits: limits)
        }
        #expect(throws: DAGCBORError.tooLarge(bytesMax: 4 << 20)) {
            try DAGCBOR.decode([UInt8](repeating: 0, count: (4 << 20) + 1))
        }
    }

    @Test func wideValuesAreRead() throws {
        let count = (2 << 20) - 5
        let nulls: [UInt8] = [0x9A, 0, 0x1F, 0xFF, 0xFB] + [UInt8](repeating: 0xF6, count: count)
        guard case .list(let list) = try DAGCBOR.decode(nulls) else {
            Issue.record("not a list")
            return
        }
        #expect(list.count == count)
        #expect(MemoryLayout<IPLDValue>.stride <= 24)
    }

    @Test func notEncodable() {
        #expect(throws: DAGCBOREncodingError.notFinite) { try DAGCBOR.encode(.list([.float(.nan)])) }
        #expect(throws: DAGCBOREncodingError.notFinite) { try DAGCBOR.encode(.float(-.infinity)) }
        #expect(throws: DAGCBOREncodingError.duplicateKey("a")) {
            try IPLDMap([.init(key: "a", value: .null), .init(key: "b", value: .null), .init(key: "a", value: .null)])
        }
    }
}
