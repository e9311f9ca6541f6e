import Hummingbird
import NodeAPI
import Synchronization

/// How many requests are worked on at once.
///
/// An answer that needs the mesh goes on when its reader has gone, and so outlives its connection and that bound.
final class AnswerTally: Sendable {
    /// A request that is worked on, as long as somebody keeps this.
    final class Turn: Sendable {
        private let tally: AnswerTally

        fileprivate init(of tally: AnswerTally) { self.tally = tally }

        deinit { tally.count.withLock { $0 -= 1 } }
    }

    private let count = Mutex(0)
    private let max: Int

    init(max: Int) { self.max = max }

    /// Counts a request as long as what it returns is kept; refuses one too many.
    func begin() throws(NodeServiceError) -> Turn {
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
        return Turn(of: self)
    }
}

extension ResponseBody {
    /// The same, which keeps a request's turn until all of it was written, or nobody will write it.
    func keeping(_ turn: AnswerTally.Turn) -> ResponseBody {
        ResponseBody(contentLength: contentLength) { writer in
            try await write(writer)
            withExtendedLifetime(turn) {}
        }
    }
}
