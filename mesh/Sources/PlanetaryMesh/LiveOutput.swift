import CoVM
import NodeCore
import Synchronization

/// What a run writes while it lasts, for whoever watches: at its executor, and again at the node that asked for the
/// job.
final class LiveOutput: Sendable {
    private let state = Mutex(OutputTail())
    private let bell: SharedBell

    /// Output of a run that has written nothing; what comes rings a bell.
    init(bell: SharedBell = SharedBell()) { self.bell = bell }

    /// The last of it, now.
    var tail: OutputTail { state.withLock { $0 } }

    /// Takes what the run writes next.
    func wrote(_ parts: [OutputPart]) {
        change { tail in for part in parts { tail.append(part.bytes, isError: part.isError) } }
    }

    /// Takes bytes of a stream from a position on, as far as they are new.
    func take(_ bytes: [UInt8], isError: Bool, at position: UInt64) {
        change { $0.append(bytes, isError: isError, at: position) }
    }

    /// Nothing follows.
    func close() { change { $0.close() } }

    private func change(_ body: (inout OutputTail) -> Void) {
        state.withLock { body(&$0) }
        bell.ring()
    }

    /// Has whoever watches look again.
    func ring() { bell.ring() }

    /// One element whenever something may have changed, the first at once.
    func changes() -> AsyncStream<Void> { bell.listen() }
}
