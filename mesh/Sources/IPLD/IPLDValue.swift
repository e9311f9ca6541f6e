package import Multiformats

/// A value of the IPLD data model with integers of 64 bits; texts and keys compare by their bytes.
package enum IPLDValue: Hashable, Sendable {
    /// Nothing.
    case null
    /// True or false.
    case bool(Bool)
    /// An integer of zero or more.
    case unsigned(UInt64)
    /// An integer below zero; `integer(_:)` picks between this case and `unsigned`.
    case negative(Int64)
    /// A 64-bit float; NaN and infinities have no encoding.
    case float(Double)
    /// A text.
    case string(String)
    /// Bytes.
    case bytes([UInt8])
    /// Values in order.
    case list([IPLDValue])
    /// Values by text keys.
    case map(IPLDMap)
    /// A link to a block.
    case link(CID)

    package static func == (left: IPLDValue, right: IPLDValue) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let left), .bool(let right)): left == right
        case (.unsigned(let left), .unsigned(let right)): left == right
        case (.negative(let left), .negative(let right)): left == right
        case (.float(let left), .float(let right)): left == right
        case (.string(let left), .string(let right)): left.isSameBytes(as: right)
        case (.bytes(let left), .bytes(let right)): left == right
        case (.list(let left), .list(let right)): left == right
        case (.map(let left), .map(let right)): left == right
        case (.link(let left), .link(let right)): left == right
        default: false
        }
    }

    /// Hashes the value; a text by its bytes.
    package func hash(into hasher: inout Hasher) {
        switch self {
        case .null: hasher.combine(0 as UInt8)
        case .bool(let bool): hasher.combine(bool)
        case .unsigned(let integer): hasher.combine(integer)
        case .negative(let integer): hasher.combine(integer)
        case .float(let double): hasher.combine(double)
        case .string(let text): hasher.combine(ExactText(text))
        case .bytes(let bytes): hasher.combine(bytes)
        case .list(let list): hasher.combine(list)
        case .map(let map): hasher.combine(map)
        case .link(let cid): hasher.combine(cid)
        }
    }

    /// The value of a signed integer.
    package static func integer(_ value: Int64) -> IPLDValue {
        value < 0 ? .negative(value) : .unsigned(UInt64(value))
    }

    /// The entry of a map; `nil` when this is not a map or has no such entry.
    package subscript(key: String) -> IPLDValue? {
        if case .map(let map) = self { return map[key] }
        return nil
    }
}

/// A map of IPLD with its keys in DAG-CBOR's order: by length in bytes, then by bytes.
package struct IPLDMap: Hashable, Sendable, ExpressibleByDictionaryLiteral {
    /// One key with its value.
    package struct Entry: Hashable, Sendable {
        /// The key.
        package let key: String
        /// The value.
        package let value: IPLDValue

        package init(key: String, value: IPLDValue) {
            self.key = key
            self.value = value
        }

        package static func == (left: Entry, right: Entry) -> Bool {
            left.key.isSameBytes(as: right.key) && left.value == right.value
        }

        /// Hashes the bytes of the key, and the value.
        package func hash(into hasher: inout Hasher) {
            hasher.combine(ExactText(key))
            hasher.combine(value)
        }
    }

    /// The entries, sorted, each key once.
    package let entries: [Entry]

    /// A map of entries in any order; two entries of one key are refused.
    package init(_ entries: [Entry]) throws(DAGCBOREncodingError) {
        let sorted = entries.sorted { Self.precedes($0.key, $1.key) }
        for (left, right) in zip(sorted, sorted.dropFirst()) where left.key.isSameBytes(as: right.key) {
            throw .duplicateKey(left.key)
        }
        self.entries = sorted
    }

    /// A map of entries from a validated encoding: sorted and without duplicates.
    init(sorted entries: [Entry]) {
        self.entries = entries
    }

    /// A map written in the source; of equal keys the last entry counts.
    package init(dictionaryLiteral elements: (String, IPLDValue)...) {
        var entries: [Entry] = []
        for (key, value) in elements {
            entries.removeAll { $0.key.isSameBytes(as: key) }
            entries.append(Entry(key: key, value: value))
        }
        self.entries = entries.sorted { Self.precedes($0.key, $1.key) }
    }

    /// The value of a key.
    package subscript(key: String) -> IPLDValue? {
        entries.first { $0.key.isSameBytes(as: key) }?.value
    }

    private static func precedes(_ left: String, _ right: String) -> Bool {
        let (leftCount, rightCount) = (left.utf8.count, right.utf8.count)
        return leftCount == rightCount ? left.utf8.lexicographicallyPrecedes(right.utf8) : leftCount < rightCount
    }
}
