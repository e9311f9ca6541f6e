import Multiformats

/// The decoder that a `Decodable` type receives: a position in a validated document.
///
/// Recursion follows the types and the nesting of the document, which the validator has bounded.
struct CBORDecoding: Decoder {
    let bytes: [UInt8]
    let offset: Int

    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard major == .map else { throw mismatch([String: Any].self) }
        return KeyedDecodingContainer(CBORKeyedDecoding<Key>(self))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard major == .list else { throw mismatch([Any].self) }
        return CBORUnkeyedDecoding(self)
    }

    func singleValueContainer() -> any SingleValueDecodingContainer {
        CBORSingleValueDecoding(place: self)
    }

    // MARK: Values

    func unbox<Value: Decodable>(_ type: Value.Type) throws -> Value {
        if type == String.self, let value = try text() as? Value { return value }
        if type == [UInt8].self, let value = try byteString() as? Value { return value }
        if type == CID.self, let value = try link() as? Value { return value }
        return try Value(from: self)
    }

    var isNull: Bool { bytes[offset] == CBORWriter.nullByte }

    func bool() throws -> Bool {
        switch bytes[offset] {
        case CBORWriter.trueByte: return true
        case CBORWriter.falseByte: return false
        default: throw mismatch(Bool.self)
        }
    }

    func text() throws -> String {
        guard major == .text else { throw mismatch(String.self) }
        var cursor = cursor
        return String(decoding: cursor.content(), as: UTF8.self)
    }

    func double() throws -> Double {
        guard bytes[offset] == CBORWriter.float64Byte else { throw mismatch(Double.self) }
        let bits = bytes[(offset + 1)..<(offset + 9)].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return Double(bitPattern: bits)
    }

    func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws -> Value {
        var cursor = cursor
        let value: Value?
        switch major {
        case .unsigned: value = Value(exactly: cursor.head())
        case .negative: value = Value(exactly: ~Int64(bitPattern: cursor.head()))
        default: throw mismatch(type)
        }
        guard let value else { throw corrupted("the integer at byte \(offset) is out of the range of \(type)") }
        return value
    }

    private func byteString() throws -> [UInt8] {
        guard major == .byteString else { throw mismatch([UInt8].self) }
        var cursor = cursor
        return Array(cursor.content())
    }

    private func link() throws -> CID {
        var cursor = cursor
        guard major == .tag, let cid = cursor.link() else { throw mismatch(CID.self) }
        return cid
    }

    private var major: CBORMajor? { CBORMajor(rawValue: bytes[offset] & 0xE0) }

    private var cursor: CBORCursor { CBORCursor(bytes: bytes, index: offset) }

    // MARK: Errors

    func mismatch(_ type: Any.Type) -> DecodingError {
        let found = major.map { "\($0)" } ?? "something else"
        let reason = "expected \(type) at byte \(offset), found \(found)"
        return .typeMismatch(type, DecodingError.Context(codingPath: [], debugDescription: reason))
    }

    func corrupted(_ reason: String) -> DecodingError {
        .dataCorrupted(DecodingError.Context(codingPath: [], debugDescription: reason))
    }
}

/// A map that is being decoded.
struct CBORKeyedDecoding<Key: CodingKey>: KeyedDecodingContainerProtocol {
    private let place: CBORDecoding
    private let entries: [CBORCursor.Entry]

    init(_ place: CBORDecoding) {
        self.place = place
        entries = CBORCursor.entries(of: place.bytes, at: place.offset)
    }

    var codingPath: [any CodingKey] { [] }

    var allKeys: [Key] {
        entries.compactMap { Key(stringValue: String(decoding: place.bytes[$0.keyRange], as: UTF8.self)) }
    }

    func contains(_ key: Key) -> Bool { find(key) != nil }

