import Multiformats

/// A value of JSON, for the document that describes the API.
indirect enum APIJSON: Encodable, Equatable {
    case text(String)
    case flag(Bool)
    case number(Int64)
    case list([APIJSON])
    case group([String: APIJSON])

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let text): try container.encode(text)
        case .flag(let flag): try container.encode(flag)
        case .number(let number): try container.encode(number)
        case .list(let list): try container.encode(list)
        case .group(let group): try container.encode(group)
        }
    }
}

/// Learns the form of the API's JSON from the types that read it: what a type asks a decoder for is its schema.
///
/// So the document says what the code does. A key that a type reads only if it is there is optional. A type that looks
/// at values before it takes them is described by as much as it read of made-up ones.
struct SchemaReader {
    /// The schemas of types with keys, by their names.
    private(set) var schemas: [String: APIJSON] = [:]
    /// The types that took no made-up values, so that the rest of their keys is unknown, each with why.
    private(set) var unread: [String: String] = [:]
    private var names: [ObjectIdentifier: String] = [:]

    /// The schema of a type, or a reference to it.
    mutating func schema(of type: any Decodable.Type) -> APIJSON {
        if let plain = Self.plain(type) { return plain }
        if let cases = type as? any CaseIterable.Type, let names = Self.names(cases) {
            return .group(["type": .text("string"), "enum": .list(names.sorted().map(APIJSON.text))])
        }
        let name = name(of: type)
        if schemas[name] != nil { return Self.reference(name) }
        // A type that has itself in it finds its name taken.
        schemas[name] = .group([:])
        let notes = Notes(self)
        let failure = NotingDecoder.failure { _ = try type.init(from: NotingDecoder(notes: notes, depth: 0, text: $0)) }
        if let reader = notes.reader { self = reader }
        unread[name] = failure.map { "\($0)" }
        guard let schema = notes.schema else {
            schemas[name] = nil
            return .group([:])
        }
        guard case .group(let fields) = schema, fields["properties"] != nil else {
            schemas[name] = nil
            return schema
        }
        schemas[name] = schema
        return Self.reference(name)
    }

    private static func reference(_ name: String) -> APIJSON { .group(["$ref": .text("#/components/schemas/\(name)")]) }

    /// The type's own name; of several with the same one the later ones have a number.
    private mutating func name(of type: any Decodable.Type) -> String {
        if let name = names[ObjectIdentifier(type)] { return name }
        let own = "\(type)"
        let known = names.values.count { $0 == own || $0.hasPrefix(own + "_") }
        let name = known == 0 ? own : "\(own)_\(known + 1)"
        names[ObjectIdentifier(type)] = name
        return name
    }

    private static func plain(_ type: any Decodable.Type) -> APIJSON? {
        switch type {
        case is Bool.Type: .group(["type": .text("boolean")])
        case is String.Type: .group(["type": .text("string")])
        case is Double.Type, is Float.Type: .group(["type": .text("number")])
        case is UInt64.Type, is UInt.Type:
            .group(["type": .text("integer"), "format": .text("int64"), "minimum": .number(0)])
        case is UInt32.Type, is UInt16.Type, is UInt8.Type:
            .group(["type": .text("integer"), "minimum": .number(0), "maximum": .number(Int64(UInt32.max))])
        case is Int32.Type, is Int16.Type, is Int8.Type:
            .group(["type": .text("integer"), "format": .text("int32")])
        case is any FixedWidthInteger.Type: .group(["type": .text("integer"), "format": .text("int64")])
        case is Multiaddr.Type:
            .group(["type": .text("string"), "description": .text("a multiaddr such as /ip4/127.0.0.1/tcp/4001")])
        default: nil
        }
    }

    private static func names(_ type: any CaseIterable.Type) -> [String]? {
        func names<Cases: CaseIterable>(_ type: Cases.Type) -> [String]? {
            let texts = type.allCases.compactMap { ($0 as? any RawRepresentable)?.rawValue as? String }
            return texts.count == type.allCases.count ? texts : nil
        }
        return names(type)
    }
}

/// What one type asked for.
private final class Notes {
    /// What learns the types of values; nil where only a value is wanted.
    var reader: SchemaReader?
    var schema: APIJSON?
    private var properties: [String: APIJSON] = [:]
    private var required: Set<String> = []
    private var asked: Set<String> = []

    init(_ reader: SchemaReader?) { self.reader = reader }

    /// A key that is looked for before it is read.
    func looksFor(_ key: String) { asked.insert(key) }

    func reads(_ key: String, _ type: any Decodable.Type) {
        guard let schema = reader?.schema(of: type) else { return }
        properties[key] = schema
        if !asked.contains(key) { required.insert(key) }
        note()
    }

    /// An enum with values, which is one key with others in it.
    func isOneOfSeveral() {
        schema = .group(["type": .text("object"), "minProperties": .number(1), "maxProperties": .number(1)])
    }

    func note() {
        schema = .group([
            "type": .text("object"), "properties": .group(properties),
            "required": .list(required.sorted().map(APIJSON.text)),
        ])
    }
}

