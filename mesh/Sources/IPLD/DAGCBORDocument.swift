package import Multiformats

/// Bytes validated as one canonical DAG-CBOR value; its parts can be read without another check.
package struct DAGCBORDocument: Hashable, Sendable {
    /// The encoding.
    package let bytes: [UInt8]

    /// Validates bytes as canonical DAG-CBOR.
    package init(validating bytes: [UInt8], limits: DAGCBOR.Limits = DAGCBOR.Limits()) throws(DAGCBORError) {
        var validator = DAGCBORValidator(bytes, limits: limits)
        try validator.validate()
        self.bytes = bytes
    }

    /// The whole value.
    package var root: DAGCBORNode { DAGCBORNode(bytes: bytes, offset: 0) }
}

/// A value inside a validated document, by its place; copies nothing until it is read.
package struct DAGCBORNode: Sendable {
    let bytes: [UInt8]
    let offset: Int

    /// The encoding of this value: a part of the document, as it was received.
    package var slice: ArraySlice<UInt8> {
        var cursor = CBORCursor(bytes: bytes, index: offset)
        cursor.skipItem()
        return bytes[offset..<cursor.index]
    }

    /// The entries of a map in their order; empty when this is not a map.
    package var entries: [(key: String, value: DAGCBORNode)] {
        CBORCursor.entries(of: bytes, at: offset).map { entry in
            let key = String(decoding: bytes[entry.keyRange], as: UTF8.self)
            return (key, DAGCBORNode(bytes: bytes, offset: Int(entry.valueOffset)))
        }
    }

    /// The entry of a map; `nil` when this is not a map or has no such entry.
    package subscript(key: String) -> DAGCBORNode? {
        for entry in CBORCursor.entries(of: bytes, at: offset) where bytes[entry.keyRange].elementsEqual(key.utf8) {
            return DAGCBORNode(bytes: bytes, offset: Int(entry.valueOffset))
        }
        return nil
    }

    /// The entry of a map that has just one; `nil` for everything else.
    package var onlyEntry: (key: String, value: DAGCBORNode)? {
        guard isMap else { return nil }
        var cursor = CBORCursor(bytes: bytes, index: offset)
        guard cursor.head() == 1 else { return nil }
        let key = String(decoding: cursor.content(), as: UTF8.self)
        return (key, DAGCBORNode(bytes: bytes, offset: cursor.index))
    }

    /// How many values a list or entries a map has; `nil` for other kinds.
    package var count: Int? {
        guard isList || isMap else { return nil }
        var cursor = CBORCursor(bytes: bytes, index: offset)
        return Int(cursor.head())
    }

    /// Whether this is a map.
    package var isMap: Bool { bytes[offset] & 0xE0 == CBORMajor.map.rawValue }

    /// Whether this is a list.
    package var isList: Bool { bytes[offset] & 0xE0 == CBORMajor.list.rawValue }

    /// The text; `nil` for other kinds.
    package var text: String? {
        guard bytes[offset] & 0xE0 == CBORMajor.text.rawValue else { return nil }
        var cursor = CBORCursor(bytes: bytes, index: offset)
        return String(decoding: cursor.content(), as: UTF8.self)
    }

    /// The bytes of a byte string; `nil` for other kinds.
    package var byteString: ArraySlice<UInt8>? {
        guard bytes[offset] & 0xE0 == CBORMajor.byteString.rawValue else { return nil }
        var cursor = CBORCursor(bytes: bytes, index: offset)
        return cursor.content()
    }

    /// The CID of a link; `nil` for other kinds.
    package var link: CID? {
        guard bytes[offset] & 0xE0 == CBORMajor.tag.rawValue else { return nil }
        var cursor = CBORCursor(bytes: bytes, index: offset)
        return cursor.link()
    }

    /// The value as a Swift type.
    package func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try CBORDecoding(bytes: bytes, offset: offset).unbox(type)
    }

    /// The value as a tree, built without recursion.
    package var value: IPLDValue { CBORTreeBuilder.build(bytes, at: offset) }
}
