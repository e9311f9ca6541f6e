import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NodeAPI
import NodeAPITesting
import Testing

@testable import MeshHTTP

/// A witness and an author of a log as tests want them, without signatures.
private final class ScriptedWitness: LogWitness {
    struct State {
        var asked: [String] = []
        var answers: [WitnessAnswer] = []
        var kept: [(lines: String, size: UInt64)] = []
        var size: UInt64 = 0
        var cosigned: UInt64 = 0
        var isFresh = true
    }

    let state = NIOLockedValueBox(State())

    init(answers: [WitnessAnswer] = [], size: UInt64 = 0, cosigned: UInt64 = 0) {
        state.withLockedValue { ($0.answers, $0.size, $0.cosigned) = (answers, size, cosigned) }
    }

    func addCheckpoint(_ request: [UInt8]) async -> WitnessAnswer {
        state.withLockedValue { state in
            state.asked.append(String(decoding: request, as: UTF8.self))
            return state.answers.isEmpty ? WitnessAnswer(404, []) : state.answers.removeFirst()
        }
    }

    func witnessedCheckpoint(ofOriginHash hash: String) async -> WitnessAnswer {
        WitnessAnswer(200, Array("checkpoint of \(hash)".utf8))
    }

    func witnessKey() async throws(NodeServiceError) -> WitnessKeyView { WitnessKeyView(key: "k", authors: []) }

    func logHead(since size: UInt64?) async throws(NodeServiceError) -> LogHeadView {
        LogHeadView(
            origin: "o", size: state.withLockedValue { $0.size }, root: "r", text: "head\n")
    }

    func logHead(of size: UInt64, since earlier: UInt64) async throws(NodeServiceError) -> LogHeadView {
        LogHeadView(origin: "o", size: size, root: "r", text: "old \(earlier)\n\nhead of \(size)\n")
    }

    func headCosigned(by witness: String) async throws(NodeServiceError) -> CosignedHead {
        state.withLockedValue { CosignedHead(size: $0.cosigned, isFresh: $0.isFresh) }
    }

    func keep(_ lines: [UInt8], by witness: String, of head: LogHeadView) async throws(NodeServiceError) {
        state.withLockedValue { $0.kept.append((String(decoding: lines, as: UTF8.self), head.size)) }
    }
}

/// A witness at a gateway, and who hands checkpoints to it.
@Suite struct WitnessTests {
    private func withWitness(
        _ witness: ScriptedWitness?, limits: GatewayLimits = GatewayLimits(),
        _ body: @Sendable (Int) async throws -> Void
    ) async throws {
        let gateway = GatewayServer(
            content: ScriptedContent(), witness: witness, host: "127.0.0.1", port: 0, limits: limits,
            logger: Logger(label: "test"))
        try await whileServing {
            try await gateway.run(listening: $0)
        } _: {
            let port = await gateway.status()?.address.split(separator: ":").last.flatMap { Int($0) }
            try await body(port ?? 0)
        }
    }

    private func post(_ body: String, to path: String = "/witness/add-checkpoint") -> String {
        "POST \(path) HTTP/1.1\r\nhost: w\r\ncontent-length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    @Test func checkpointsAreTakenOneAfterTheOtherOnAConnection() async throws {
        let witness = ScriptedWitness(answers: [
            WitnessAnswer(200, Array("line\n".utf8)),
            WitnessAnswer(409, Array("7\n".utf8), type: "text/x.tlog.size"),
        ])
        try await withWitness(witness) { port in
            let connection = try await WebConnection.open(port)
            try await connection.send(post("first"))
            try await connection.wait { $0.hasSuffix("line\n") }
            try await connection.send(post("second"))
            try await connection.wait { $0.hasSuffix("\r\n\r\n7\n") }
            #expect(connection.text.hasPrefix("HTTP/1.1 200 OK") && connection.text.contains("409 Conflict"))
            #expect(connection.text.contains("text/x.tlog.size"))
            let hash = String(repeating: "a", count: 64)
            try await connection.send("GET /witness/\(hash)/checkpoint HTTP/1.1\r\nhost: w\r\n\r\n")
            try await connection.wait { $0.hasSuffix("checkpoint of \(hash)") }
        }
        #expect(witness.state.withLockedValue { $0.asked } == ["first", "second"])
    }

    @Test func longBodiesAndWhereThereIsNoWitnessAreRefused() async throws {
        let witness = ScriptedWitness()
        let most = GatewayLimits().witnessBodyBytesMax
        for (body, path, isWitness, status) in [
            (String(repeating: "x", count: most + 1), "/witness/add-checkpoint", true, "413"),
            ("x", "/witness/add-checkpoint", false, "405"), ("x", "/witness/other", true, "404"),
            ("x", "/ipfs/x", true, "405"),
        ] {
            try await withWitness(isWitness ? witness : nil) { port in
                let connection = try await WebConnection.open(port)
                try await connection.send(post(body, to: path))
                try await connection.wait { $0.hasPrefix("HTTP/1.1 \(status) ") }
                // What has a body that is not taken ends with its answer.
                try await connection.closed()
            }
        }
        #expect(witness.state.withLockedValue { $0.asked }.isEmpty)
    }

    @Test func aBodyOfUnknownLengthIsRefused() async throws {
        let witness = ScriptedWitness()
        try await withWitness(witness) { port in
            let connection = try await WebConnection.open(port)
            try await connection.send(
                "POST /witness/add-checkpoint HTTP/1.1\r\nhost: w\r\ntransfer-encoding: chunked\r\n\r\n"
                    + "1\r\nx\r\n0\r\n\r\n"
            )
            try await connection.wait { $0.hasPrefix("HTTP/1.1 411 ") }
            try await connection.closed()
        }
        #expect(witness.state.withLockedValue { $0.asked }.isEmpty)
    }

