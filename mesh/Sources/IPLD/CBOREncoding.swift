/// The encoder that an `Encodable` type receives: a frame of the shared output.
struct CBOREncoding: Encoder {
    let state: CBOREncodingState
    let frame: Int

    var codingPath: [any CodingKey] { [] }
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        KeyedEncodingContainer(CBORKeyedEncoding<Key>(state: state, frame: frame))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        CBORUnkeyedEncoding(state: state, frame: frame)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer {
        CBORSingleValueEncoding(state: state, frame: frame)
    }
}

/// A map that is being encoded.
struct CBORKeyedEncoding<Key: CodingKey>: KeyedEncodingContainerProtocol {
    private let state: CBOREncodingState
    private let frame: Int

    init(state: CBOREncodingState, frame: Int) {
        self.state = state
        self.frame = frame
        state.begin(.map, in: frame)
    }

    var codingPath: [any CodingKey] { [] }

    private func put(_ key: Key, _ write: (CBOREncodingState) throws -> Void) throws {
        try state.entry(key.stringValue, in: frame, write)
    }

    private func put(_ key: Key, unsigned value: UInt64) throws {
        try put(key) { $0.write { $0.unsigned(value) } }
    }

    private func put(_ key: Key, signed value: Int64) throws {
        try put(key) { $0.write { $0.integer(value) } }
    }

    mutating func encodeNil(forKey key: Key) throws { try put(key) { $0.write { $0.null() } } }
    mutating func encode(_ value: Bool, forKey key: Key) throws { try put(key) { $0.write { $0.bool(value) } } }
    mutating func encode(_ value: String, forKey key: Key) throws { try put(key) { $0.write { $0.text(value) } } }
    mutating func encode(_ value: Double, forKey key: Key) throws { try put(key) { try $0.float(value) } }
    mutating func encode(_ value: Float, forKey key: Key) throws { try put(key) { try $0.float(Double(value)) } }
    mutating func encode(_ value: Int, forKey key: Key) throws { try put(key, signed: Int64(value)) }
    mutating func encode(_ value: Int8, forKey key: Key) throws { try put(key, signed: Int64(value)) }
    mutating func encode(_ value: Int16, forKey key: Key) throws { try put(key, signed: Int64(value)) }
    mutating func encode(_ value: Int32, forKey key: Key) throws { try put(key, signed: Int64(value)) }
    mutating func encode(_ value: Int64, forKey key: Key) throws { try put(key, signed: value) }
    mutating func encode(_ value: UInt, forKey key: Key) throws { try put(key, unsigned: UInt64(value)) }
    mutating func encode(_ value: UInt8, forKey key: Key) throws { try put(key, unsigned: UInt64(value)) }
    mutating func encode(_ value: UInt16, forKey key: Key) throws { try put(key, unsigned: UInt64(value)) }
    mutating func encode(_ value: UInt32, forKey key: Key) throws { try put(key, unsigned: UInt64(value)) }
    mutating func encode(_ value: UInt64, forKey key: Key) throws { try put(key, unsigned: value) }

    mutating func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
        try put(key) { try $0.encode(value) }
    }

    mutating func nestedContainer<NestedKey: CodingKey>(
        keyedBy keyType: NestedKey.Type, forKey key: Key
    ) -> KeyedEncodingContainer<NestedKey> {
        state.deferredEntry(key.stringValue, in: frame).container(keyedBy: keyType)
    }

    mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        state.deferredEntry(key.stringValue, in: frame).unkeyedContainer()
    }

    mutating func superEncoder() -> any Encoder { state.deferredEntry("super", in: frame) }

    mutating func superEncoder(forKey key: Key) -> any Encoder { state.deferredEntry(key.stringValue, in: frame) }
}

/// What lists and single values have in common: every value goes where `put` puts it.
protocol CBORValueEncoding {
    func put(_ write: (CBOREncodingState) throws -> Void) throws
}

extension CBORValueEncoding {
    private func put(unsigned value: UInt64) throws { try put { $0.write { $0.unsigned(value) } } }
    private func put(signed value: Int64) throws { try put { $0.write { $0.integer(value) } } }

    mutating func encodeNil() throws { try put { $0.write { $0.null() } } }
    mutating func encode(_ value: Bool) throws { try put { $0.write { $0.bool(value) } } }
    mutating func encode(_ value: String) throws { try put { $0.write { $0.text(value) } } }
    mutating func encode(_ value: Double) throws { try put { try $0.float(value) } }
    mutating func encode(_ value: Float) throws { try put { try $0.float(Double(value)) } }
    mutating func encode(_ value: Int) throws { try put(signed: Int64(value)) }
    mutating func encode(_ value: Int8) throws { try put(signed: Int64(value)) }
    mutating func encode(_ value: Int16) throws { try put(signed: Int64(value)) }
    mutating func encode(_ value: Int32) throws { try put(signed: Int64(value)) }
    mutating func encode(_ value: Int64) throws { try put(signed: value) }
    mutating func encode(_ value: UInt) throws { try put(unsigned: UInt64(value)) }
    mutating func encode(_ value: UInt8) throws { try put(unsigned: UInt64(value)) }
    mutating func encode(_ value: UInt16) throws { try put(unsigned: UInt64(value)) }
    mutating func encode(_ value: UInt32) throws { try put(unsigned: UInt64(value)) }
    mutating func encode(_ value: UInt64) throws { try put(unsigned: value) }

    mutating func encode<Value: Encodable>(_ value: Value) throws { try put { try $0.encode(value) } }
}

/// A list that is being encoded.
struct CBORUnkeyedEncoding: UnkeyedEncodingContainer, CBORValueEncoding {
    private let state: CBOREncodingState
    private let frame: Int

    init(state: CBOREncodingState, frame: Int) {
        self.state = state
        self.frame = frame
        state.begin(.list, in: frame)
    }

    var codingPath: [any CodingKey] { [] }
    var count: Int { state.count(in: frame) }

    func put(_ write: (CBOREncodingState) throws -> Void) throws {
        try state.element(in: frame, write)
    }

    mutating func nestedContainer<NestedKey: CodingKey>(
        keyedBy keyType: NestedKey.Type
    ) -> KeyedEncodingContainer<NestedKey> {
        state.deferredElement(in: frame).container(keyedBy: keyType)
    }

    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        state.deferredElement(in: frame).unkeyedContainer()
    }

    mutating func superEncoder() -> any Encoder { state.deferredElement(in: frame) }
}

/// A value that is neither map nor list.
struct CBORSingleValueEncoding: SingleValueEncodingContainer, CBORValueEncoding {
    private let state: CBOREncodingState
    private let frame: Int

    init(state: CBOREncodingState, frame: Int) {
        self.state = state
        self.frame = frame
        state.begin(.single, in: frame)
    }

    var codingPath: [any CodingKey] { [] }

    func put(_ write: (CBOREncodingState) throws -> Void) throws {
        try state.single(in: frame, write)
    }

}
