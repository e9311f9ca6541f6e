import NodeAPI
import Synchronization

/// What a gateway has done, and how much it does now.
final class GatewayTally: Sendable {
    private struct Counts {
        var address: String?
        var connections = 0
        var underWay = 0
        var answered: UInt64 = 0
        var refused: UInt64 = 0
        var cut: UInt64 = 0
        var bytes: UInt64 = 0
    }

    private let counts = Mutex(Counts())

    /// One of the answers that may be under way; free again when nobody has it any more.
    final class Place: Sendable {
        private let tally: GatewayTally

        fileprivate init(_ tally: GatewayTally) { self.tally = tally }

        deinit { tally.counts.withLock { $0.underWay -= 1 } }
    }

    /// A place for an answer, if there is one.
    func place(of answersMax: Int) -> Place? {
        let isFree = counts.withLock { counts in
            guard counts.underWay < answersMax else { return false }
            counts.underWay += 1
            return true
        }
        return isFree ? Place(self) : nil
    }

    func listens(on address: String) { counts.withLock { $0.address = address } }
    func connected() { counts.withLock { $0.connections += 1 } }
    func disconnected() { counts.withLock { $0.connections -= 1 } }
    func answered() { counts.withLock { $0.answered += 1 } }
    func refused() { counts.withLock { $0.refused += 1 } }
    func wasCut() { counts.withLock { $0.cut += 1 } }
    func sent(_ bytes: Int) { counts.withLock { $0.bytes += UInt64(bytes) } }

    /// All of it, for the owner; nil before the gateway listens.
    func status(publicRoots: Int) -> NodeStatus.Gateway? {
        counts.withLock { counts in
            guard let address = counts.address else { return nil }
            return NodeStatus.Gateway(
                address: address, publicRoots: publicRoots, connections: counts.connections,
                answersUnderWay: counts.underWay, answers: counts.answered, refusals: counts.refused,
                cutAnswers: counts.cut, sentBytes: counts.bytes)
        }
    }
}

/// Lets so many pass at the same time, and the others in their turn.
actor GatewayTurns {
    private var free: Int
    /// BOUNDED: one for each answer under way (`responsesMax`).
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(_ count: Int) { free = count }

    /// Waits for a turn, which whoever gets it gives back.
    func take() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    /// Gives a turn back.
    func give() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
}
