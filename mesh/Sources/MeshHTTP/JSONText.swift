/// JSON as `MeshJSON` writes it, for what the API's types are made of: several times as fast as Foundation's encoder,
/// which builds a tree of boxes and dictionaries first.
///
/// A value goes straight into one buffer; the fields of an object are put in order when it ends. What this does not
/// know (a container within a container, a superclass, Foundation's own types, an object of more than
/// `fieldsMax` fields, two fields of one name, a number that is none) gives no text at all, and Foundation writes it.
final class JSONText {
    /// The most fields of an object that are put in order here.
    static let fieldsMax = 1_024
    /// The deepest that values are within each other.
    static let depthMax = 64

    /// The text of a value, its keys sorted; nil for one that has to be left to Foundation.
    static func bytes(of value: some Encodable) -> [UInt8]? {
        let text = JSONText()
        do {
            try text.write(value)
            return text.bytes
        } catch {
            return nil
        }
    }

    /// The value is none that this writes.
    fileprivate struct Unforeseen: Error {}

    /// An object's field that was written, and where.
    private struct Field {
        let key: String
        let place: Range<Int>
    }

    /// A value that is being written.
    private struct Level {
        enum Kind {
            case nothing
            case object
            case array
            case scalar
        }

        var kind = Kind.nothing
        let start: Int
        /// Where its fields begin among all that wait.
        let fields: Int
        var count = 0
    }

    // SAFETY: no access to one of these lasts while anything of others is called. To check each takes a tenth of the
    // time.
    @exclusivity(unchecked) private var bytes: [UInt8] = []
    @exclusivity(unchecked) private var ordered: [UInt8] = []
    @exclusivity(unchecked) private var fields: [Field] = []
    @exclusivity(unchecked) private var levels: [Level] = []
    fileprivate var isUnforeseen = false

    private init() { bytes.reserveCapacity(2_048) }

    // MARK: Values

    fileprivate func write<Value: Encodable>(_ value: Value) throws {
        guard !isUnforeseen, levels.count < Self.depthMax, !FoundationTypes.have(Value.self) else { throw Unforeseen() }
        let depth = levels.count
        levels.append(Level(start: bytes.count, fields: fields.count))
        try value.encode(to: JSONTextEncoder(text: self, depth: depth))
        guard !isUnforeseen, levels.count == depth + 1 else { throw Unforeseen() }
        end(levels[depth])
        levels.removeLast()
    }

    /// Begins a container, or goes on with it; of a value that is another kind of thing already nothing can be made.
    fileprivate func begin(_ isObject: Bool, at depth: Int) {
        guard depth == levels.count - 1 else {
            isUnforeseen = true
            return
        }
        let kind = isObject ? Level.Kind.object : .array
        if levels[depth].kind == .nothing {
            levels[depth].kind = kind
            if !isObject { bytes.append(UInt8(ascii: "[")) }
        } else if levels[depth].kind != kind {
            isUnforeseen = true
        }
    }

    private func end(_ level: Level) {
        switch level.kind {
        case .scalar: break
        case .nothing: bytes += [UInt8(ascii: "{"), UInt8(ascii: "}")]
        case .array: bytes.append(UInt8(ascii: "]"))
        case .object: order(level)
        }
    }

    /// Puts the fields of an object, which lie in the order of their writing, into that of their keys.
    private func order(_ level: Level) {
        ordered.removeAll(keepingCapacity: true)
        var separator = UInt8(ascii: "{")
        for field in fields[level.fields...] {
            ordered.append(separator)
            Self.append(field.key, to: &ordered)
            ordered.append(UInt8(ascii: ":"))
            ordered += bytes[field.place]
            separator = UInt8(ascii: ",")
        }
        if separator == UInt8(ascii: "{") { ordered.append(separator) }
        ordered.append(UInt8(ascii: "}"))
        fields.removeLast(fields.count - level.fields)
        bytes.removeLast(bytes.count - level.start)
        bytes += ordered
    }

    // MARK: Fields and elements

