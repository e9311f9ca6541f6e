import Multiformats
import OrderedCollections

/// Values by topic, in the order in which topics were added.
///
/// Topics are compared by bytes: Swift treats two spellings of a letter as equal, other implementations do not.
struct TopicTable<Value: Sendable>: Sequence, Sendable {
    private var values: OrderedDictionary<ExactText, Value> = [:]

    var count: Int { values.count }

    /// The topics, in their order.
    var keys: [String] { values.keys.map(\.text) }

    subscript(topic: String) -> Value? {
        get { values[ExactText(topic)] }
        _modify { yield &values[ExactText(topic)] }
    }

    @discardableResult
    mutating func removeValue(forKey topic: String) -> Value? { values.removeValue(forKey: ExactText(topic)) }

    mutating func remove(at index: Int) { values.remove(at: index) }

    mutating func removeAll(where isGone: (Value) -> Bool) { values.removeAll { isGone($0.value) } }

    func makeIterator() -> AnyIterator<(key: String, value: Value)> {
        var rest = values.makeIterator()
        return AnyIterator { rest.next().map { ($0.key.text, $0.value) } }
    }
}
