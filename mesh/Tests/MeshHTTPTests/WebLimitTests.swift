import Foundation
import Hummingbird
import IPLD
import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import NodeAPI
import NodeAPITesting
import Testing

@testable import MeshHTTP

/// The bounds of connections over TCP, each reached.
@Suite(.timeLimit(.minutes(5))) struct WebLimitTests {
    private static func question(_ scene: WebScene, _ target: String = "/v1/status") -> String {
        "GET \(target) HTTP/1.1\r\nhost: 127.0.0.1:\(scene.port)\r\n\(scene.full)\r\n\r\n"
    }

    @Test func whoIsIdleOrSlowWithAHeadIsClosed() async throws {
        var limits = MeshHTTPLimits()
        limits.webIdleSeconds = 1
        try await WebScene.run(limits: limits) { scene in
            let silent = try await WebConnection.open(scene.port)
            let slow = try await WebConnection.open(scene.port)
            let again = try await WebConnection.open(scene.port)
            try await again.send(Self.question(scene))
            // A byte now and then does not help.
            try await slow.send("GET / HTTP/1.1\r\n")
            while slow.isOpen {
                try? await slow.send("x: y\r\n")
                try await slow.pause()
            }
            try await silent.closed()
            try await again.closed()
            #expect(silent.received.isEmpty && again.text.hasPrefix("HTTP/1.1 200 "))
        }
    }

    @Test func aBodyHasItsTimeAndARefusedOneLittle() async throws {
        var limits = MeshHTTPLimits()
        (limits.webBodySeconds, limits.webLeftoverSeconds, limits.webLeftoverBytesMax) = (1, 1, 1_000)
        try await WebScene.run(limits: limits) { scene in
            func head(_ credential: String) -> String {
                "POST /v1/files HTTP/1.1\r\nhost: 127.0.0.1:\(scene.port)\r\n\(credential)\r\n"
                    + "content-length: 100000\r\n\r\n"
            }
            let slow = try await WebConnection.open(scene.port)
            try await slow.send(head(scene.full))
            let refused = try await WebConnection.open(scene.port)
            try await refused.send(head("x: y"))
            let long = try await WebConnection.open(scene.port)
            try await long.send(head("x: y"))
            try await long.wait { $0.hasPrefix("HTTP/1.1 401 ") }
            try? await long.send(String(repeating: "x", count: 2_000))
            try await long.closed()
            try await refused.closed()
            try await slow.closed()
            #expect(refused.text.hasPrefix("HTTP/1.1 401 ") && slow.received.isEmpty)
        }
    }

    @Test func aReaderThatTakesNothingInIsCutOff() async throws {
        var limits = MeshHTTPLimits()
        (limits.webPieceSeconds, limits.webConnectionsMax) = (1, 1)
        // More than the system ever buffers for two sockets.
        let file = Array(repeating: UInt8(7), count: 64 << 20)
        let cid = CID.hashing(file, codec: .raw)
        try await WebScene.run(.init(files: [cid: file]), limits: limits) { scene in
            let connection = try await WebConnection.open(scene.port, reads: false)
            try await connection.send(Self.question(scene, "/v1/files/\(cid.text)"))
            // The first has its place for certain before another comes.
            try await connection.takeFirst()
            // It gets its turn when the first is cut off.
            let second = try await WebConnection.open(scene.port)
            try await second.send(Self.question(scene))
            try await second.wait { $0.hasPrefix("HTTP/1.1 200 ") }
            try await connection.read()
            try await connection.closed()
            #expect(connection.received.count < file.count)
        }
    }

    @Test func aReaderThatTakesALittleNowAndThenIsNotCutOff() async throws {
        var limits = MeshHTTPLimits()
        limits.webPieceSeconds = 2
        let file = Array(repeating: UInt8(7), count: 256 << 20)
        let cid = CID.hashing(file, codec: .raw)
        try await WebScene.run(.init(files: [cid: file]), limits: limits) { scene in
            let connection = try await WebConnection.open(scene.port, reads: false)
            try await connection.send(Self.question(scene, "/v1/files/\(cid.text)"))
            let begin = ContinuousClock.now
            // More than twice the clock's time, with less waiting each time that it looks.
            while ContinuousClock.now - begin < .seconds(5) {
                connection.take()
                for _ in 0..<20 { try await connection.pause() }
            }
            #expect(connection.isOpen && connection.received.count < file.count)
            try await connection.close()
        }
    }

    @Test func onlySoManyRequestsAreWorkedOnAtOnce() async throws {
        let tally = AnswerTally(max: 2)
        let second = try tally.begin()
        var first: AnswerTally.Turn? = try tally.begin()
        #expect { _ = try tally.begin() } throws: { ($0 as? NodeServiceError)?.code == .overloaded }
        first = nil
        first = try tally.begin()
        // What is read as somebody takes it lasts as long as its answer.
        var answer = first.map { ResponseBody(byteBuffer: ByteBuffer(string: "x")).keeping($0) }
        first = nil
        #expect(answer?.contentLength == 1)
        #expect { _ = try tally.begin() } throws: { ($0 as? NodeServiceError)?.code == .overloaded }
        answer = nil
        _ = try tally.begin()
        withExtendedLifetime(second) {}
        var limits = MeshHTTPLimits()
        limits.webAnswersMax = 0
        try await WebScene.run(limits: limits) { scene in
            let answer = try await scene.ask("/v1/status", scene.full)
            #expect(answer.status == 503 && answer.problem == "overloaded")
            // Who may ask nothing takes no part in it.
            #expect(try await scene.ask("/v1/status").status == 401)
        }
        limits.webAnswersMax = 2
        let kept = try UnixFSFile.blocks(of: Array("kept".utf8))
        let files = Dictionary(uniqueKeysWithValues: kept.blocks.map { ($0.cid, $0.bytes) })
        try await WebScene.run(.init(files: files), limits: limits) { scene in
            // Each ends what it began; the last moment of a file may be another's first.
            for _ in 0..<4 {
                let answer = try await scene.ask("/v1/status", scene.full)
                #expect(answer.status == 200)
                let file = try await scene.ask("/v1/files/\(kept.root.text)", scene.read)
                #expect(file.status == 200 && file.body == Array("kept".utf8))
            }
        }
    }

    @Test func aConnectionBeyondTheLimitWaitsUntilAnotherIsClosed() async throws {
        var limits = MeshHTTPLimits()
        limits.webConnectionsMax = 1
        try await WebScene.run(limits: limits) { scene in
            let first = try await WebConnection.open(scene.port)
            try await first.send(Self.question(scene))
            try await first.wait { $0.hasPrefix("HTTP/1.1 200 ") }
            let second = try await WebConnection.open(scene.port)
            try await second.send(Self.question(scene))
            let before = first.received.count
            try await first.send(Self.question(scene))
            try await first.wait { $0.utf8.count >= 2 * before }
            #expect(second.received.isEmpty)
            try await first.close()
            try await second.wait { $0.hasPrefix("HTTP/1.1 200 ") }
            try await second.close()
        }
    }
}