    /// The entries are sorted by the length of their keys and then by bytes, so even a large map costs only one search
    /// per requested key.
    private func find(_ key: Key) -> CBORDecoding? {
        let name = key.stringValue.utf8
        let count = name.count
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            let entry = entries[middle]
            let order = Int(entry.keyCount) == count ? compare(entry, name) : Int(entry.keyCount) - count
            if order == 0 { return CBORDecoding(bytes: place.bytes, offset: Int(entry.valueOffset)) }
            if order < 0 { low = middle + 1 } else { high = middle }
        }
        return nil
    }

    /// Compares a key of the map with a name of the same length.
    private func compare(_ entry: CBORCursor.Entry, _ name: String.UTF8View) -> Int {
        var index = Int(entry.keyOffset)
        for byte in name {
            let difference = Int(place.bytes[index]) - Int(byte)
            if difference != 0 { return difference }
            index += 1
        }
        return 0
    }

    private func at(_ key: Key) throws -> CBORDecoding {
        guard let value = find(key) else {
            let reason = "no \"\(key.stringValue)\" in the map at byte \(place.offset)"
            throw DecodingError.keyNotFound(key, DecodingError.Context(codingPath: [], debugDescription: reason))
        }
        return value
    }

    func decodeNil(forKey key: Key) throws -> Bool { try at(key).isNull }
    func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try at(key).bool() }
    func decode(_ type: String.Type, forKey key: Key) throws -> String { try at(key).text() }
    func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try at(key).double() }
    func decode(_ type: Float.Type, forKey key: Key) throws -> Float { Float(try at(key).double()) }
    func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try at(key).integer(type) }
    func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try at(key).integer(type) }
    func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try at(key).integer(type) }
    func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try at(key).integer(type) }
    func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try at(key).integer(type) }
    func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try at(key).integer(type) }
    func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try at(key).integer(type) }
    func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try at(key).integer(type) }
    func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try at(key).integer(type) }
    func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try at(key).integer(type) }
    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value { try at(key).unbox(type) }

    func decodeIfPresent<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value? {
        guard let value = find(key), !value.isNull else { return nil }
        return try value.unbox(type)
    }

    func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<NestedKey> {
        try at(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try at(key).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder {
        guard let key = Key(stringValue: "super") else { throw place.corrupted("no \"super\" in the map") }
        return try at(key)
    }

    func superDecoder(forKey key: Key) throws -> any Decoder { try at(key) }
}

/// A list that is being decoded.
struct CBORUnkeyedDecoding: UnkeyedDecodingContainer {
    private let bytes: [UInt8]
    private var cursor: CBORCursor
    private let total: Int
    private(set) var currentIndex = 0

    init(_ place: CBORDecoding) {
        bytes = place.bytes
        cursor = CBORCursor(bytes: place.bytes, index: place.offset)
        total = Int(cursor.head())
    }

    var codingPath: [any CodingKey] { [] }
    var count: Int? { total }
    var isAtEnd: Bool { currentIndex >= total }

    /// Reads an element, and moves past it only on success, as the protocol requires.
    private mutating func element<Value>(_ read: (CBORDecoding) throws -> Value) throws -> Value {
        guard !isAtEnd else {
            let reason = "the list has \(total) elements"
            throw DecodingError.valueNotFound(
                Value.self, DecodingError.Context(codingPath: [], debugDescription: reason))
        }
        let value = try read(CBORDecoding(bytes: bytes, offset: cursor.index))
        cursor.skipItem()
        currentIndex += 1
        return value
    }

    mutating func decodeNil() throws -> Bool {
        guard !isAtEnd, bytes[cursor.index] == CBORWriter.nullByte else { return false }
        return try element { _ in true }
    }

    mutating func decode(_ type: Bool.Type) throws -> Bool { try element { try $0.bool() } }
    mutating func decode(_ type: String.Type) throws -> String { try element { try $0.text() } }
    mutating func decode(_ type: Double.Type) throws -> Double { try element { try $0.double() } }
    mutating func decode(_ type: Float.Type) throws -> Float { Float(try element { try $0.double() }) }
    mutating func decode(_ type: Int.Type) throws -> Int { try element { try $0.integer(type) } }
    mutating func decode(_ type: Int8.Type) throws -> Int8 { try element { try $0.integer(type) } }
    mutating func decode(_ type: Int16.Type) throws -> Int16 { try element { try $0.integer(type) } }
    mutating func decode(_ type: Int32.Type) throws -> Int32 { try element { try $0.integer(type) } }
    mutating func decode(_ type: Int64.Type) throws -> Int64 { try element { try $0.integer(type) } }
    mutating func decode(_ type: UInt.Type) throws -> UInt { try element { try $0.integer(type) } }
    mutating func decode(_ type: UInt8.Type) throws -> UInt8 { try element { try $0.integer(type) } }
    mutating func decode(_ type: UInt16.Type) throws -> UInt16 { try element { try $0.integer(type) } }
    mutating func decode(_ type: UInt32.Type) throws -> UInt32 { try element { try $0.integer(type) } }
    mutating func decode(_ type: UInt64.Type) throws -> UInt64 { try element { try $0.integer(type) } }
    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try element { try $0.unbox(type) } }

    mutating func nestedContainer<NestedKey: CodingKey>(
        keyedBy type: NestedKey.Type
    ) throws -> KeyedDecodingContainer<NestedKey> {
        try element { try $0.container(keyedBy: type) }
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
        try element { try $0.unkeyedContainer() }
    }

    mutating func superDecoder() throws -> any Decoder { try element { $0 } }
}

/// A single value.
struct CBORSingleValueDecoding: SingleValueDecodingContainer {
    let place: CBORDecoding

    var codingPath: [any CodingKey] { [] }

    func decodeNil() -> Bool { place.isNull }
    func decode(_ type: Bool.Type) throws -> Bool { try place.bool() }
    func decode(_ type: String.Type) throws -> String { try place.text() }
    func decode(_ type: Double.Type) throws -> Double { try place.double() }
    func decode(_ type: Float.Type) throws -> Float { Float(try place.double()) }
    func decode(_ type: Int.Type) throws -> Int { try place.integer(type) }
    func decode(_ type: Int8.Type) throws -> Int8 { try place.integer(type) }
    func decode(_ type: Int16.Type) throws -> Int16 { try place.integer(type) }
    func decode(_ type: Int32.Type) throws -> Int32 { try place.integer(type) }
    func decode(_ type: Int64.Type) throws -> Int64 { try place.integer(type) }
    func decode(_ type: UInt.Type) throws -> UInt { try place.integer(type) }
    func decode(_ type: UInt8.Type) throws -> UInt8 { try place.integer(type) }
    func decode(_ type: UInt16.Type) throws -> UInt16 { try place.integer(type) }
    func decode(_ type: UInt32.Type) throws -> UInt32 { try place.integer(type) }
    func decode(_ type: UInt64.Type) throws -> UInt64 { try place.integer(type) }
    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try place.unbox(type) }
}