    @Test func aBodyThatDoesNotComeEndsTheConnection() async throws {
        var limits = GatewayLimits()
        limits.witnessSeconds = 1
        try await withWitness(ScriptedWitness(), limits: limits) { port in
            let connection = try await WebConnection.open(port)
            try await connection.send("POST /witness/add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: 9\r\n\r\nx")
            try await connection.closed()
            #expect(connection.text.isEmpty)
        }
    }

    /// The clock of a body runs where its request came behind another one, too.
    @Test func aBodyThatDoesNotComeBehindAnotherRequestEndsTheConnection() async throws {
        var limits = GatewayLimits()
        limits.witnessSeconds = 1
        try await withWitness(ScriptedWitness(), limits: limits) { port in
            let connection = try await WebConnection.open(port)
            let hash = String(repeating: "a", count: 64)
            try await connection.send(
                "GET /witness/\(hash)/checkpoint HTTP/1.1\r\nhost: w\r\n\r\n"
                    + "POST /witness/add-checkpoint HTTP/1.1\r\nhost: w\r\ncontent-length: 9\r\n\r\nx")
            try await connection.closed()
            #expect(connection.text.hasSuffix("checkpoint of \(hash)"))
        }
    }

    /// Where everything is taken, the witness says when to ask again; what waits for its body takes nothing.
    @Test func aWitnessWithoutRoomSaysSo() async throws {
        var limits = GatewayLimits()
        limits.responsesMax = 0
        let witness = ScriptedWitness(answers: [WitnessAnswer(200, [])])
        try await withWitness(witness, limits: limits) { port in
            let connection = try await WebConnection.open(port)
            try await connection.send(post("first"))
            try await connection.wait { $0.hasPrefix("HTTP/1.1 503 ") }
            #expect(connection.text.lowercased().contains("retry-after: 5"))
            try await connection.close()
        }
        #expect(witness.state.withLockedValue { $0.asked }.isEmpty)
    }

    private func courier(_ log: ScriptedWitness) -> WitnessCourier {
        WitnessCourier(log: log, witnesses: [], seconds: 1, logger: Logger(label: "test"))
    }

    private func address(_ port: Int) -> WitnessAddress {
        WitnessAddress(name: "w", key: "w+key", host: "127.0.0.1", port: port, prefix: "/witness")
    }

    @Test func aWitnessThatKnowsAnotherSizeIsAskedFromThere() async throws {
        let witness = ScriptedWitness(answers: [
            WitnessAnswer(409, Array("5\n".utf8), type: "text/x.tlog.size"), WitnessAnswer(200, Array("line\n".utf8)),
        ])
        let log = ScriptedWitness(size: 9, cosigned: 3)
        try await withWitness(witness) { port in try await courier(log).hand(9, to: address(port)) }
        let asked = witness.state.withLockedValue { $0.asked }
        #expect(asked == ["old 3\n\nhead of 9\n", "old 5\n\nhead of 9\n"])
        let kept = log.state.withLockedValue { $0.kept }
        #expect(kept.map(\.lines) == ["line\n"] && kept.map(\.size) == [9])
    }

    @Test func aWitnessThatDoesNotAnswerIsGivenUp() async throws {
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        var limits = WitnessClient.Limits()
        limits.answerSeconds = 1
        let client = WitnessClient(place: address(server.localAddress?.port ?? 0), limits: limits)
        await #expect(throws: ChannelError.connectTimeout(.seconds(1))) { _ = try await client.add([1]) }
        try await server.close()
    }

    @Test func whatHasNotGrownIsNotHandedInAndRefusalsAreTold() async throws {
        let (witness, log) = (ScriptedWitness(), ScriptedWitness(size: 3, cosigned: 3))
        try await withWitness(witness) { port in try await courier(log).hand(3, to: address(port)) }
        #expect(witness.state.withLockedValue { $0.asked }.isEmpty)
        log.state.withLockedValue { $0.isFresh = false }
        witness.state.withLockedValue { $0.answers = [WitnessAnswer(200, Array("line\n".utf8))] }
        try await withWitness(witness) { port in try await courier(log).hand(3, to: address(port)) }
        #expect(witness.state.withLockedValue { $0.asked } == ["old 3\n\nhead of 3\n"], "it is cosigned once more")
        for (answer, refusal) in [
            (WitnessAnswer(409, Array("12\n".utf8)), WitnessCourier.Refusal(status: 409, size: 12)),
            (WitnessAnswer(422, []), WitnessCourier.Refusal(status: 422, size: nil)),
            (WitnessAnswer(404, []), WitnessCourier.Refusal(status: 404, size: nil)),
        ] {
            let witness = ScriptedWitness(answers: [answer])
            let log = ScriptedWitness(size: 9, cosigned: 3)
            try await withWitness(witness) { port in
                await #expect(throws: refusal) { try await courier(log).hand(9, to: address(port)) }
            }
            #expect(log.state.withLockedValue { $0.kept }.isEmpty)
        }
        let long = ScriptedWitness(answers: [WitnessAnswer(200, [UInt8](repeating: 0x61, count: 20_000))])
        let reader = ScriptedWitness(size: 9)
        try await withWitness(long) { port in
            await #expect(throws: (any Error).self) { try await courier(reader).hand(9, to: address(port)) }
        }
        #expect(reader.state.withLockedValue { $0.kept }.isEmpty)
    }
}
