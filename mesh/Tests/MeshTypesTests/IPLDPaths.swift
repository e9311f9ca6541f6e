import IPLD
import Multiformats

/// Places in a value, for tests that change one field after the other.
extension IPLDValue {
    /// One step from a list or map to what is in it.
    enum Step: Hashable {
        case key(String)
        case index(Int)
    }

    /// The places of all integers.
    var integerPaths: [[Step]] {
        switch self {
        case .unsigned, .negative: [[]]
        case .list(let list): list.indices.flatMap { index in list[index].integerPaths.map { [.index(index)] + $0 } }
        case .map(let map): map.entries.flatMap { entry in entry.value.integerPaths.map { [.key(entry.key)] + $0 } }
        default: []
        }
    }

    /// The value with another one at a place.
    func replacing(_ value: IPLDValue, at path: ArraySlice<Step>) throws -> IPLDValue {
        guard let step = path.first else { return value }
        switch (self, step) {
        case (.list(var list), .index(let index)):
            list[index] = try list[index].replacing(value, at: path.dropFirst())
            return .list(list)
        case (.map(let map), .key(let key)):
            return .map(
                try IPLDMap(
                    map.entries.map { entry in
                        guard entry.key.isSameBytes(as: key) else { return entry }
                        return .init(key: key, value: try entry.value.replacing(value, at: path.dropFirst()))
                    }))
        default: return self
        }
    }
}
