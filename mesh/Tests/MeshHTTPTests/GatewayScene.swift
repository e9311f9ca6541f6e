import Foundation
import IPLD
import Logging
import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NodeAPI
import NodeAPITesting

@testable import MeshHTTP

/// What a gateway under test may serve, and how.
final class ScriptedContent: PublicContent {
    private struct State {
        var blocks: [CID: PublishedBlock] = [:]
        var asked: [CID] = []
        var underWay = 0
        var underWayMost = 0
    }

    private let state = NIOLockedValueBox(State())
    /// What happens before a block is given.
    private let delayed: @Sendable (CID) async -> Void

    init(delayed: @escaping @Sendable (CID) async -> Void = { _ in }) { self.delayed = delayed }

    /// Makes a block public, or something else of it.
    func set(_ cid: CID, _ block: PublishedBlock) { state.withLockedValue { $0.blocks[cid] = block } }

    /// A block that is public.
    func add(_ bytes: [UInt8], codec: CID.Codec = .raw) -> CID {
        let cid = CID.hashing(bytes, codec: codec)
        set(cid, .here(bytes))
        return cid
    }

    /// A file that is public.
    func file(_ bytes: [UInt8], chunkBytes: Int = 1 << 10) -> UnixFSBuilt {
        let profile = UnixFSProfile(
            name: "small", version: .v1, hasRawLeaves: true, chunkBytes: chunkBytes, linksMax: 8,
            directorySize: .block, directoryBytesMax: 400, fanoutBits: 3)
        var builder = UnixFSFileBuilder(profile: profile)
        for block in builder.append(bytes) { set(block.cid, .here(block.bytes)) }
        let (file, blocks) = builder.finish()
        for block in blocks { set(block.cid, .here(block.bytes)) }
        return file
    }

    /// A folder that is public.
    func folder(_ entries: [(String, UnixFSBuilt)]) throws -> UnixFSBuilt {
        let (folder, blocks) = try UnixFSDirectoryBuilder.directory(
            entries.map { UnixFSEntry(name: Array($0.0.utf8), cid: $0.1.cid, totalBytes: $0.1.treeBytes) },
            profile: .v1in2025)
        for block in blocks { set(block.cid, .here(block.bytes)) }
        return folder
    }

    /// The blocks that were asked for, in their order.
    var asked: [CID] { state.withLockedValue { $0.asked } }
    /// The most of them that were asked for at the same time.
    var underWayMost: Int { state.withLockedValue { $0.underWayMost } }

    func publicBlock(_ cid: CID) async throws(NodeServiceError) -> PublishedBlock {
        state.withLockedValue { state in
            state.asked.append(cid)
            state.underWay += 1
            state.underWayMost = max(state.underWayMost, state.underWay)
        }
        await delayed(cid)
        return state.withLockedValue { state in
            state.underWay -= 1
            return state.blocks[cid] ?? .none
        }
    }

    func publicRootCount() async throws(NodeServiceError) -> Int { 3 }
}

/// Serves content over a gateway on loopback while `body` runs, which is given its port.
func withGateway(
    _ content: ScriptedContent, limits: GatewayLimits = GatewayLimits(),
    until stopped: @escaping @Sendable () async -> Void = MeshHTTPServer.never,
    _ body: @Sendable (GatewayServer, Int) async throws -> Void
) async throws {
    let gateway = GatewayServer(
        content: content, host: "127.0.0.1", port: 0, limits: limits, logger: Logger(label: "test"))
    try await whileServing {
        try await gateway.run(listening: $0, until: stopped)
    } _: {
        let port = await gateway.status()?.address.split(separator: ":").last.flatMap { Int($0) }
        try await body(gateway, port ?? 0)
    }
}

/// One connection of a stranger, with what came over it.
struct WebConnection: Sendable {
    private final class Collector: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let bytes = NIOLockedValueBox<[UInt8]>([])

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let buffer = unwrapInboundIn(data)
            bytes.withLockedValue { $0.append(contentsOf: buffer.readableBytesView) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private let channel: any Channel
    private let collector: Collector

    /// A connection that takes in what comes, or one that does not.
    static func open(_ port: Int, reads: Bool = true) async throws -> WebConnection {
        let collector = Collector()
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.autoRead, value: reads)
            .channelInitializer { channel in channel.pipeline.addHandler(collector) }
            .connect(host: "127.0.0.1", port: port).get()
        return WebConnection(channel: channel, collector: collector)
    }

    var received: [UInt8] { collector.bytes.withLockedValue { $0 } }
    var text: String { String(decoding: received, as: UTF8.self) }
    var isOpen: Bool { channel.isActive }

    func send(_ text: String) async throws { try await channel.writeAndFlush(ByteBuffer(string: text)) }
    func close() async throws { try await channel.close() }
    func closed() async throws { try await channel.closeFuture.get() }
    /// Takes in a piece of what came.
    func take() { channel.read() }
    /// Takes in one piece, which it waits for.
    func takeFirst() async throws {
        take()
        try await wait { !$0.isEmpty }
    }
    /// Takes in what comes from now on.
    func read() async throws { try await channel.setOption(.autoRead, value: true).get() }

    /// What came before the connection ended was not what was waited for.
    struct Ended: Error {
        let text: String
    }

    /// Waits until what came is as it should be; no longer than the connection is there.
    func wait(_ fits: (String) -> Bool) async throws {
        while true {
            // Asked before the text is read: nothing comes after the end.
            let isOpen = isOpen
            if fits(text) { return }
            guard isOpen else { throw Ended(text: text) }
            try Task.checkCancellation()
            try await pause()
        }
    }

    /// Lets a moment pass.
    func pause() async throws {
        try await MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: .milliseconds(1)) {}.futureResult.get()
    }
}

extension WebAnswer {
    var text: String { String(decoding: body, as: UTF8.self) }

    /// Asks on a connection of its own.
    static func of(
        _ port: Int, _ target: String, method: String = "GET", headers: [String] = []
    ) async throws -> WebAnswer {
        let connection = try await WebConnection.open(port)
        let lines = ["\(method) \(target) HTTP/1.1", "host: gateway", "connection: close"] + headers
        try await connection.send(lines.joined(separator: "\r\n") + "\r\n\r\n")
        try await connection.closed()
        guard let answer = WebAnswer(connection.received, isHead: method == "HEAD") else {
            throw NoAnswer(text: connection.text)
        }
        return answer
    }
}

/// What came instead of an answer.
struct NoAnswer: Error, CustomStringConvertible {
    let text: String
    var description: String { "no answer: \(text.prefix(200))" }
}
