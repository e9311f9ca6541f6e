import NIOCore
import Synchronization

/// Connections to a node on which an answer has ended, kept for a moment for the next request.
///
/// At most `clientIdleConnectionsMax` wait here, each for `clientIdleMilliseconds`: much shorter than the node waits,
/// so that a request hardly ever meets a connection that its node is about to close. A connection on which something
/// comes meanwhile is closed (`UnaskedBytes`).
final class IdleConnections: Sendable {
    private struct Idle: Sendable {
        let channel: any Channel
        let closing: Scheduled<Void>
    }

    private let limits: MeshHTTPLimits
    private let idle = Mutex<[Idle]>([])

    init(limits: MeshHTTPLimits) {
        self.limits = limits
    }

    deinit {
        for idle in idle.withLock({ $0 }) {
            idle.closing.cancel()
            idle.channel.close(promise: nil)
        }
    }

    /// The connection that was used last.
    func take() -> (any Channel)? {
        while let newest = idle.withLock({ $0.popLast() }) {
            newest.closing.cancel()
            if newest.channel.isActive { return newest.channel }
        }
        return nil
    }

    /// Keeps a connection, or closes it where there are enough. Called on its event loop.
    func keep(_ channel: any Channel) {
        guard let unasked = try? channel.pipeline.syncOperations.handler(type: UnaskedBytes.self) else {
            return channel.close(promise: nil)
        }
        unasked.isAsked = false
        let closing = channel.eventLoop.scheduleTask(in: .milliseconds(limits.clientIdleMilliseconds)) { [weak self] in
            guard let self, drop(channel) else { return }
            channel.close(promise: nil)
        }
        let isKept = idle.withLock { idle in
            guard idle.count < limits.clientIdleConnectionsMax else { return false }
            idle.append(Idle(channel: channel, closing: closing))
            return true
        }
        if !isKept {
            closing.cancel()
            channel.close(promise: nil)
        }
    }

    private func drop(_ channel: any Channel) -> Bool {
        idle.withLock { idle in
            guard let index = idle.firstIndex(where: { $0.channel === channel }) else { return false }
            idle.remove(at: index)
            return true
        }
    }
}
