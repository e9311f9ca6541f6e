import Multiformats

/// Writes canonical DAG-JSON.
struct DAGJSONWriter {
    private(set) var bytes: [UInt8] = []

    private static let hexDigits = Array("0123456789abcdef".utf8)

    /// Recurses on values that this program made; the limit bounds the depth.
    mutating func append(_ value: IPLDValue, depthLeft: Int) throws(DAGJSONEncodingError) {
        switch value {
        case .null: literal("null")
        case .bool(let bool): literal(bool ? "true" : "false")
        case .unsigned(let integer): literal(String(integer))
        case .negative(let integer): literal(String(integer))
        case .float(let double):
            guard let text = JSONNumberText.render(double) else { throw .notFinite }
            literal(text)
        case .string(let text): string(text)
        case .bytes(let data):
            literal("{\"/\":{\"bytes\":\"")
            literal(Multibase.encodeWithoutPrefix(data, .base64))
            literal("\"}}")
        case .link(let cid):
            literal("{\"/\":\"")
            literal(cid.text)
            literal("\"}")
        case .list(let list):
            if depthLeft == 0 { throw .tooDeep }
            try self.list(list, depthLeft: depthLeft - 1)
        case .map(let map):
            if depthLeft == 0 { throw .tooDeep }
            try self.map(map, depthLeft: depthLeft - 1)
        }
    }

    private mutating func list(_ list: [IPLDValue], depthLeft: Int) throws(DAGJSONEncodingError) {
        literal("[")
        for (index, element) in list.enumerated() {
            if index > 0 { literal(",") }
            try append(element, depthLeft: depthLeft)
        }
        literal("]")
    }

    private mutating func map(_ map: IPLDMap, depthLeft: Int) throws(DAGJSONEncodingError) {
        if map["/"] != nil { throw .reservedMap }
        literal("{")
        let sorted = map.entries.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        for (index, entry) in sorted.enumerated() {
            if index > 0 { literal(",") }
            string(entry.key)
            literal(":")
            try append(entry.value, depthLeft: depthLeft)
        }
        literal("}")
    }

    private mutating func literal(_ text: String) { bytes.append(contentsOf: text.utf8) }

    /// Escapes what JSON requires, with the short forms if there are any.
    private mutating func string(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(contentsOf: [UInt8(ascii: "\\"), byte])
            case 0x08: literal("\\b")
            case 0x09: literal("\\t")
            case 0x0A: literal("\\n")
            case 0x0C: literal("\\f")
            case 0x0D: literal("\\r")
            case 0..<0x20:
                literal("\\u00")
                bytes.append(Self.hexDigits[Int(byte >> 4)])
                bytes.append(Self.hexDigits[Int(byte & 0xF)])
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}

/// The texts of floats: the shortest digits that read back to the same value, laid out as ECMAScript does, and always
/// with a point or an exponent so that they never read as integers.
enum JSONNumberText {
    static func render(_ value: Double) -> String? {
        guard value.isFinite else { return nil }
        if value == 0 { return value.sign == .minus ? "-0.0" : "0.0" }
        let (digits, exponent) = decimal(value.magnitude)
        let sign = value < 0 ? "-" : ""
        // The value is 0.digits times ten to the power of `point`.
        let point = exponent
        let count = digits.count
        if (count...21).contains(point) {
            return sign + digits + String(repeating: "0", count: point - count) + ".0"
        }
        if (1...21).contains(point) {
            return sign + digits.prefix(point) + "." + digits.dropFirst(point)
        }
        if (-5...0).contains(point) {
            return sign + "0." + String(repeating: "0", count: -point) + digits
        }
        let power = point - 1
        let mantissa = count == 1 ? digits : digits.prefix(1) + "." + digits.dropFirst()
        return sign + mantissa + "e" + (power < 0 ? "-" : "+") + String(power.magnitude)
    }

    /// The shortest digits of a positive value without zeros at either end, and the place of the point before them.
    private static func decimal(_ value: Double) -> (digits: String, point: Int) {
        let description = value.description
        let parts = description.split(separator: "e")
        let mantissa = parts[0].split(separator: ".", omittingEmptySubsequences: false)
        let fraction = mantissa.count > 1 ? mantissa[1] : ""
        var point = mantissa[0].count + (parts.count > 1 ? Int(parts[1]) ?? 0 : 0)
        var digits = String(mantissa[0] + fraction)
        while digits.hasPrefix("0") && digits.count > 1 {
            digits.removeFirst()
            point -= 1
        }
        while digits.hasSuffix("0") && digits.count > 1 { digits.removeLast() }
        return (digits, point)
    }
}
