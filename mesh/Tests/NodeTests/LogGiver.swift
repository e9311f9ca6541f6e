import IPLD
import LibP2P
import LogTesting
import MeshTypes
import Multiformats
import Receipts
import Synchronization

/// Gives ranges of a log by hand, and remembers what it was asked.
final class LogGiver: Sendable {
    struct State: Sendable {
        var author: LogAuthor
        /// Answers that are left; then it refuses.
        var left = Int.max
        /// What it does to an honest answer.
        var change: @Sendable (inout LogRange) -> Void = { _ in }
        /// The numbers from which on it was asked.
        var starts: [UInt64] = []
    }

    private let state: Mutex<State>

    init(_ author: LogAuthor) { state = Mutex(State(author: author)) }

    var starts: [UInt64] { state.withLock { $0.starts } }

    func set(_ change: @Sendable (inout State) -> Void) { state.withLock { change(&$0) } }

    /// Serves from a swarm.
    func serve(on host: any StreamHost) async {
        let exchange = RequestResponse(host: host, protocolID: MeshTopics.logs)
        await exchange.serve { [self] _, bytes in
            guard let request = try? DAGCBORDecoder().decode(LogRangeRequest.self, from: bytes),
                let range = answer(request), let encoded = try? DAGCBOREncoder().encode(range)
            else { return .refuse }
            return .respond(encoded)
        }
    }

    private func answer(_ request: LogRangeRequest) -> LogRange? {
        state.withLock { state in
            state.starts.append(request.start)
            guard state.left > 0, var range = try? state.author.answer(request) else { return nil }
            state.left -= 1
            state.change(&range)
            return range
        }
    }
}
