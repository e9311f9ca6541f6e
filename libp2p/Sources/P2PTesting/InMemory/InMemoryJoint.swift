import LibP2P
import NIOConcurrencyHelpers

/// Two stream channels back to back: what is written to one is read from the other.
final class InMemoryJoint: Sendable {
    private enum Direction: Hashable, Sendable {
        case toFar
        case toNear
    }

    /// Moves in one direction happen one at a time, or bytes could overtake each other.
    private struct Moves: Sendable {
        var running: Set<Direction> = []
        var repeated: Set<Direction> = []
    }

    private struct Reference: Sendable {
        weak var joint: InMemoryJoint?
    }

    let near: StreamChannel
    let far: StreamChannel
    private let moves = NIOLockedValueBox(Moves())

    init(windowBytes: Int) {
        let reference = NIOLockedValueBox(Reference())
        near = StreamChannel(
            inbox: StreamInbox { count in reference.withLockedValue { $0.joint }?.far.outbox.drained(count) },
            outbox: StreamOutbox(bytesMax: windowBytes) { reference.withLockedValue { $0.joint }?.move(.toFar) })
        far = StreamChannel(
            inbox: StreamInbox { count in reference.withLockedValue { $0.joint }?.near.outbox.drained(count) },
            outbox: StreamOutbox(bytesMax: windowBytes) { reference.withLockedValue { $0.joint }?.move(.toNear) })
        reference.withLockedValue { $0.joint = self }
    }

    private func move(_ direction: Direction) {
        let (from, to) = direction == .toFar ? (near.outbox, far.inbox) : (far.outbox, near.inbox)
        let isFirst = moves.withLockedValue { moves in
            if moves.running.insert(direction).inserted { return true }
            moves.repeated.insert(direction)
            return false
        }
        guard isFirst else { return }
        var goesOn = true
        while goesOn {
            let output = from.take()
            for chunk in output.chunks { to.deliver(chunk) }
            if output.closes { to.finish() }
            goesOn = moves.withLockedValue { moves in
                if moves.repeated.remove(direction) != nil { return true }
                moves.running.remove(direction)
                return false
            }
        }
    }

    /// Both sides lose the stream.
    func reset() {
        near.fail(.reset)
        far.fail(.reset)
    }

    /// A side's user released the stream.
    func release(_ channel: StreamChannel) {
        if channel.outbox.isClosed {
            channel.inbox.discard()
        } else {
            reset()
        }
    }
}