    /// Writes a field by its key.
    fileprivate func field(_ key: some CodingKey, at depth: Int, _ write: () throws -> Void) throws {
        guard depth == levels.count - 1, fields.count - levels[depth].fields < Self.fieldsMax else {
            throw Unforeseen()
        }
        let start = bytes.count
        try write()
        let name = key.stringValue
        var (low, high) = (levels[depth].fields, fields.count)
        while low < high {
            let middle = (low + high) / 2
            if fields[middle].key.utf8.lexicographicallyPrecedes(name.utf8) { low = middle + 1 } else { high = middle }
        }
        if low < fields.count, fields[low].key == name { throw Unforeseen() }
        fields.insert(Field(key: name, place: start..<bytes.count), at: low)
    }

    /// Writes an element.
    fileprivate func element(at depth: Int, _ write: () throws -> Void) throws {
        guard depth == levels.count - 1 else { throw Unforeseen() }
        if levels[depth].count > 0 { bytes.append(UInt8(ascii: ",")) }
        levels[depth].count += 1
        try write()
    }

    /// The elements of an array so far.
    fileprivate func count(at depth: Int) -> Int { depth < levels.count ? levels[depth].count : 0 }

    /// Writes a value that is not made of others.
    fileprivate func scalar(at depth: Int, _ write: () throws -> Void) throws {
        guard depth == levels.count - 1, levels[depth].kind == .nothing else { throw Unforeseen() }
        levels[depth].kind = .scalar
        try write()
    }

    // MARK: What is not made of others

    fileprivate func null() { bytes += "null".utf8 }

    fileprivate func put(_ value: Bool) { bytes += (value ? "true" : "false").utf8 }

    fileprivate func put(_ value: String) { Self.append(value, to: &bytes) }

