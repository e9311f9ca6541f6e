import Foundation
import IPLD
import Logging
import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import NodeAPI
import NodeAPITesting
import P2PTesting
import Testing

@testable import MeshHTTP

/// The bounds of a gateway, each reached by a stranger.
@Suite(.timeLimit(.minutes(5))) struct GatewayLimitTests {
    private static let question = "GET /ipfs/bafkqaaa?format=raw HTTP/1.1\r\nhost: x\r\n\r\n"

    @Test func aRequestThatDoesNotBecomeWholeClosesItsConnection() async throws {
        var limits = GatewayLimits()
        limits.requestSeconds = 1
        try await withGateway(ScriptedContent(), limits: limits) { gateway, port in
            let silent = try await WebConnection.open(port)
            let slow = try await WebConnection.open(port)
            let again = try await WebConnection.open(port)
            try await again.send(Self.question)
            // A byte now and then does not help.
            try await slow.send("GET / HTTP/1.1\r\n")
            while slow.isOpen {
                try? await slow.send("x: y\r\n")
                try await slow.pause()
            }
            try await silent.closed()
            try await again.closed()
            #expect(silent.received.isEmpty && again.text.hasPrefix("HTTP/1.1 200 "))
            #expect(!slow.text.contains("200"))
        }
    }

    /// The decoder would keep all that follows, which nobody bounds.
    @Test(arguments: [
        "GET /ipfs/bafkqaaa?format=raw HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        "CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
    ])
    func aRequestForAnotherProtocolEndsItsConnection(_ request: String) async throws {
        var limits = GatewayLimits()
        limits.requestSeconds = 3_600
        try await withGateway(ScriptedContent(), limits: limits) { _, port in
            let connection = try await WebConnection.open(port)
            try await connection.send(request)
            try await connection.closed()
            #expect(connection.text.hasPrefix(request.hasPrefix("GET") ? "HTTP/1.1 200 " : "HTTP/1.1 4"))
        }
    }

    @Test func aConnectionBeyondTheLimitWaitsUntilAnotherIsClosed() async throws {
        var limits = GatewayLimits()
        limits.connectionsMax = 1
        try await withGateway(ScriptedContent(), limits: limits) { _, port in
            let first = try await WebConnection.open(port)
            try await first.send(Self.question)
            try await first.wait { $0.hasPrefix("HTTP/1.1 200 ") }
            let second = try await WebConnection.open(port)
            try await second.send(Self.question)
            let before = first.received.count
            try await first.send(Self.question)
            try await first.wait { $0.utf8.count >= 2 * before }
            #expect(second.received.isEmpty)
            try await first.close()
            try await second.wait { $0.hasPrefix("HTTP/1.1 200 ") }
            try await second.close()
        }
    }

    @Test func oneAddressHasSoManyConnections() async throws {
        var limits = GatewayLimits()
        limits.connectionsPerAddressMax = 2
        try await withGateway(ScriptedContent(), limits: limits) { _, port in
            var open: [WebConnection] = []
            for _ in 0..<2 {
                let connection = try await WebConnection.open(port)
                try await connection.send(Self.question)
                try await connection.wait { $0.hasPrefix("HTTP/1.1 200 ") }
                open.append(connection)
            }
            let third = try await WebConnection.open(port)
            try await third.closed()
            #expect(third.received.isEmpty)
            try await open[0].close()
            // The place is free once the gateway knows.
            while true {
                let next = try await WebConnection.open(port)
                try? await next.send(Self.question)
                while next.isOpen, next.received.isEmpty { try await next.pause() }
                if next.text.hasPrefix("HTTP/1.1 200 ") { break }
            }
        }
    }

    @Test func addressesAreCountedByTheirNetwork() throws {
        func key(_ text: String) throws -> [UInt8] {
            AddressCounts.key(of: try SocketAddress(ipAddress: text, port: 80))
        }
        #expect(try key("192.0.2.1") == [192, 0, 2, 1])
        #expect(try key("::ffff:192.0.2.1") == [192, 0, 2, 1])
        #expect(try key("2001:db8:1:2::3") == [0x20, 1, 0xD, 0xB8, 0, 1, 0, 2])
        #expect(try key("2001:db8:1:2:ffff::3") == key("2001:db8:1:2::4"))
        #expect(try key("2001:db8:1:3::3") != key("2001:db8:1:2::3"))
        #expect(AddressCounts.key(of: nil).isEmpty)
    }

    @Test func answersUnderWayHaveABound() async throws {
        let (held, release) = AsyncStream.makeStream(of: Void.self)
        let content = ScriptedContent { _ in for await _ in held {} }
        let cid = content.add([1, 2, 3])
        var limits = GatewayLimits()
        limits.responsesMax = 2
        try await withGateway(content, limits: limits) { gateway, port in
            let target = "/ipfs/\(cid.text)?format=raw"
            async let first = WebAnswer.of(port, target)
            async let second = WebAnswer.of(port, target)
            try await eventually("two answers are under way") {
                await gateway.status()?.answersUnderWay == 2 && content.asked.count == 2
            }
            let third = try await WebAnswer.of(port, target)
            #expect(third.status == 503 && third.headers["retry-after"] == "5", "\(third.text)")
            #expect(await gateway.status()?.answersUnderWay == 2)
            release.finish()
            #expect(try await [first.status, second.status] == [200, 200])
            #expect(try await WebAnswer.of(port, target).status == 200)
            #expect(await gateway.status()?.answersUnderWay == 0)
        }
    }

    @Test func fewBlocksAreReadAtTheSameTime() async throws {
        let passed = NIOLockedValueBox(0)
        let content = ScriptedContent { _ in
            passed.withLockedValue { $0 += 1 }
            await Task.yield()
        }
        let file = content.file((0..<60_000).map { UInt8(truncatingIfNeeded: $0 / 5) })
        var limits = GatewayLimits()
        limits.connectionsPerAddressMax = 20
        try await withGateway(content, limits: limits) { _, port in
            try await withThrowingTaskGroup(of: WebAnswer.self) { group in
                for _ in 0..<20 {
                    group.addTask { try await WebAnswer.of(port, "/ipfs/\(file.cid.text)?format=car") }
                }
                for try await answer in group { #expect(answer.isWhole && answer.status == 200) }
            }
            #expect(content.underWayMost == GatewayLimits().readsMax && passed.withLockedValue { $0 } > 100)
        }
    }

    @Test func targetsAndHeadersAboveTheirLimitsAreRefused() async throws {
        try await withGateway(ScriptedContent()) { _, port in
            let long = try await WebAnswer.of(port, "/ipfs/" + String(repeating: "a", count: 8_187) + "?format=raw")
            #expect(long.status == 414)
            let deep = "/ipfs/bafkqaaa" + String(repeating: "/a", count: 65) + "?format=car"
            #expect(try await WebAnswer.of(port, deep).status == 400)
            for headers in [["x: " + String(repeating: "y", count: 17_000)], (0..<100).map { "x-\($0): y" }] {
                let answer = try await WebAnswer.of(port, "/ipfs/bafkqaaa?format=raw", headers: headers)
                #expect((400..<500).contains(answer.status))
            }
        }
    }

    @Test func noRequestHasABody() async throws {
        try await withGateway(ScriptedContent()) { _, port in
            for header in [
                "content-length: 5\r\n\r\nhello", "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            ] {
                let connection = try await WebConnection.open(port)
                // What stands in a body is never a request.
                try await connection.send(
                    "GET /ipfs/bafkqaaa?format=raw HTTP/1.1\r\nhost: x\r\n\(header)\(Self.question)")
                try await connection.closed()
                #expect(connection.text.hasPrefix("HTTP/1.1 400 ") && connection.text.contains("no body"))
                #expect(!connection.text.contains("HTTP/1.1 200 "))
            }
            // One without end ends the connection, answered or not.
            let endless = try await WebConnection.open(port)
            try await endless.send("POST /ipfs/bafkqaaa HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n")
            let piece = String(repeating: "x", count: 1_024)
            while endless.isOpen {
                do { try await endless.send(piece) } catch { break }
            }
            try await endless.closed()
        }
    }

    @Test func anAnswerThatTakesTooLongEnds() async throws {
        let (held, _) = AsyncStream.makeStream(of: Void.self)
        let content = ScriptedContent { _ in for await _ in held {} }
        let cid = content.add([1, 2, 3])
        var limits = GatewayLimits()
        limits.responseSeconds = 1
        try await withGateway(content, limits: limits) { _, port in
            let connection = try await WebConnection.open(port)
            try await connection.send("GET /ipfs/\(cid.text)?format=raw HTTP/1.1\r\nhost: x\r\n\r\n")
            try await connection.closed()
            #expect(connection.received.isEmpty)
        }
    }

    /// Who does not take in what comes holds a few pieces of the answer and a block, and not for long.
    @Test func aClientThatDoesNotReadIsCutOff() async throws {
        let content = ScriptedContent()
        // More than the system takes in for a connection by itself.
        let chunk = 1 << 20
        var chunks: [UnixFSBuilt] = []
        for number in 0..<48 {
            let bytes = [UInt8](repeating: UInt8(number), count: chunk)
            chunks.append(UnixFSBuilt(cid: content.add(bytes), treeBytes: UInt64(chunk), fileBytes: UInt64(chunk)))
        }
        let folder = try content.folder(chunks.enumerated().map { ("\($0.offset)", $0.element) })
        var limits = GatewayLimits()
        limits.pieceSeconds = 1
        try await withGateway(content, limits: limits) { gateway, port in
            let connection = try await WebConnection.open(port, reads: false)
            try await connection.send("GET /ipfs/\(folder.cid.text)?format=car HTTP/1.1\r\nhost: x\r\n\r\n")
            while await gateway.status()?.cutAnswers != 1 { try await connection.pause() }
            // What the system takes in by itself, and what is in memory.
            let sent = try #require(await gateway.status()).sentBytes
            let taken = Self.systemBytes("tcp_wmem", 2) + 2 * Self.systemBytes("tcp_rmem", 1)
            #expect(sent < taken + (3 << 20), "\(sent) bytes were written for nobody")
            try await eventually("it is over, which is counted next") {
                await gateway.status()?.answersUnderWay == 0
            }
            // A client that reads gets all of it, however slow the other was.
            let whole = try await WebAnswer.of(port, "/ipfs/\(folder.cid.text)?format=car")
            #expect(whole.isWhole && whole.body.count > 48 * chunk)
            try await connection.read()
            try await connection.closed()
        }
    }

    /// How much the system holds of a connection, by one of its settings: the least, the usual and the most.
    private static func systemBytes(_ name: String, _ index: Int) -> UInt64 {
        let text = (try? String(contentsOfFile: "/proc/sys/net/ipv4/\(name)", encoding: .utf8)) ?? ""
        let numbers = text.split(whereSeparator: \.isWhitespace).compactMap { UInt64($0) }
        return numbers.indices.contains(index) ? numbers[index] : 4 << 20
    }

    @Test func anArchiveHasSoManyBlocks() async throws {
        let content = ScriptedContent()
        let files = (0..<30).map { content.file([UInt8($0)]) }
        let inner = try (0..<3).map { number in
            try content.folder(
                files[(10 * number)..<(10 * number + 10)].enumerated().map { ("\($0.offset)", $0.element) })
        }
        let folder = try content.folder(inner.enumerated().map { ("\($0.offset)", $0.element) })
        var limits = GatewayLimits()
        limits.archiveBlocksMax = 34
        try await withGateway(content, limits: limits) { _, port in
            let answer = try await WebAnswer.of(port, "/ipfs/\(folder.cid.text)?format=car")
            #expect(answer.isWhole)
        }
        limits.archiveBlocksMax = 20
        try await withGateway(content, limits: limits) { gateway, port in
            let answer = try await WebAnswer.of(port, "/ipfs/\(folder.cid.text)?format=car")
            #expect(answer.status == 200 && !answer.isWhole)
            try await eventually("it is counted") { await gateway.status()?.cutAnswers == 1 }
            #expect(try await WebAnswer.of(port, "/ipfs/\(folder.cid.text)/1?format=car").isWhole)
        }
        limits.archiveBlocksMax = 3
        try await withGateway(content, limits: limits) { _, port in
            let answer = try await WebAnswer.of(port, "/ipfs/\(folder.cid.text)?format=car")
            #expect(answer.status == 400 && answer.text.contains("more than 3 blocks; ask for parts"))
        }
    }

    @Test func aStopWaitsForNoSlowClient() async throws {
        let (held, _) = AsyncStream.makeStream(of: Void.self)
        let content = ScriptedContent { _ in for await _ in held {} }
        let cid = content.add([1, 2, 3])
        var limits = GatewayLimits()
        limits.goodbyeSeconds = 1
        let (stopped, stop) = AsyncStream.makeStream(of: Void.self)
        let gateway = GatewayServer(
            content: content, host: "127.0.0.1", port: 0, limits: limits, logger: Logger(label: "test"))
        let (listening, signal) = AsyncStream.makeStream(of: Void.self)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try? await gateway.run(listening: { signal.finish() }, until: { for await _ in stopped {} })
            }
            for await _ in listening {}
            let port = try #require(await gateway.status()?.address.split(separator: ":").last.flatMap { Int($0) })
            let connection = try await WebConnection.open(port)
            try await connection.send("GET /ipfs/\(cid.text)?format=raw HTTP/1.1\r\nhost: x\r\n\r\n")
            while content.asked.isEmpty { try await connection.pause() }
            stop.finish()
            try await connection.closed()
            try await group.waitForAll()
        }
    }

    @Test func anAddressThatIsInUseIsSaidToBe() async throws {
        try await withGateway(ScriptedContent()) { _, port in
            let second = GatewayServer(
                content: ScriptedContent(), host: "127.0.0.1", port: port, logger: Logger(label: "test"))
            let error = await #expect(throws: NodeServiceError.self) { try await second.run() }
            #expect(error?.code == .addressInUse)
            #expect(error?.message.hasPrefix("The gateway cannot listen on 127.0.0.1 with port \(port): ") == true)
        }
    }
}
