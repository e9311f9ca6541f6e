import Logging
import MeshStore
import NodeAPI
import Synchronization

/// How a node ends: its owner or its core asks for it, or the disk fails, after which it cannot keep its promises.
final class NodeEnd: Sendable {
    /// One element, however often the end was asked for.
    let asked: AsyncStream<Void>
    private let asking: AsyncStream<Void>.Continuation
    private let reason = Mutex<NodeServiceError?>(nil)
    private let store: MeshStore
    private let logger: Logger

    init(store: MeshStore, logger: Logger) {
        self.store = store
        self.logger = logger
        (asked, asking) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Why the node could not continue; nil if nothing failed.
    var failure: NodeServiceError? { reason.withLock { $0 } }

    /// Asks for the end.
    func ask() { asking.yield(()) }

    /// Asks for the end because of a failure; the first one is the reason.
    func fail(_ error: NodeServiceError) {
        let isFirst = reason.withLock { reason in
            defer { reason = reason ?? error }
            return reason == nil
        }
        if isFirst { logger.critical("The node stops: \(error)") }
        store.waitNoLonger()
        ask()
    }
}