    fileprivate func put(_ value: some FixedWidthInteger) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        let start = bytes.count
        var rest = value.magnitude
        repeat {
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            bytes.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: digit))
            rest = quotient
        } while rest > 0
        bytes[start...].reverse()
    }

    fileprivate func put(_ value: some BinaryFloatingPoint & CustomStringConvertible) throws {
        guard value.isFinite else { throw Unforeseen() }
        let text = value.description
        bytes += (text.hasSuffix(".0") ? text.dropLast(2) : text[...]).utf8
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        if text.utf8.contains(where: isEscaped) {
            for byte in text.utf8 { if isEscaped(byte) { escape(byte, in: &bytes) } else { bytes.append(byte) } }
        } else {
            bytes += text.utf8
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private static func isEscaped(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    private static func escape(_ byte: UInt8, in bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(byte)
        case 0x08: bytes.append(UInt8(ascii: "b"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0C: bytes.append(UInt8(ascii: "f"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        default:
            let digits = Array("0123456789abcdef".utf8)
            bytes += "u00".utf8
            bytes += [digits[Int(byte >> 4)], digits[Int(byte & 0xF)]]
        }
    }
}

/// What a value writes itself to: the text, at the depth of the value.
private struct JSONTextEncoder: Encoder {
    let text: JSONText
    let depth: Int

    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        text.begin(true, at: depth)
        return KeyedEncodingContainer(JSONTextFields(text: text, depth: depth))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        text.begin(false, at: depth)
        return JSONTextElements(text: text, depth: depth)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { JSONTextScalar(text: text, depth: depth) }

    /// What stands for a container that this does not write: nothing comes of it.
    static func none(_ text: JSONText) -> JSONTextEncoder {
        text.isUnforeseen = true
        return JSONTextEncoder(text: text, depth: .max)
    }
}

/// The fields of an object.
private struct JSONTextFields<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let text: JSONText
    let depth: Int

    var codingPath: [any CodingKey] { [] }

    func encodeNil(forKey key: Key) throws { try text.field(key, at: depth) { text.null() } }
    func encode(_ value: Bool, forKey key: Key) throws { try text.field(key, at: depth) { text.put(value) } }
    func encode(_ value: String, forKey key: Key) throws { try text.field(key, at: depth) { text.put(value) } }
    func encode(_ value: Double, forKey key: Key) throws { try text.field(key, at: depth) { try text.put(value) } }
    func encode(_ value: Float, forKey key: Key) throws { try text.field(key, at: depth) { try text.put(value) } }
    func encode(_ value: Int, forKey key: Key) throws { try text.field(key, at: depth) { text.put(value) } }
    func encode(_ value: Int8, forKey key: Key) throws { try text.field(key, at: depth) { text.put(value) } }
    func encode(_ value: Int16, forKey key: Key) throws { try text.field(key, at: depth) { text.put(value) } }
    func encode(_ value: Int32, forKey key: Key) throws { try text.field(key, at: depth) { text.put(value) } }
    func encode(_ value: Int64, forKey key: Key) throws { try text.field(key, at: depth) { text.put(value) } }
    func encode(_ value: UInt, forKey key: Key) throws { try text.field(key, at: depth) { text.put(value) } }
    func encode(_ value: UInt8, forKey key: Key) throws { try text.field(key, at: depth) { text.put(value) } }
    func encode(_ value: UInt16, forKey key: Key) throws { try text.field(key, at: depth) { text.put(value) } }
    func encode(_ value: UInt32, forKey key: Key) throws { try text.field(key, at: depth) { text.put(value) } }
    func encode(_ value: UInt64, forKey key: Key) throws { try text.field(key, at: depth) { text.put(value) } }

    func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
        try text.field(key, at: depth) { try text.write(value) }
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> { JSONTextEncoder.none(text).container(keyedBy: type) }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        JSONTextEncoder.none(text).unkeyedContainer()
    }

    func superEncoder() -> any Encoder { JSONTextEncoder.none(text) }

    func superEncoder(forKey key: Key) -> any Encoder { JSONTextEncoder.none(text) }
}

/// The elements of an array.
private struct JSONTextElements: UnkeyedEncodingContainer {
    let text: JSONText
    let depth: Int

    var codingPath: [any CodingKey] { [] }
    var count: Int { text.count(at: depth) }

    func encodeNil() throws { try text.element(at: depth) { text.null() } }

    func encode<Value: Encodable>(_ value: Value) throws { try text.element(at: depth) { try text.write(value) } }

    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        JSONTextEncoder.none(text).container(keyedBy: type)
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { JSONTextEncoder.none(text).unkeyedContainer() }

    func superEncoder() -> any Encoder { JSONTextEncoder.none(text) }
}

/// A value that is not made of others, or that is another one.
private struct JSONTextScalar: SingleValueEncodingContainer {
    let text: JSONText
    let depth: Int

    var codingPath: [any CodingKey] { [] }

    func encodeNil() throws { try text.scalar(at: depth) { text.null() } }
    func encode(_ value: Bool) throws { try text.scalar(at: depth) { text.put(value) } }
    func encode(_ value: String) throws { try text.scalar(at: depth) { text.put(value) } }
    func encode(_ value: Double) throws { try text.scalar(at: depth) { try text.put(value) } }
    func encode(_ value: Float) throws { try text.scalar(at: depth) { try text.put(value) } }
    func encode(_ value: Int) throws { try text.scalar(at: depth) { text.put(value) } }
    func encode(_ value: Int8) throws { try text.scalar(at: depth) { text.put(value) } }
    func encode(_ value: Int16) throws { try text.scalar(at: depth) { text.put(value) } }
    func encode(_ value: Int32) throws { try text.scalar(at: depth) { text.put(value) } }
    func encode(_ value: Int64) throws { try text.scalar(at: depth) { text.put(value) } }
    func encode(_ value: UInt) throws { try text.scalar(at: depth) { text.put(value) } }
    func encode(_ value: UInt8) throws { try text.scalar(at: depth) { text.put(value) } }
    func encode(_ value: UInt16) throws { try text.scalar(at: depth) { text.put(value) } }
    func encode(_ value: UInt32) throws { try text.scalar(at: depth) { text.put(value) } }
    func encode(_ value: UInt64) throws { try text.scalar(at: depth) { text.put(value) } }

    func encode<Value: Encodable>(_ value: Value) throws {
        try text.scalar(at: depth) { try text.write(value) }
    }
}
