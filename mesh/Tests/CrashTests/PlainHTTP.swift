import Foundation
import NodeAPITesting
import Testing

/// Questions over TCP, with nothing of ours in between.
enum PlainHTTP {
    /// Asks an address such as `http://127.0.0.1:8080` for a target.
    static func ask(
        _ address: String, _ target: String, method: String = "GET", headers: [String] = []
    ) throws -> WebAnswer {
        let lines = ["\(method) \(target) HTTP/1.1", "host: gateway", "connection: close"] + headers
        let bytes = try exchange(address, Data((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8))
        let answer = WebAnswer([UInt8](bytes), isHead: method == "HEAD")
        return try #require(answer, "\(String(decoding: bytes, as: UTF8.self))")
    }

    /// Sends bytes, and gives what comes until the other side ends.
    static func exchange(_ address: String, _ bytes: Data) throws -> Data {
        let connection = try PlainConnection(address)
        connection.send(bytes)
        return connection.rest()
    }
}

/// A connection over TCP to this machine.
final class PlainConnection {
    private let descriptor: Int32

    /// Connects to an address such as `http://127.0.0.1:8080`.
    init(_ address: String) throws {
        let port = try #require(address.split(separator: ":").last.flatMap { UInt16($0) })
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        try #require(descriptor >= 0)
        var place = sockaddr_in()
        place.sin_family = sa_family_t(AF_INET)
        place.sin_port = port.bigEndian
        place.sin_addr.s_addr = inet_addr("127.0.0.1")
        // SAFETY: a sockaddr_in is a sockaddr to the system, and its own size goes with it.
        let isConnected = withUnsafePointer(to: &place) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected else {
            Foundation.close(descriptor)
            throw NotInTime(what: "a connection to \(address)", seconds: 0)
        }
    }

    deinit { Foundation.close(descriptor) }

    /// Sends as much as the other side takes.
    func send(_ bytes: Data) {
        var rest = bytes[...]
        while !rest.isEmpty {
            // SAFETY: the pointer does not leave the closure.
            let count = rest.withUnsafeBytes {
                Foundation.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return }
            rest = rest.dropFirst(count)
        }
    }

    /// What comes until the other side ends.
    func rest() -> Data {
        var all = Data()
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count <= 0 { return all }
            all.append(contentsOf: buffer.prefix(count))
        }
    }

    /// Whether the other side has ended it, and sent nothing before.
    var isEnded: Bool {
        var byte: UInt8 = 0
        let count = recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT | MSG_PEEK))
        return count == 0 || (count < 0 && errno == ECONNRESET)
    }
}

extension WebAnswer {
    /// The body, as files hold it.
    var content: Data { Data(body) }
}
