import IPLD

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// A socket between a run and its node: messages of DAG-CBOR, each after its length in four bytes.
// SAFETY: pointers are to arrays that live through the system call, with their lengths.
struct RunLink {
    /// Bytes of one message, of those that are no output; a longer one ends the run. The listing of a folder is the
    /// longest.
    static let messageBytesMax = 64 << 20

    let socket: Int32
    /// Bytes of one message that is received.
    var receivedBytesMax = messageBytesMax

    /// Why there is no message.
    enum Failure: Error, CustomStringConvertible {
        /// The other side has gone.
        case gone
        /// The time is over.
        case overdue
        /// What came is none.
        case malformed

        var description: String {
            switch self {
            case .gone: "the other side has gone"
            case .overdue: "the time is over"
            case .malformed: "what came is no message"
            }
        }
    }

    /// The bytes of a message without its length.
    static func body(_ message: some Encodable) throws -> [UInt8] { try DAGCBOREncoder().encode(message) }

    /// Sends a message, by a time in nanoseconds of the system's clock.
    func send(_ message: some Encodable, by deadline: UInt64? = nil) throws(Failure) {
        guard let body = try? Self.body(message), let length = UInt32(exactly: body.count) else { throw .malformed }
        var frame = withUnsafeBytes(of: length.littleEndian) { Array($0) }
        frame += body
        // Without a signal where the other side has gone; without waiting where `poll` does.
        let flags = Int32(MSG_NOSIGNAL) | (deadline == nil ? 0 : Int32(MSG_DONTWAIT))
        try transfer(frame.count, by: deadline, events: Int16(POLLOUT)) { done in
            frame.withUnsafeBytes { systemSend(socket, $0.baseAddress.map { $0 + done }, frame.count - done, flags) }
        }
    }

    /// The next message, by a time in nanoseconds of the system's clock.
    func receive<Message: Decodable>(_ type: Message.Type, by deadline: UInt64? = nil) throws(Failure) -> Message {
        let head = try bytes(4, by: deadline)
        let length = head.reversed().reduce(0) { $0 << 8 | Int($1) }
        guard length <= receivedBytesMax else { throw .malformed }
        // As much memory as has come, whatever was announced.
        var body: [UInt8] = []
        while body.count < length {
            body += try bytes(min(Self.pieceBytes, length - body.count), by: deadline)
        }
        guard let message = try? Self.message(type, from: body, bytesMax: receivedBytesMax) else { throw .malformed }
        return message
    }

    /// The message that bytes without their length are.
    static func message<Message: Decodable>(
        _ type: Message.Type, from body: [UInt8], bytesMax: Int
    ) throws -> Message {
        try DAGCBORDecoder(limits: DAGCBOR.Limits(bytesMax: bytesMax)).decode(type, from: body)
    }

    private static let pieceBytes = 4 << 20

    private func bytes(_ count: Int, by deadline: UInt64?) throws(Failure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        try transfer(count, by: deadline, events: Int16(POLLIN)) { done in
            bytes.withUnsafeMutableBytes { systemReceive(socket, $0.baseAddress.map { $0 + done }, count - done, 0) }
        }
        return bytes
    }

    private func transfer(
        _ count: Int, by deadline: UInt64?, events: Int16, _ step: (Int) -> Int
    ) throws(Failure) {
        var done = 0
        while done < count {
            if let deadline {
                let now = SystemClock.nanoseconds()
                guard now < deadline else { throw .overdue }
                var polled = pollfd(fd: socket, events: events, revents: 0)
                guard poll(&polled, 1, Int32(clamping: (deadline - now) / 1_000_000 + 1)) > 0 else { continue }
            }
            let moved = step(done)
            if moved > 0 {
                done += moved
            } else if moved == 0 || (errno != EINTR && errno != EAGAIN) {
                throw .gone
            }
        }
    }

    /// Whether something has come that was not taken yet, or the other side has gone.
    var hasNews: Bool {
        var byte: UInt8 = 0
        return recv(socket, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT)) >= 0
    }
}

#if canImport(Darwin)
    private let systemSend = Darwin.send
    private let systemReceive = Darwin.recv
#elseif canImport(Musl)
    private let systemSend = Musl.send
    private let systemReceive = Musl.recv
#else
    private let systemSend = Glibc.send
    private let systemReceive = Glibc.recv
#endif
