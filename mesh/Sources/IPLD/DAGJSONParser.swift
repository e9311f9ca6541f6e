import Multiformats

/// Parses JSON into values of the IPLD data model with its own stack instead of recursion.
struct DAGJSONParser {
    private struct Frame {
        let isMap: Bool
        var list: [IPLDValue] = []
        var entries: [IPLDMap.Entry] = []
        var key = ""
    }

    private let bytes: [UInt8]
    private let limits: DAGJSON.Limits
    private var index = 0
    private var frames: [Frame] = []

    init(_ bytes: [UInt8], limits: DAGJSON.Limits) throws(DAGJSONError) {
        if bytes.count > limits.bytesMax { throw .tooLarge(bytesMax: limits.bytesMax) }
        if !UTF8Check.isValid(bytes, 0..<bytes.count) { throw .invalidUTF8 }
        self.bytes = bytes
        self.limits = limits
    }

    mutating func parse() throws(DAGJSONError) -> IPLDValue {
        while true {
            var finished = try startValue()
            while let value = finished {
                guard !frames.isEmpty else {
                    skipWhitespace()
                    if index != bytes.count { throw .trailingCharacters(offset: index) }
                    return value
                }
                finished = try add(value)
            }
        }
    }

    /// Reads a scalar or an empty container, or opens a container and returns nothing.
    private mutating func startValue() throws(DAGJSONError) -> IPLDValue? {
        skipWhitespace()
        switch try peek() {
        case UInt8(ascii: "["):
            index += 1
            try checkDepth()
            if try next(is: UInt8(ascii: "]")) { return try closed(.list([])) }
            frames.append(Frame(isMap: false))
            return nil
        case UInt8(ascii: "{"):
            index += 1
            try checkDepth()
            if try next(is: UInt8(ascii: "}")) { return try closed(.map([:])) }
            frames.append(Frame(isMap: true, key: try key()))
            return nil
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        default: return try number()
        }
    }

    /// Two levels more than values may have, because links and bytes are written as maps.
    private func checkDepth() throws(DAGJSONError) {
        if frames.count >= limits.depthMax + 2 { throw .tooDeep(depthMax: limits.depthMax) }
    }

    /// Puts a value into the container around it; returns the container if that was its last.
    private mutating func add(_ value: IPLDValue) throws(DAGJSONError) -> IPLDValue? {
        skipWhitespace()
        let separator = try peek()
        index += 1
        let last = frames.count - 1
        if frames[last].isMap {
            frames[last].entries.append(IPLDMap.Entry(key: frames[last].key, value: value))
            if separator == UInt8(ascii: "}") {
                let entries = frames.removeLast().entries
                return try closed(try map(entries))
            }
        } else {
            frames[last].list.append(value)
            if separator == UInt8(ascii: "]") {
                // Not in one expression: the depth has to be that after the removal.
                let list = frames.removeLast().list
                return try closed(.list(list))
            }
        }
        guard separator == UInt8(ascii: ",") else { throw .unexpectedCharacter(offset: index - 1) }
        if frames[last].isMap { frames[last].key = try key() }
        return nil
    }

    /// Checks the depth of a container now that it is known not to be a link or bytes.
    private func closed(_ value: IPLDValue) throws(DAGJSONError) -> IPLDValue {
        switch value {
        case .list, .map:
            // What is under the key "/" is part of a link or of bytes, or is refused when the map around it ends.
            if let last = frames.last, last.isMap, last.key == "/" { return value }
            if frames.count >= limits.depthMax { throw .tooDeep(depthMax: limits.depthMax) }
        default: break
        }
        return value
    }

    /// A map, or the link or bytes that it stands for.
    private func map(_ entries: [IPLDMap.Entry]) throws(DAGJSONError) -> IPLDValue {
        let map: IPLDMap
        do {
            map = try IPLDMap(entries)
        } catch {
            throw .duplicateKey(offset: index)
        }
        guard let reserved = map["/"] else { return .map(map) }
        if entries.count == 1, case .string(let text) = reserved, let cid = try? CID(parsing: text) {
            return .link(cid)
        }
        if entries.count == 1, case .map(let inner) = reserved, inner.entries.count == 1,
            case .string(let text)? = inner["bytes"],
            let data = try? Multibase.decodeWithoutPrefix(text, .base64)
        {
            return .bytes(data)
        }
        throw .reservedMap(offset: index)
    }

