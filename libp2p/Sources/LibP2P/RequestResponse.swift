public import Multiformats
import NIOCore

/// Why a request brought no response.
public enum RequestError: Error, Hashable, Sendable {
    /// This node could not open a stream to the peer.
    case notConnected(OpenStreamError)
    /// The stream failed, or the response was malformed or too long.
    case streamFailed(StreamError)
    /// The peer ended the stream without a response: it refuses the request, or its handler failed.
    case noResponse
    /// The peer did not answer in time.
    case timedOut(milliseconds: Int64)
    /// The request is longer than `requestBytesMax`.
    case requestTooLong(byteCount: Int, bytesMax: Int)
    /// The task was cancelled.
    case cancelled
}

extension RequestError: CustomStringConvertible {
    /// The reason for people and logs.
    public var description: String {
        switch self {
        case .notConnected(let error): "\(error)"
        case .streamFailed(let error): "\(error)"
        case .noResponse: "the peer ended the stream without a response"
        case .timedOut(let milliseconds): "\(TimedOut(milliseconds: milliseconds))"
        case .requestTooLong(let byteCount, let bytesMax): "a request of \(byteCount) bytes, of at most \(bytesMax)"
        case .cancelled: "\(CancellationError())"
        }
    }

    /// Whether this node did not reach the peer at all: it knows no address, or none answered.
    public var isUnreachable: Bool {
        switch self {
        case .notConnected(.noAddresses), .notConnected(.dialFailed): true
        case .notConnected, .streamFailed, .noResponse, .timedOut, .requestTooLong, .cancelled: false
        }
    }
}

/// What a peer sent instead of a request.
public enum RequestFault: Error, Hashable, Sendable {
    /// It announced more bytes than `requestBytesMax`; none of them was read.
    case tooLong(announced: UInt64, bytesMax: Int)
    /// The length before it is not a minimal varint.
    case malformedLength
}

extension RequestFault: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .tooLong(let announced, let bytesMax): "a request of \(announced) bytes, of at most \(bytesMax)"
        case .malformedLength: "the length of the request does not read"
        }
    }
}

/// One request and one response per stream, each an unsigned-varint length followed by that many bytes.
///
/// The same value is client and server, and works on any `StreamHost`. Both sides bound the time, and the length before
/// they read a body. The host limits how many streams of one peer it serves at once.
///
///     let questions = RequestResponse(host: swarm, protocolID: "/questions/1.0.0")
///     await questions.serve { peer, request in .respond(answer(request)) }
///     let response = try await questions.request(bytes, to: peer)
///
/// A server that selects and blames peers gives `serve` two more closures: whom it admits before a byte is read, and
/// what to do about a peer that sent something else than a request:
///
///     await questions.serve(
///         admitting: { peer in await !node.isShunned(peer) },
///         onFault: { peer, fault in await node.note(peer, fault) }
///     ) { peer, request in
///         .respond(await node.answer(request, from: peer), then: { await node.measure(peer) })
///     }
///
/// When a client has waited half its time for a response (`doubtMilliseconds`), it asks the host to doubt the peer
/// (`StreamHost.doubt`): this finds a dead connection before the time is up, sooner than the keep-alive.
public struct RequestResponse: Sendable {
    /// Bounds of both sides; a server and its clients should agree on the first two.
    public struct Limits: Sendable {
        /// Bytes of a request; a longer one is not sent, and resets its stream where it arrives.
        public var requestBytesMax = 1024 * 1024
        /// Bytes of a response; a client resets a stream that announces more.
        public var responseBytesMax = 1024 * 1024
        /// A client's time for a whole exchange, connecting included.
        public var exchangeMilliseconds: Int64 = 10_000
        /// Time after which a client makes the connections to a silent peer prove that they are alive; nil: half the
        /// exchange.
        public var doubtMilliseconds: Int64?
        /// A peer's time for sending its request, once its stream is open.
        public var arrivalMilliseconds: Int64 = 10_000
        /// The time for which a response may wait for room among the bytes that the node holds for the peer. The rest
        /// is the transport's: it resets a stream whose peer does not take what was written.
        public var departureMilliseconds: Int64 = 10_000

        /// The defaults.
        public init() {}
    }

