import Multiformats
import NIOCore
import Synchronization

/// Who is connected to the API over TLS, where strangers are: none of them takes all connections, and handshakes, which
/// cost the most, are few at once: a new one ends the eldest, so that who stalls keeps nobody out.
final class TLSVisitors: Sendable {
    /// A connection that is counted until it is closed.
    struct Visit: Sendable {
        fileprivate let number: UInt64
        fileprivate let place: String
    }

    private struct State {
        var connections: [String: Int] = [:]
        /// Handshakes under way, the eldest first, each with what closes its connection.
        var handshakes: [(number: UInt64, close: @Sendable () -> Void)] = []
        var visits: UInt64 = 0
    }

    private let limits: MeshHTTPLimits
    private let state = Mutex(State())

    init(limits: MeshHTTPLimits) {
        self.limits = limits
    }

    /// Handshakes under way.
    var handshakes: Int { state.withLock(\.handshakes.count) }

    /// Counts a new connection and its handshake, and ends the eldest handshake if this is one too many; nil if its
    /// address has too many connections. `close` closes it.
    func begin(from address: SocketAddress?, closing close: @escaping @Sendable () -> Void) -> Visit? {
        let place = Self.place(address)
        let (visit, eldest) = state.withLock { state -> (Visit?, (@Sendable () -> Void)?) in
            guard state.connections[place, default: 0] < limits.tlsConnectionsPerAddressMax else { return (nil, nil) }
            state.connections[place, default: 0] += 1
            state.visits += 1
            let isFull = state.handshakes.count >= limits.tlsHandshakesMax && !state.handshakes.isEmpty
            let eldest = isFull ? state.handshakes.removeFirst().close : nil
            state.handshakes.append((state.visits, close))
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

    /// Who has one IPv6 address has a network of them.
    private static func place(_ address: SocketAddress?) -> String {
        let text = address?.ipAddress?.prefix { $0 != "%" } ?? ""
        guard text.contains(":"), case .ip6(let bytes)? = (try? Multiaddr(parsing: "/ip6/\(text)"))?.components.first
        else { return String(text) }
        return "\(bytes.prefix(8))"
    }
}
