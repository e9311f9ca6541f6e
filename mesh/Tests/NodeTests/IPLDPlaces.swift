import IPLD
import Multiformats

/// Places in a value, for tests that change one field of a message.
extension IPLDValue {
    /// One step from a list or map to what is in it.
    enum Step: Hashable {
        case key(String)
        case index(Int)
    }

    /// The places of everything in the value, itself first.
    var places: [[Step]] {
        switch self {
        case .list(let list):
            [[]] + list.indices.flatMap { index in list[index].places.map { [.index(index)] + $0 } }
        case .map(let map):
            [[]] + map.entries.flatMap { entry in entry.value.places.map { [.key(entry.key)] + $0 } }
        default: [[]]
        }
    }

    /// What stands at a place; `nil` where there is none.
    func value(at path: ArraySlice<Step>) -> IPLDValue? {
        switch (self, path.first) {
        case (_, nil): self
        case (.list(let list), .index(let index)?):
            list.indices.contains(index) ? list[index].value(at: path.dropFirst()) : nil
        case (.map(let map), .key(let key)?): map[key]?.value(at: path.dropFirst())
        default: nil
        }
    }

    /// The value with another one at a place, or with nothing there.
    func replacing(at path: ArraySlice<Step>, with value: IPLDValue?) throws -> IPLDValue {
        guard let step = path.first else { return value ?? .null }
        switch (self, step) {
        case (.list(var list), .index(let index)):
            if path.count == 1, value == nil {
                list.remove(at: index)
            } else {
                list[index] = try list[index].replacing(at: path.dropFirst(), with: value)
            }
            return .list(list)
        case (.map(let map), .key(let key)):
            return .map(
                try IPLDMap(
                    map.entries.compactMap { entry in
                        guard entry.key.isSameBytes(as: key) else { return entry }
                        if path.count == 1, value == nil { return nil }
                        return .init(key: key, value: try entry.value.replacing(at: path.dropFirst(), with: value))
                    }))
        default: return self
        }
    }

    /// The value with other blocks and links wherever the old ones stand.
    func substituting(_ blocks: [IPLDValue: IPLDValue]) throws -> IPLDValue {
        if let other = blocks[self] { return other }
        switch self {
        case .list(let list): return .list(try list.map { try $0.substituting(blocks) })
        case .map(let map):
            return .map(
                try IPLDMap(map.entries.map { .init(key: $0.key, value: try $0.value.substituting(blocks)) }))
        default: return self
        }
    }
}