/// A decoder that has an answer to everything, and notes what it was asked for.
private struct NotingDecoder: Decoder {
    /// How deep made-up values may have others in them: types that have themselves in them never end.
    static let depthMax = 12
    /// The texts that are tried in turn, as not every type takes any.
    private static let texts = ["", "inputs.a", "/ip4/127.0.0.1/tcp/1"]

    let notes: Notes
    let depth: Int
    /// What it says where a text is asked for.
    let text: String
    let codingPath: [any CodingKey] = []
    let userInfo: [CodingUserInfoKey: Any] = [:]

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        notes.note()
        return KeyedDecodingContainer(Keys(notes: notes, depth: depth, text: text))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer { Items(notes: notes, depth: depth, text: text) }

    func singleValueContainer() throws -> any SingleValueDecodingContainer {
        Single(notes: notes, depth: depth, text: text)
    }

    /// Tries with each text until one is taken; the last failure if none is.
    static func failure(_ tried: (String) throws -> Void) -> (any Error)? {
        var failure: (any Error)?
        for text in texts {
            do {
                try tried(text)
                return nil
            } catch { failure = error }
        }
        return failure
    }

    /// A value of a type, out of nothing.
    static func made<Value: Decodable>(_ type: Value.Type, depth: Int, text: String) throws -> Value {
        let values: [Any] = [
            false, text, 0.0, Float(0), 0, Int8(0), Int16(0), Int32(0), Int64(0), UInt(0), UInt8(0), UInt16(0),
            UInt32(0), UInt64(0),
        ]
        if let value = values.lazy.compactMap({ $0 as? Value }).first { return value }
        if let type = Value.self as? any CaseIterable.Type, let value = first(type) as? Value { return value }
        guard depth < depthMax else { throw Unforeseen() }
        var made: Value?
        let failure = failure { made = try Value(from: NotingDecoder(notes: Notes(nil), depth: depth + 1, text: $0)) }
        guard let made else { throw failure ?? Unforeseen() }
        return made
    }

    private static func first<Cases: CaseIterable>(_ type: Cases.Type) -> Any? { type.allCases.first }

    struct Keys<Key: CodingKey>: KeyedDecodingContainerProtocol {
        let notes: Notes
        let depth: Int
        let text: String
        let codingPath: [any CodingKey] = []
        /// Only enums with values and dictionaries ask for it: one case of an enum, and nothing of a dictionary.
        var allKeys: [Key] {
            guard Key(stringValue: "any") == nil else { return [] }
            return Self.cases.compactMap { Key(stringValue: $0) }.prefix(1).map(\.self)
        }
        /// A case of each enum with values that the API reads.
        private static var cases: [String] { ["folder"] }

        func contains(_ key: Key) -> Bool {
            notes.looksFor(key.stringValue)
            // A value that is only made has no more than it needs, so that types with themselves in them end.
            return notes.reader != nil
        }

        func decodeNil(forKey key: Key) throws -> Bool { false }

        func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
            notes.reads(key.stringValue, type)
            return try NotingDecoder.made(type, depth: depth, text: text)
        }

        func nestedContainer<Nested: CodingKey>(
            keyedBy type: Nested.Type, forKey key: Key
        ) throws -> KeyedDecodingContainer<Nested> {
            notes.isOneOfSeveral()
            return KeyedDecodingContainer(NotingDecoder.Keys<Nested>(notes: Notes(nil), depth: depth, text: text))
        }

        func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { throw Unforeseen() }
        func superDecoder() throws -> any Decoder { throw Unforeseen() }
        func superDecoder(forKey key: Key) throws -> any Decoder { throw Unforeseen() }
    }

    struct Items: UnkeyedDecodingContainer {
        let notes: Notes
        let depth: Int
        let text: String
        let codingPath: [any CodingKey] = []
        let count: Int? = 1
        var currentIndex = 0
        var isAtEnd: Bool { currentIndex > 0 || notes.reader == nil }

        mutating func decodeNil() throws -> Bool { false }

        mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
            currentIndex += 1
            if let schema = notes.reader?.schema(of: type) {
                notes.schema = .group(["type": .text("array"), "items": schema])
            }
            return try NotingDecoder.made(type, depth: depth, text: text)
        }

        mutating func nestedContainer<Nested: CodingKey>(
            keyedBy type: Nested.Type
        ) throws -> KeyedDecodingContainer<Nested> { throw Unforeseen() }

        mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { throw Unforeseen() }
        mutating func superDecoder() throws -> any Decoder { throw Unforeseen() }
    }

    struct Single: SingleValueDecodingContainer {
        let notes: Notes
        let depth: Int
        let text: String
        let codingPath: [any CodingKey] = []

        func decodeNil() -> Bool { false }

        func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
            notes.schema = notes.reader?.schema(of: type)
            return try NotingDecoder.made(type, depth: depth, text: text)
        }
    }

    /// No type of the API reads such containers.
    struct Unforeseen: Error, CustomStringConvertible {
        let description = "The type reads what no type of the API does."
    }
}
