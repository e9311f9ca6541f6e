import IPLD
import Multiformats
import Testing

@Suite struct DAGJSONTests {
    private static func decode(_ text: String, _ form: DAGJSON.Form = .canonical) throws(DAGJSONError) -> IPLDValue {
        try DAGJSON.decode(Array(text.utf8), form: form)
    }

    @Test(arguments: [
        ("", DAGJSONError.truncated), ("  ", .truncated), ("[1", .truncated), ("{\"a\":", .truncated),
        ("\"a", .truncated),
        ("-", .truncated), ("[1,]", .unexpectedCharacter(offset: 3)), ("{\"a\" 1}", .unexpectedCharacter(offset: 5)),
        ("{a:1}", .unexpectedCharacter(offset: 1)), ("[1 2]", .unexpectedCharacter(offset: 3)), ("nul", .truncated),
        ("True", .unexpectedCharacter(offset: 0)), ("01", .invalidNumber(offset: 0)), ("1.", .truncated),
        ("1.x", .invalidNumber(offset: 0)), ("+1", .unexpectedCharacter(offset: 0)),
        ("1 1", .trailingCharacters(offset: 2)),
        ("\"\\x\"", .invalidString(offset: 0)), ("\"\u{1}\"", .invalidString(offset: 0)),
        ("\"\\ud800\"", .invalidString(offset: 0)), ("\"\\udc00\"", .invalidString(offset: 0)),
        ("18446744073709551616", .numberOutOfRange(offset: 0)), ("-9223372036854775809", .numberOutOfRange(offset: 0)),
        ("1e999", .numberOutOfRange(offset: 0)), ("{\"a\":1,\"a\":1}", .duplicateKey(offset: 13)),
        ("{\"/\":1}", .reservedMap(offset: 7)), ("{\"/\":\"x\"}", .reservedMap(offset: 9)),
        ("{\"/\":{\"bytes\":1}}", .reservedMap(offset: 17)), ("{\"/\":{\"bytes\":\"AB\"}}", .reservedMap(offset: 20)),
        ("{\"/\":{\"bytes\":\"AA==\"}}", .reservedMap(offset: 22)),
    ])
    func malformed(_ text: String, _ error: DAGJSONError) {
        #expect(throws: error, "\(text)") { try Self.decode(text, .relaxed) }
    }

    @Test(arguments: [" 1", "1 ", "{\"b\":1,\"a\":2}", "[1, 2]", "1.50", "1E3", "\"\\u0061\"", "\"\\/\"", "-0", "1e2"])
    func relaxedOnly(_ text: String) throws {
        #expect(throws: DAGJSONError.notCanonical) { try Self.decode(text) }
        _ = try Self.decode(text, .relaxed)
    }

    @Test(arguments: [
        (1.0, "1.0"), (-0.0, "-0.0"), (0.0, "0.0"), (1e21, "1e+21"), (1e20, "100000000000000000000.0"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"), (1.5e300, "1.5e+300"), (123.456, "123.456"), (Double.leastNonzeroMagnitude, "5e-324"),
        (-2.5, "-2.5"),
        (Double.greatestFiniteMagnitude, "1.7976931348623157e+308"), (1e16, "10000000000000000.0"),
    ])
    func floats(_ value: Double, _ text: String) throws {
        #expect(try DAGJSON.text(of: .float(value)) == text)
        #expect(try Self.decode(text) == .float(value))
    }

    @Test func escapes() throws {
        #expect(try Self.decode("\"\\ud83d\\ude00\\b\\f\\u00e9\"", .relaxed) == .string("😀\u{8}\u{C}é"))
        #expect(try DAGJSON.text(of: .string("\u{0}\u{1f}\"\\/\u{7f}")) == "\"\\u0000\\u001f\\\"\\\\/\u{7f}\"")
    }

    @Test func reservedMapsHaveNoText() {
        #expect(throws: DAGJSONEncodingError.reservedMap) { try DAGJSON.encode(.map(["/": .string("x")])) }
        #expect(throws: DAGJSONEncodingError.notFinite) { try DAGJSON.encode(.float(.infinity)) }
    }

    @Test func nestingIsBounded() throws {
        let deepest = String(repeating: "[", count: 128) + String(repeating: "]", count: 128)
        #expect(try DAGJSON.text(of: Self.decode(deepest)) == deepest)
        #expect(throws: DAGJSONError.tooDeep(depthMax: 128)) { try Self.decode("[" + deepest + "]") }
        let filled = String(repeating: "[", count: 128) + "1" + String(repeating: "]", count: 128)
        #expect(try DAGJSON.text(of: Self.decode(filled)) == filled)
        #expect(throws: DAGJSONError.tooDeep(depthMax: 128)) { try Self.decode("[" + filled + "]") }
        let bytes =
            String(repeating: "[", count: 128) + "{\"/\":{\"bytes\":\"AA\"}}" + String(repeating: "]", count: 128)
        #expect(try DAGJSON.text(of: Self.decode(bytes)) == bytes)
        #expect(throws: DAGJSONError.tooDeep(depthMax: 128)) { try Self.decode(String(repeating: "[", count: 2 << 20)) }
        #expect(throws: DAGJSONError.tooDeep(depthMax: 128)) {
            try Self.decode(String(repeating: "{\"a\":", count: 1 << 18))
        }
        #expect(throws: DAGJSONError.tooLarge(bytesMax: 4 << 20)) {
            try DAGJSON.decode([UInt8](repeating: 0x20, count: (4 << 20) + 1))
        }
    }
}
