import IPLD
import Multiformats

/// A map from text to values, always in DAG-CBOR's order: shorter keys first, then by bytes.
///
/// It encodes as a map. Because the order is part of the value, iteration is deterministic, and two maps are equal
/// exactly when they encode to the same bytes: keys and texts compare by their UTF-8, so an é in two spellings makes
/// two keys.
package struct CanonicalMap<Value: Codable & Hashable & Sendable>: Hashable, Sendable {
    /// One key with its value.
    package struct Entry: Hashable, Sendable {
        /// The name.
        package let key: String
        /// What it stands for.
        package var value: Value

        /// A key with its value.
        package init(key: String, value: Value) {
            self.key = key
            self.value = value
        }

        package static func == (left: Entry, right: Entry) -> Bool {
            guard left.key.isSameBytes(as: right.key) else { return false }
            if Value.self == String.self, let left = left.value as? String, let right = right.value as? String {
                return left.isSameBytes(as: right)
            }
            return left.value == right.value
        }

        /// Hashes the bytes of the key, and the value.
        package func hash(into hasher: inout Hasher) {
            hasher.combine(ExactText(key))
            if Value.self == String.self, let text = value as? String { return hasher.combine(ExactText(text)) }
            hasher.combine(value)
        }
    }

    /// All entries in canonical order.
    package private(set) var entries: [Entry]

    /// An empty map.
    package init() {
        entries = []
    }

    /// A map of pairs; the last of equal keys wins.
    package init(_ pairs: some Sequence<(String, Value)>) {
        entries = []
        for (key, value) in pairs { self[key] = value }
    }

    /// A map of entries that a validated document has, in their order; `nil` if a value does not read.
    init?(reading nodes: [(key: String, value: DAGCBORNode)], _ read: (DAGCBORNode) -> Value?) {
        entries = []
        entries.reserveCapacity(nodes.count)
        for (key, node) in nodes {
            guard let value = read(node) else { return nil }
            entries.append(Entry(key: key, value: value))
        }
    }

    /// The keys in canonical order.
    package var keys: [String] { entries.map(\.key) }
    /// The values in the order of their keys.
    package var values: [Value] { entries.map(\.value) }
    /// The number of entries.
    package var count: Int { entries.count }
    /// Whether there are no entries.
    package var isEmpty: Bool { entries.isEmpty }

    /// The value of a key; setting `nil` removes the key.
    package subscript(key: String) -> Value? {
        get {
            let index = position(of: key)
            return index < entries.count && entries[index].key.isSameBytes(as: key) ? entries[index].value : nil
        }
        set {
            let index = position(of: key)
            let exists = index < entries.count && entries[index].key.isSameBytes(as: key)
            switch (newValue, exists) {
            case (let value?, true): entries[index].value = value
            case (let value?, false): entries.insert(Entry(key: key, value: value), at: index)
            case (nil, true): entries.remove(at: index)
            case (nil, false): break
            }
        }
    }

    private func position(of key: String) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if Self.precedes(entries[middle].key, key) { low = middle + 1 } else { high = middle }
        }
        return low
    }

    private static func precedes(_ left: String, _ right: String) -> Bool {
        let leftCount = left.utf8.count
        let rightCount = right.utf8.count
        return leftCount != rightCount ? leftCount < rightCount : left.utf8.lexicographicallyPrecedes(right.utf8)
    }
}

extension CanonicalMap: Codable {
    /// Reads a map with text keys.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: TextKey.self)
        var read: [Entry] = []
        for key in container.allKeys {
            read.append(Entry(key: key.stringValue, value: try container.decode(Value.self, forKey: key)))
        }
        entries = read.sorted { Self.precedes($0.key, $1.key) }
    }

    /// Writes a map with text keys in canonical order.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: TextKey.self)
        for entry in entries {
            try container.encode(entry.value, forKey: TextKey(entry.key))
        }
    }
}

extension CanonicalMap: ExpressibleByDictionaryLiteral {
    /// A map written as a literal; the last of equal keys wins.
    package init(dictionaryLiteral elements: (String, Value)...) {
        self.init(elements)
    }
}

extension CanonicalMap: Sequence {
    /// An iterator over the entries in canonical order.
    package func makeIterator() -> IndexingIterator<[Entry]> {
        entries.makeIterator()
    }
}

/// A coding key of any text.
struct TextKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(_ text: String) {
        stringValue = text
    }

    init?(stringValue: String) {
        self.stringValue = stringValue
    }

    init?(intValue: Int) {
        nil
    }
}
