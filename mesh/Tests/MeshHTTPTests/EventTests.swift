import Foundation
import NIOConcurrencyHelpers
import NodeAPI
import NodeAPITesting
import Testing

@testable import MeshHTTP

/// What a node tells of its changes over HTTP.
@Suite("The stream of events", .timeLimit(.minutes(1)))
struct EventTests {
    private func change(_ number: Int) -> NodeChange { NodeChange(.job, "job\(number)", "submitted", at: 7) }

    /// Opens a stream, and waits for what it begins with.
    private func open(_ scene: WebScene, _ headers: String...) async throws -> WebConnection {
        let connection = try await WebConnection.open(scene.port)
        let lines = ["GET /v1/events HTTP/1.1", "host: 127.0.0.1:\(scene.port)"] + headers
        try await connection.send(lines.joined(separator: "\r\n") + "\r\n\r\n")
        return connection
    }

    /// The IDs that came over a stream.
    private func ids(_ connection: WebConnection) -> [String] {
        lines(connection).filter { $0.hasPrefix("id: ") }.map { String($0.dropFirst(4)) }
    }

    /// What came, cut at every line feed.
    private func lines(_ connection: WebConnection) -> [String] {
        connection.received.split(separator: 0x0A).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func changesComeAsTheyHappenAndAreResumedByTheirIDs() async throws {
        let changes = ScriptedChanges()
        try await WebScene.run(changes: changes) { scene in
            let first = try await open(scene, scene.read)
            try await first.wait { $0.contains("event: open\n") }
            #expect(first.text.lowercased().contains("content-type: text/event-stream\r\n"))
            changes.tell.yield(change(1))
            try await first.wait { $0.contains(#"data: {"at":7,"id":"job1","kind":"job","what":"submitted"}"#) }
            #expect(first.text.contains("event: job\n"))
            let place = try #require(ids(first).last)
            try await first.close()
            changes.tell.yield(change(2))
            changes.tell.yield(NodeChange(.money, "job2", "settled", at: 8))
            let again = try await open(scene, scene.read, "last-event-id: \(place)")
            try await again.wait { $0.contains("event: money\n") }
            #expect(again.text.contains("job2") && !again.text.contains("job1"))
            #expect(!again.text.contains("event: open") && !again.text.contains("event: reset"))
            try await again.close()
        }
    }

    @Test(arguments: ["other-1", "", "1", "x-y-z", "0123456789abcdef-99999999999999999999"])
    func anIDOfAnotherStartBeginsAnew(_ id: String) async throws {
        try await WebScene.run { scene in
            let connection = try await open(scene, scene.read, "last-event-id: \(id)")
            try await connection.wait { $0.contains("event: reset\n") }
            try await connection.close()
        }
    }

    @Test func anIDThatIsTooOldBeginsAnew() async throws {
        var limits = MeshHTTPLimits()
        limits.eventsKeptMax = 4
        let changes = ScriptedChanges()
        try await WebScene.run(limits: limits, changes: changes) { scene in
            let first = try await open(scene, scene.read)
            try await first.wait { $0.contains("event: open\n") }
            let place = try #require(ids(first).last)
            for number in 1...5 { changes.tell.yield(change(number)) }
            try await first.wait { $0.contains("job5") || $0.contains("event: reset") }
            try await first.close()
            let again = try await open(scene, scene.read, "last-event-id: \(place)")
            try await again.wait { $0.contains("event: reset\n") }
            // From there on it goes on.
            changes.tell.yield(change(6))
            try await again.wait { $0.contains("job6") }
            #expect(!again.text.contains("job5"))
            try await again.close()
        }
    }

    @Test func theRingKeepsTheNewestAndSaysWhatItLost() {
        var ring = EventRing(name: "a", countMax: 4)
        let begin = ring.newest
        #expect(ring.changes(after: begin)?.isEmpty == true)
        for number in 1...4 { ring.add(change(number)) }
        #expect(ring.changes(after: begin)?.map(\.change.id) == ["job1", "job2", "job3", "job4"])
        #expect(ring.changes(after: begin)?.map(\.id.text) == ["a-1", "a-2", "a-3", "a-4"])
        ring.add(change(5))
        #expect(ring.changes(after: begin) == nil)
        #expect(ring.changes(after: .init(ring: "a", number: 1))?.count == 4)
        #expect(ring.changes(after: .init(ring: "b", number: 5)) == nil)
        #expect(ring.changes(after: .init(ring: "a", number: 6)) == nil)
        let newest = ring.newest
        ring.forget()
        #expect(ring.changes(after: newest) == nil && ring.changes(after: ring.newest)?.isEmpty == true)
    }

    @Test func readersHaveABound() async throws {
        var limits = MeshHTTPLimits()
        limits.eventReadersMax = 1
        try await WebScene.run(limits: limits) { scene in
            let first = try await open(scene, scene.read)
            try await first.wait { $0.contains("event: open\n") }
            let second = try await scene.ask("/v1/events", scene.read)
            #expect(second.status == 503 && second.problem == "overloaded")
            try await first.close()
        }
    }

    @Test func aStreamWithoutChangesBeatsAndEndsWithItsSession() async throws {
        var limits = MeshHTTPLimits()
        limits.eventBeatSeconds = 1
        try await WebScene.run(limits: limits) { scene in
            let connection = try await open(scene, try await scene.cookie(.read))
            // The first stands at the beginning, and the next comes with the first beat.
            try await connection.wait { _ in lines(connection).filter { $0 == ":" }.count > 1 }
            scene.seconds.withLockedValue { $0 += 43_200 }
            try await connection.wait { $0.hasSuffix("\r\n0\r\n\r\n") }
        }
    }
}
