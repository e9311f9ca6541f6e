import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// A receiver of OTLP over HTTP on loopback: it keeps what it gets, and answers as it is told.
final class TraceReceiverStub: Sendable {
    /// How it answers.
    enum Answer: Sendable {
        case taken
        case status(Int)
        /// Takes the request and says nothing.
        case silent
        /// Sends a body of so many bytes.
        case bytes(Int)
        /// Sends the client elsewhere.
        case redirect(String)
        /// Sends something else than HTTP.
        case nonsense
    }

    /// One span as it was read, with the resource that it came with.
    struct Span: Sendable {
        let service: String
        let instance: String
        let trace: String
        let id: String
        let parent: String?
        let name: String
        let links: Int
    }

    /// Where it listens, or did.
    let address: String
    private let channel: any Channel
    private let shared: StubState

    private init(_ channel: any Channel, _ shared: StubState) {
        self.channel = channel
        self.shared = shared
        // A channel forgets its address when it is closed.
        address = "http://127.0.0.1:\(channel.localAddress?.port ?? 0)"
    }

    /// What its connections share.
    fileprivate final class StubState: Sendable {
        let answer: Answer
        let seen = Mutex<(bodies: [[UInt8]], heads: [HTTPRequestHead])>(([], []))
        init(_ answer: Answer) { self.answer = answer }
    }

    static func open(_ answer: Answer) async throws -> TraceReceiverStub {
        let state = StubState(answer)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if case .nonsense = answer {
                        try channel.pipeline.syncOperations.addHandler(Nonsense())
                    } else {
                        try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                        try channel.pipeline.syncOperations.addHandler(Handler(state))
                    }
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return TraceReceiverStub(channel, state)
    }

    func close() async throws { try await channel.close() }

    var requests: [HTTPRequestHead] { shared.seen.withLock { $0.heads } }

    /// All spans that came, by the field names of OTLP.
    func spans() throws -> [Span] {
        var spans: [Span] = []
        for body in shared.seen.withLock({ $0.bodies }) {
            let request = try JSONDecoder().decode(Request.self, from: Data(body))
            for group in request.resourceSpans {
                let told = Dictionary(
                    uniqueKeysWithValues: group.resource.attributes.map { ($0.key, $0.value.stringValue ?? "") })
                spans += group.scopeSpans.flatMap(\.spans).map { span in
                    Span(
                        service: told["service.name"] ?? "", instance: told["service.instance.id"] ?? "",
                        trace: span.traceId, id: span.spanId, parent: span.parentSpanId, name: span.name,
                        links: span.links.count)
                }
            }
        }
        return spans
    }

    private struct Request: Decodable {
        struct Group: Decodable {
            struct Resource: Decodable { let attributes: [Attribute] }
            struct Scoped: Decodable { let spans: [Line] }
            let resource: Resource
            let scopeSpans: [Scoped]
        }
        struct Attribute: Decodable {
            struct Value: Decodable { let stringValue: String? }
            let key: String
            let value: Value
        }
        struct Line: Decodable {
            struct Link: Decodable { let traceId: String }
            let traceId: String
            let spanId: String
            let parentSpanId: String?
            let name: String
            let links: [Link]
        }
        let resourceSpans: [Group]
    }

    // SAFETY: a NIO handler is used on its channel's event loop only, and made there.
    private final class Handler: ChannelInboundHandler, @unchecked Sendable {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let state: StubState
        private var head: HTTPRequestHead?
        private var bytes: [UInt8] = []

        init(_ state: StubState) { self.state = state }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head): (self.head, bytes) = (head, [])
            case .body(let buffer): bytes.append(contentsOf: buffer.readableBytesView)
            case .end:
                guard let head else { return }
                state.seen.withLock { seen in
                    seen.heads.append(head)
                    seen.bodies.append(bytes)
                }
                answer(context)
            }
        }

        private func answer(_ context: ChannelHandlerContext) {
            switch state.answer {
            case .silent, .nonsense: return
            case .taken: reply(context, .ok, body: Array(#"{"partialSuccess":{}}"#.utf8))
            case .status(let code): reply(context, .init(statusCode: code), body: [])
            case .bytes(let count): reply(context, .ok, body: [UInt8](repeating: 0x20, count: count))
            case .redirect(let place): reply(context, .temporaryRedirect, body: [], ["location": place])
            }
        }

        private func reply(
            _ context: ChannelHandlerContext, _ status: HTTPResponseStatus, body: [UInt8],
            _ headers: HTTPHeaders = [:]
        ) {
            var headers = headers
            headers.add(name: "content-type", value: "application/json")
            headers.add(name: "content-length", value: "\(body.count)")
            let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }

    // SAFETY: a NIO handler is used on its channel's event loop only, and made there.
    private final class Nonsense: ChannelInboundHandler, @unchecked Sendable {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: "SSH-2.0-nonsense\r\n\r\n")), promise: nil)
        }
    }
}
