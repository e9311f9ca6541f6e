import NodeAPI
import Synchronization

/// How many requests are worked on at once.
///
/// An answer that needs the mesh goes on when its reader has gone, and so outlives its connection and that bound.
final class AnswerTally: Sendable {
    private let count = Mutex(0)
    private let max: Int

    init(max: Int) { self.max = max }

    /// Counts a request until what it returns is called; refuses one too many.
    func begin() throws(NodeServiceError) -> @Sendable () -> Void {
        let isTaken = count.withLock { count in
            guard count < max else { return false }
            count += 1
            return true
        }
        guard isTaken else {
            throw NodeServiceError(
                .overloaded, "The node works on \(max) requests of its owner's programs and browsers.",
                hint: "Try again when one of them was answered.")
        }
        return { self.count.withLock { $0 -= 1 } }
    }
}