    // MARK: Tokens

    private func peek() throws(DAGJSONError) -> UInt8 {
        guard index < bytes.count else { throw .truncated }
        return bytes[index]
    }

    private mutating func skipWhitespace() {
        while index < bytes.count {
            switch bytes[index] {
            case 0x20, 0x09, 0x0A, 0x0D: index += 1
            default: return
            }
        }
    }

    private mutating func next(is character: UInt8) throws(DAGJSONError) -> Bool {
        skipWhitespace()
        guard try peek() == character else { return false }
        index += 1
        return true
    }

    private mutating func literal(_ text: StaticString, _ value: IPLDValue) throws(DAGJSONError) -> IPLDValue {
        for character in "\(text)".utf8 {
            if try peek() != character { throw .unexpectedCharacter(offset: index) }
            index += 1
        }
        return value
    }

    /// A key with the colon after it.
    private mutating func key() throws(DAGJSONError) -> String {
        skipWhitespace()
        if try peek() != UInt8(ascii: "\"") { throw .unexpectedCharacter(offset: index) }
        let key = try string()
        skipWhitespace()
        if try peek() != UInt8(ascii: ":") { throw .unexpectedCharacter(offset: index) }
        index += 1
        return key
    }

    private mutating func string() throws(DAGJSONError) -> String {
        let start = index
        index += 1
        var text: [UInt8] = []
        while true {
            let byte = try peek()
            index += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"): try escape(into: &text, start)
            case 0..<0x20: throw .invalidString(offset: start)
            default: text.append(byte)
            }
        }
    }

    private mutating func escape(into text: inout [UInt8], _ start: Int) throws(DAGJSONError) {
        let byte = try peek()
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(byte)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            var code = UInt32(try hexadecimal(start))
            if (0xD800...0xDBFF).contains(code) {
                // The other half of a surrogate pair must follow.
                for expected in [UInt8(ascii: "\\"), UInt8(ascii: "u")] {
                    if try peek() != expected { throw .invalidString(offset: start) }
                    index += 1
                }
                let low = UInt32(try hexadecimal(start))
                guard (0xDC00...0xDFFF).contains(low) else { throw .invalidString(offset: start) }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw .invalidString(offset: start) }
            text.append(contentsOf: String(Character(scalar)).utf8)
        default: throw .invalidString(offset: start)
        }
    }

    private mutating func hexadecimal(_ start: Int) throws(DAGJSONError) -> UInt16 {
        guard bytes.count - index >= 4 else { throw .truncated }
        var value: UInt16 = 0
        for byte in bytes[index..<(index + 4)] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { throw .invalidString(offset: start) }
            value = value << 4 | UInt16(digit)
        }
        index += 4
        return value
    }

    private mutating func number() throws(DAGJSONError) -> IPLDValue {
        let start = index
        if bytes[index] == UInt8(ascii: "-") { index += 1 }
        let integerStart = index
        try digits(start)
        if bytes[integerStart] == UInt8(ascii: "0") && index - integerStart > 1 { throw .invalidNumber(offset: start) }
        var isFloat = false
        if index < bytes.count && bytes[index] == UInt8(ascii: ".") {
            isFloat = true
            index += 1
            try digits(start)
        }
        if index < bytes.count && bytes[index] | 0x20 == UInt8(ascii: "e") {
            isFloat = true
            index += 1
            if index < bytes.count && (bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-")) {
                index += 1
            }
            try digits(start)
        }
        let text = String(decoding: bytes[start..<index], as: UTF8.self)
        if isFloat {
            guard let value = Double(text), value.isFinite else { throw .numberOutOfRange(offset: start) }
            return .float(value)
        }
        if let value = UInt64(text) { return .unsigned(value) }
        if let value = Int64(text) { return .integer(value) }
        throw .numberOutOfRange(offset: start)
    }

    private mutating func digits(_ start: Int) throws(DAGJSONError) {
        let first = index
        while index < bytes.count && (0x30...0x39).contains(bytes[index]) { index += 1 }
        if index == first {
            if index == bytes.count { throw .truncated }
            if index == start { throw .unexpectedCharacter(offset: index) }
            throw .invalidNumber(offset: start)
        }
    }
}
