package import Multiformats

/// A type that is read by hand, straight from the bytes, for what a node reads all the time.
///
/// Reading by hand takes only the plain form: exactly the fields that it knows. Whatever else is there (an unknown
/// field, a value of another kind) is left to `Decodable`, which reads it or says what is wrong. So both give the same
/// values and the same refusals, and a field that one forgets is slow and not lost.
package protocol DAGCBORReadable: Decodable {
    /// The value of its plain form.
    init(plain node: DAGCBORNode) throws(NotPlain)
}

extension DAGCBORReadable {
    /// Leaves every form to `Decodable`.
    package init(plain node: DAGCBORNode) throws(NotPlain) { throw NotPlain() }
}

/// That a value has another form than the plain one; it is no fault.
package struct NotPlain: Error, CustomStringConvertible {
    /// Nothing is said of what differs: it is read again, by the decoder.
    package init() {}

    /// The words of it.
    package var description: String { "the value has another form than the plain one" }
}

extension DAGCBORNode {
    /// The value as a Swift type: by hand if it is plain.
    package func decode<Value: DAGCBORReadable>(_ type: Value.Type) throws -> Value {
        do {
            return try Value(plain: self)
        } catch {
            return try CBORDecoding(bytes: bytes, offset: offset).unbox(type)
        }
    }

    /// The number; `nil` for other kinds, and below zero.
    package var unsigned: UInt64? {
        guard bytes[offset] & 0xE0 == CBORMajor.unsigned.rawValue else { return nil }
        var cursor = CBORCursor(bytes: bytes, index: offset)
        return cursor.head()
    }

    /// True or false; `nil` for other kinds.
    package var bool: Bool? {
        switch bytes[offset] {
        case CBORWriter.trueByte: true
        case CBORWriter.falseByte: false
        default: nil
        }
    }

    /// The elements of a list; `nil` for other kinds.
    package var elements: [DAGCBORNode]? {
        guard isList else { return nil }
        var cursor = CBORCursor(bytes: bytes, index: offset)
        return (0..<Int(cursor.head())).map { _ in
            defer { cursor.skipItem() }
            return DAGCBORNode(bytes: bytes, offset: cursor.index)
        }
    }
}

/// Reads a map of a validated document field by field, without containers.
///
/// Fields are asked for in canonical order: shorter keys first, then by bytes. A field that the caller does not ask for
/// stops the reading there, and `end` tells.
package struct DAGCBORReader {
    private var cursor: CBORCursor
    private var left: Int

    /// A reader at the first entry of a map.
    package init(_ node: DAGCBORNode) throws(NotPlain) {
        guard node.isMap else { throw NotPlain() }
        cursor = CBORCursor(bytes: node.bytes, index: node.offset)
        left = Int(cursor.head())
    }

    /// Throws unless every entry was read.
    package func end() throws(NotPlain) {
        if left > 0 { throw NotPlain() }
    }

    /// The value of a field, if it is the next one, and not null.
    package mutating func nodeIfPresent(_ key: String) throws(NotPlain) -> DAGCBORNode? {
        guard left > 0 else { return nil }
        var next = cursor
        guard next.content().elementsEqual(key.utf8) else { return nil }
        let node = DAGCBORNode(bytes: cursor.bytes, offset: next.index)
        // Null reads as absent, which is not for here.
        if cursor.bytes[next.index] == CBORWriter.nullByte { throw NotPlain() }
        next.skipItem()
        cursor = next
        left -= 1
        return node
    }

    /// The value of a field.
    package mutating func node(_ key: String) throws(NotPlain) -> DAGCBORNode {
        try Self.require(try nodeIfPresent(key))
    }

    /// A text.
    package mutating func text(_ key: String) throws(NotPlain) -> String { try Self.require(try node(key).text) }

    /// A number.
    package mutating func unsigned(_ key: String) throws(NotPlain) -> UInt64 {
        try Self.require(try node(key).unsigned)
    }

    /// True or false.
    package mutating func bool(_ key: String) throws(NotPlain) -> Bool { try Self.require(try node(key).bool) }

    /// A link.
    package mutating func link(_ key: String) throws(NotPlain) -> CID { try Self.require(try node(key).link) }

    /// A byte string.
    package mutating func byteString(_ key: String) throws(NotPlain) -> [UInt8] {
        Array(try Self.require(try node(key).byteString))
    }

    /// A text that may be absent.
    package mutating func textIfPresent(_ key: String) throws(NotPlain) -> String? {
        guard let node = try nodeIfPresent(key) else { return nil }
        return try Self.require(node.text)
    }

    /// A number that may be absent.
    package mutating func unsignedIfPresent(_ key: String) throws(NotPlain) -> UInt64? {
        guard let node = try nodeIfPresent(key) else { return nil }
        return try Self.require(node.unsigned)
    }

    /// A link that may be absent.
    package mutating func linkIfPresent(_ key: String) throws(NotPlain) -> CID? {
        guard let node = try nodeIfPresent(key) else { return nil }
        return try Self.require(node.link)
    }

    /// A byte string that may be absent.
    package mutating func byteStringIfPresent(_ key: String) throws(NotPlain) -> [UInt8]? {
        guard let node = try nodeIfPresent(key) else { return nil }
        return Array(try Self.require(node.byteString))
    }

    /// A list of texts.
    package mutating func texts(_ key: String) throws(NotPlain) -> [String] {
        try Self.all(try node(key)) { $0.text }
    }

    /// A list of links.
    package mutating func links(_ key: String) throws(NotPlain) -> [CID] {
        try Self.all(try node(key)) { $0.link }
    }

    /// The value, or that it is not plain.
    package static func require<Value>(_ value: Value?) throws(NotPlain) -> Value {
        guard let value else { throw NotPlain() }
        return value
    }

    private static func all<Value>(
        _ node: DAGCBORNode, _ read: (DAGCBORNode) -> Value?
    ) throws(NotPlain) -> [Value] {
        guard let elements = node.elements else { throw NotPlain() }
        let values = elements.compactMap(read)
        guard values.count == elements.count else { throw NotPlain() }
        return values
    }
}
