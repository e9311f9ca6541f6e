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
    /// Bytes of the longest message that is no output: what a run read.
    static let messageBytesMax = 64 << 20

    let socket: Int32

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
        let head = withUnsafeBytes(of: length.littleEndian) { Array($0) }
        // A long one is not copied for its length's sake.
        if body.count <= Self.joinedBytesMax { return try send(bytes: head + body, by: deadline) }
        try send(bytes: head, by: deadline)
        try send(bytes: body, by: deadline)
    }

    private func send(bytes: [UInt8], by deadline: UInt64?) throws(Failure) {
        // Without a signal where the other side has gone; without waiting where `poll` does.
        let flags = Int32(MSG_NOSIGNAL) | (deadline == nil ? 0 : Int32(MSG_DONTWAIT))
        try transfer(bytes.count, by: deadline, events: Int16(POLLOUT)) { done in
            bytes.withUnsafeBytes { systemSend(socket, $0.baseAddress.map { $0 + done }, bytes.count - done, flags) }
        }
    }

    /// The next message, by a time in nanoseconds of the system's clock.
    ///
    /// - Parameter kindBytesMax: the most bytes of a message of a kind, the name of its case; nil for a kind that there
    ///   is not. A longer one is not read.
    func receive<Message: Decodable>(
        _ type: Message.Type, by deadline: UInt64? = nil,
        kindBytesMax: ((_ kind: String) -> Int?)? = nil
    ) throws(Failure) -> Message {
        let head = try bytes(4, by: deadline)
        let length = head.reversed().reduce(0) { $0 << 8 | Int($1) }
        guard length <= Self.frameBytesMax else { throw .malformed }
        var body = try bytes(min(length, Self.startBytes), by: deadline)
        var most: Int? = Self.messageBytesMax
        if let kindBytesMax { most = Self.kind(body).flatMap(kindBytesMax) }
        guard let most, length <= most else { throw .malformed }
        body.reserveCapacity(min(length, Self.pieceBytes))
        // As much memory as has come, whatever was announced.
        while body.count < length { body += try bytes(min(Self.pieceBytes, length - body.count), by: deadline) }
        guard let message = try? Self.message(type, from: body, bytesMax: most) else { throw .malformed }
        return message
    }

    /// The name of the case that a message begins with: the only key of a map, in its short form.
    static func kind(_ start: [UInt8]) -> String? {
        guard start.count >= 2, start[0] == 0xA1, start[1] & 0xE0 == 0x60 else { return nil }
        let count = Int(start[1] & 0x1F)
        guard count < 24, start.count >= 2 + count else { return nil }
        return String(validating: start[2..<2 + count], as: UTF8.self)
    }

    /// The message that bytes without their length are.
    static func message<Message: Decodable>(
        _ type: Message.Type, from body: [UInt8], bytesMax: Int
    ) throws -> Message {
        try DAGCBORDecoder(limits: DAGCBOR.Limits(bytesMax: bytesMax)).decode(type, from: body)
    }

    /// Bytes of any message: output has at most 1 GiB.
    private static let frameBytesMax = (1 << 30) + (1 << 20)
    private static let pieceBytes = 4 << 20
    /// Bytes that tell the kind of a message.
    private static let startBytes = 32
    /// Bytes of a message that is sent in one piece with its length.
    private static let joinedBytesMax = 64 << 10

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
