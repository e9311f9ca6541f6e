import HeapModule
import MeshTypes
import Multiformats

/// When time alone decides about holds, the earliest first. What a hold has outlived stays until it is the first.
struct DueDates: Hashable, Sendable {
    struct Due: Comparable, Hashable, Sendable {
        let at: UnixMilliseconds
        let hold: CID

        static func < (left: Self, right: Self) -> Bool { (left.at, left.hold) < (right.at, right.hold) }
    }

    private var heap = Heap<Due>()

    var first: Due? { heap.min }
    var count: Int { heap.count }

    /// Those before a date, the earliest first.
    func before(_ date: UnixMilliseconds) -> [Due] {
        guard let first, first.at < date else { return [] }
        return heap.unordered.filter { $0.at < date }.sorted()
    }

    mutating func insert(_ due: Due) { heap.insert(due) }

    /// Takes away what holds have outlived.
    mutating func dropFirst(while isOver: (Due) -> Bool) {
        while let due = heap.min, isOver(due) { heap.removeMin() }
    }

    // The same inputs leave the same heap.
    static func == (left: Self, right: Self) -> Bool { left.heap.unordered == right.heap.unordered }
    func hash(into hasher: inout Hasher) { hasher.combine(heap.unordered) }
}
