import Foundation
import Multiformats

/// Finds out whether somebody accepts connections at addresses; says nothing to them.
enum TCPProbe {
    /// Whether something answers at each address, all tried at the same time; nil for one without an IP address and a
    /// TCP port.
    static func answers(at addresses: [Multiaddr], milliseconds: Int32) -> [Bool?] {
        var answers = [Bool?](repeating: nil, count: addresses.count)
        var waiting: [(index: Int, descriptor: Int32)] = []
        for (index, address) in addresses.enumerated() {
            guard let descriptor = begin(address) else { continue }
            answers[index] = false
            if descriptor >= 0 { waiting.append((index, descriptor)) }
        }
        defer { for each in waiting { close(each.descriptor) } }
        let end = ContinuousClock.now + .milliseconds(Int(milliseconds))
        var open = waiting
        while !open.isEmpty {
            let left = (end - ContinuousClock.now) / .milliseconds(1)
            guard left > 0 else { break }
            var polled = open.map { pollfd(fd: $0.descriptor, events: Int16(POLLOUT), revents: 0) }
            guard poll(&polled, nfds_t(polled.count), Int32(left) + 1) > 0 else { break }
            for (each, state) in zip(open, polled) where state.revents != 0 {
                answers[each.index] = isConnected(each.descriptor)
            }
            open = zip(open, polled).filter { $0.1.revents == 0 }.map(\.0)
        }
        return answers
    }

    private static func isConnected(_ descriptor: Int32) -> Bool {
        var error: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0
    }

    /// A socket that is being connected, negative where that failed at once; nil for addresses of another form.
    private static func begin(_ address: Multiaddr) -> Int32? {
        guard address.components.count >= 2, let port = ListenPorts.port(address) else { return nil }
        return ListenPorts.withSocketAddress(address, port: port) { family, start, size in
            let descriptor = socket(family, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
            guard descriptor >= 0 else { return nil }
            // A refusal at once, as without a network, does not show in the socket's error.
            guard connect(descriptor, start, size) == 0 || errno == EINPROGRESS else {
                close(descriptor)
                return -1
            }
            return descriptor
        } ?? nil
    }
}
