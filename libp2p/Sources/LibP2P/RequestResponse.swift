import Multiformats
import NIOConcurrencyHelpers
import NIOCore

/// Why a request brought no response.
public enum RequestError: Error, Hashable, Sendable {
    /// No stream to the peer could be opened.
    case notConnected(OpenStreamError)
    /// The stream failed, or the response was malformed or too long.
    case streamFailed(StreamError)
    /// The peer ended the stream without a response: it refuses the request, or its handler failed.
    case noResponse
    /// The peer did not answer in time.
    case timedOut(milliseconds: Int64)
    /// The request is longer than `bytesMax`.
    case requestTooLong(byteCount: Int, bytesMax: Int)
    /// The task was cancelled.
    case cancelled
}

/// One request and one response per stream, each an unsigned-varint length and that many bytes.
///
/// This is how `/icn/mesh/message/1.0.0` speaks; the same value is client and server and works on any `StreamHost`.
/// Both sides bound the length before they read a body, and the time of the whole exchange.
public struct RequestResponse: Sendable {
    /// The protocol.
    public let protocolID: String
    /// Bytes of a request or of a response.
    public let bytesMax: Int
    /// For a whole exchange, connecting included.
    public let timeoutMilliseconds: Int64
    private let host: any StreamHost

    /// Request-response over a host.
    public init(
        host: any StreamHost, protocolID: String, bytesMax: Int = 1024 * 1024, timeoutMilliseconds: Int64 = 10_000
    ) {
        self.host = host
        self.protocolID = protocolID
        self.bytesMax = bytesMax
        self.timeoutMilliseconds = timeoutMilliseconds
    }

    /// Sends a request and waits for the response.
    public func request(_ bytes: [UInt8], to peer: PeerID) async throws(RequestError) -> [UInt8] {
        guard bytes.count <= bytesMax else {
            throw .requestTooLong(byteCount: bytes.count, bytesMax: bytesMax)
        }
        do {
            return try await withDeadline(milliseconds: timeoutMilliseconds) { [self] in
                let stream = try await host.openStream(to: peer, protocols: [protocolID])
                do {
                    try await stream.writeFrame(ByteBuffer(bytes: bytes))
                    try await stream.closeWrite()
                    guard let response = try await stream.readFrame(bytesMax: bytesMax) else {
                        throw RequestError.noResponse
                    }
                    return Array(response.readableBytesView)
                } catch {
                    await stream.reset()
                    throw error
                }
            }
        } catch let error as RequestError {
            throw error
        } catch let error as OpenStreamError {
            throw .notConnected(error)
        } catch let error as StreamError {
            throw .streamFailed(error)
        } catch is TimedOut {
            throw .timedOut(milliseconds: timeoutMilliseconds)
        } catch {
            throw .cancelled
        }
    }

    /// Answers requests: the handler gets the authenticated sender and the request, and returns the response or `nil`
    /// to refuse without one. A sender that is slower than the time limit, or sends too much, is reset.
    public func serve(_ handler: @escaping @Sendable (PeerID, [UInt8]) async -> [UInt8]?) async {
        let (bytesMax, timeout) = (bytesMax, timeoutMilliseconds)
        await host.handle(protocolID) { stream in
            do {
                let request = try await withDeadline(milliseconds: timeout) {
                    try await stream.readFrame(bytesMax: bytesMax)
                }
                guard let request,
                    let response = await handler(stream.remotePeer, Array(request.readableBytesView))
                else { return await stream.reset() }
                try await withDeadline(milliseconds: timeout) {
                    try await stream.writeFrame(ByteBuffer(bytes: response))
                    try await stream.closeWrite()
                }
            } catch {
                await stream.reset()
            }
        }
    }
}
