import LibP2P
import MeshTypes
import Multiformats

/// Direct messages, one request and one reply per stream of `/icn/mesh/message/1.0.0` (PROTOCOL.md, "Messages"): the
/// mesh's terms for LibP2P's request-response.
struct DirectMessages: Sendable {
    /// How long a peer may take to answer, including connecting, in milliseconds.
    static let replyMilliseconds: Int64 = 10_000
    /// The time without an answer after which the connection has to prove that it is alive, in milliseconds.
    static let doubtMilliseconds: Int64 = 2_000
    /// How long a peer may take to send its message on a stream that it opened, and to accept the reply, in
    /// milliseconds.
    static let messageMilliseconds: Int64 = 10_000

    private let exchange: RequestResponse

    init(host: any StreamHost) {
        var limits = RequestResponse.Limits()
        limits.requestBytesMax = MeshProtocolMessage.Limits().directBytesMax
        limits.responseBytesMax = MeshProtocolReply.bytesMax
        limits.exchangeMilliseconds = Self.replyMilliseconds
        limits.doubtMilliseconds = Self.doubtMilliseconds
        limits.arrivalMilliseconds = Self.messageMilliseconds
        limits.departureMilliseconds = Self.messageMilliseconds
        exchange = RequestResponse(host: host, protocolID: MeshTopics.directMessages, limits: limits)
    }

    /// Why a message has no reply.
    struct Failure: Error, CustomStringConvertible {
        let description: String
        /// Whether this node could not reach the peer at all.
        let isUnreachable: Bool
        /// Whether no connection to the peer came about, or none that lasted.
        let isCutOff: Bool
    }

    /// Sends a message and waits for its reply.
    func send(_ message: MeshProtocolMessage, to peer: PeerID) async throws(Failure) -> MeshProtocolReply {
        do {
            return try MeshProtocolReply.decode(try await exchange.request(try message.encoded(), to: peer))
        } catch let error as RequestError {
            throw Failure(description: "\(error)", isUnreachable: error.isUnreachable, isCutOff: error.isCutOff)
        } catch {
            throw Failure(description: "\(error)", isUnreachable: false, isCutOff: false)
        }
    }

    /// Answers the messages of peers.
    ///
    /// - Parameters:
    ///   - admits: whether to read a peer's message at all.
    ///   - blame: receives a peer that sent something else than a message, and what that was.
    ///   - answer: the reply to a message; nil if there is none, so that the sender asks again.
    func serve(
        admitting admits: @escaping @Sendable (PeerID) async -> Bool,
        blame: @escaping @Sendable (PeerID, String) async -> Void,
        answer: @escaping @Sendable (PeerID, [UInt8]) async -> MeshProtocolReply?
    ) async {
        let blamed: @Sendable (PeerID, RequestFault) async -> Void = { peer, fault in await blame(peer, fault.note) }
        await exchange.serve(admitting: admits, onFault: blamed) { peer, bytes in
            guard let reply = await answer(peer, bytes), let encoded = try? reply.encoded() else { return .refuse }
            return .respond(encoded)
        }
    }
}

extension RequestError {
    /// Whether no connection to the peer came about, or none that lasted.
    fileprivate var isCutOff: Bool {
        switch self {
        case .notConnected(.noAddresses), .notConnected(.dialFailed), .notConnected(.connectionLost),
            .streamFailed(.reset):
            true
        case .notConnected, .streamFailed, .noResponse, .timedOut, .requestTooLong, .cancelled: false
        }
    }
}

extension RequestFault {
    /// The fault, as noted about the sender.
    fileprivate var note: String {
        switch self {
        case .tooLong(let announced, _): "a direct message of \(announced) bytes"
        case .malformedLength: "a direct message with a malformed length"
        }
    }
}