    /// What a server does about a request.
    public enum Answer: Sendable {
        /// Sends a response; `then` runs once it is written and the stream's bounds have accepted it, which is before
        /// the peer has it.
        case respond([UInt8], then: (@Sendable () async -> Void)? = nil)
        /// Resets the stream without a response.
        case refuse
    }

    /// The protocol.
    public let protocolID: String
    /// The bounds.
    public let limits: Limits
    private let host: any StreamHost

    /// Request-response over a host.
    public init(host: any StreamHost, protocolID: String, limits: Limits = Limits()) {
        self.host = host
        self.protocolID = protocolID
        self.limits = limits
    }

    // MARK: Asking

    /// Sends a request and waits for the response.
    public func request(_ bytes: [UInt8], to peer: PeerID) async throws(RequestError) -> [UInt8] {
        guard bytes.count <= limits.requestBytesMax else {
            throw .requestTooLong(byteCount: bytes.count, bytesMax: limits.requestBytesMax)
        }
        let doubtMilliseconds = limits.doubtMilliseconds ?? limits.exchangeMilliseconds / 2
        do {
            return try await withDeadline(
                milliseconds: limits.exchangeMilliseconds, warning: (doubtMilliseconds, { [host] in host.doubt(peer) })
            ) { [self] in try await exchange(bytes, with: peer) }
        } catch let error as RequestError {
            throw error
        } catch let error as OpenStreamError {
            // A host has no error of its own for a task that stopped waiting.
            throw Task.isCancelled ? .cancelled : .notConnected(error)
        } catch let error as StreamError {
            throw .streamFailed(error)
        } catch is TimedOut {
            throw .timedOut(milliseconds: limits.exchangeMilliseconds)
        } catch {
            throw .cancelled
        }
    }

    private func exchange(_ bytes: [UInt8], with peer: PeerID) async throws -> [UInt8] {
        let stream = try await host.openStream(to: peer, protocols: [protocolID])
        do {
            try await stream.writeFrame(ByteBuffer(bytes: bytes))
            try await stream.closeWrite()
            guard let response = try await stream.readFrame(bytesMax: limits.responseBytesMax) else {
                throw RequestError.noResponse
            }
            return Array(response.readableBytesView)
        } catch {
            await stream.reset()
            throw error
        }
    }

    // MARK: Answering

    /// Answers requests until the host ends; the handler receives the authenticated sender and the request.
    ///
    /// - Parameters:
    ///   - admits: whether to read a peer's request at all; if not, the stream is reset.
    ///   - onFault: what to do about a peer that sent what is no request; its stream is reset before. A peer that is
    ///     slow, or goes away, has done nothing wrong, and is not reported.
    ///   - handler: answers a request. It has no deadline: it may wait for what it acknowledges.
    public func serve(
        admitting admits: (@Sendable (PeerID) async -> Bool)? = nil,
        onFault: (@Sendable (PeerID, RequestFault) async -> Void)? = nil,
        _ handler: @escaping @Sendable (PeerID, [UInt8]) async -> Answer
    ) async {
        let limits = limits
        await host.handle(protocolID) { stream in
            let peer = stream.remotePeer
            if let admits, await !admits(peer) { return await stream.reset() }
            do {
                let request = try await withLastDeadline(milliseconds: limits.arrivalMilliseconds) {
                    try await stream.readFrame(bytesMax: limits.requestBytesMax)
                }
                guard let request else { return await stream.reset() }
                try await Self.send(handler(peer, Array(request.readableBytesView)), on: stream, limits)
            } catch {
                await stream.reset()
                if let fault = RequestFault(error) { await onFault?(peer, fault) }
            }
        }
    }

    private static func send(_ answer: Answer, on stream: any PeerStream, _ limits: Limits) async throws {
        guard case .respond(let bytes, let then) = answer else { return await stream.reset() }
        try await withLastDeadline(milliseconds: limits.departureMilliseconds) {
            try await stream.writeFrame(ByteBuffer(bytes: bytes))
            try await stream.closeWrite()
        }
        await then?()
    }
}

extension RequestFault {
    /// What the sender is to blame for, if anything.
    fileprivate init?(_ error: any Error) {
        switch error {
        case StreamError.frameTooLarge(let announced, let bytesMax):
            self = .tooLong(announced: announced, bytesMax: bytesMax)
        case StreamError.malformedLength: self = .malformedLength
        default: return nil
        }
    }
}
