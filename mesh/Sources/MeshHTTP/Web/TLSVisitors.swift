import NIOCore
import Synchronization

/// Who is connected to the API over TLS, where strangers are: none of them takes all connections, and handshakes, which
/// cost the most, are few at once: a new one ends the eldest, so that who stalls keeps nobody out.
final class TLSVisitors: Sendable {
    /// A connection that is counted until it is closed.
    struct Visit: Sendable {
        fileprivate let number: UInt64
        fileprivate let place: [UInt8]
    }

    private struct State {
        var connections: [[UInt8]: Int] = [:]
        /// Handshakes under way, the eldest first, each with its address and what closes its connection.
        var handshakes: [(number: UInt64, place: [UInt8], close: @Sendable () -> Void)] = []
        var visits: UInt64 = 0

        /// Takes out the eldest handshake of the address that has most of them under way.
        mutating func removeOfBusiest() -> (@Sendable () -> Void)? {
            let counts = handshakes.reduce(into: [[UInt8]: Int]()) { $0[$1.place, default: 0] += 1 }
            let most = counts.values.max()
            return handshakes.firstIndex { counts[$0.place] == most }.map { handshakes.remove(at: $0).close }
        }
    }

    private let limits: MeshHTTPLimits
    private let state = Mutex(State())

    init(limits: MeshHTTPLimits) {
        self.limits = limits
    }

    /// Handshakes under way.
    var handshakes: Int { state.withLock(\.handshakes.count) }

    /// Counts a new connection and its handshake; nil if its address has too many connections. If this handshake is one
    /// too many, the eldest of the address that has most of them is ended: who has many keeps nobody out who has one.
    /// `close` closes the new one.
    func begin(from address: SocketAddress?, closing close: @escaping @Sendable () -> Void) -> Visit? {
        let place = AddressCounts.key(of: address)
        let (visit, eldest) = state.withLock { state -> (Visit?, (@Sendable () -> Void)?) in
            guard state.connections[place, default: 0] < limits.tlsConnectionsPerAddressMax else { return (nil, nil) }
            state.connections[place, default: 0] += 1
            state.visits += 1
            let eldest = state.handshakes.count >= limits.tlsHandshakesMax ? state.removeOfBusiest() : nil
            state.handshakes.append((state.visits, place, close))
            return (Visit(number: state.visits, place: place), eldest)
        }
        eldest?()
        return visit
    }

    /// The handshake of a connection is over.
    func shookHands(_ visit: Visit) {
        state.withLock { state in state.handshakes.removeAll { $0.number == visit.number } }
    }

    /// A connection is closed.
    func left(_ visit: Visit) {
        state.withLock { state in
            let count = state.connections[visit.place, default: 1] - 1
            state.connections[visit.place] = count > 0 ? count : nil
        }
    }
}
