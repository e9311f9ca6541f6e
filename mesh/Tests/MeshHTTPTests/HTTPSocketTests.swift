import Foundation
import Logging
import MeshHTTP
import NodeAPI
import NodeAPITesting
import P2PTesting
import Testing

/// Who may open the socket, and what happens where something stands in its place.
@Suite struct HTTPSocketTests {
    @Test func onlyTheOwnerCanOpenTheSocketAndItGoesWithTheServer() async throws {
        let (paths, sink) = AsyncStream.makeStream(of: String.self)
        try await withServer { _, socket in
            let attributes = try FileManager.default.attributesOfItem(atPath: socket)
            #expect(attributes[.posixPermissions] as? Int == 0o600)
            sink.yield(socket)
        }
        sink.finish()
        for await path in paths { #expect(!FileManager.default.fileExists(atPath: path)) }
    }

    @Test func aNodeThatAnswersIsNotReplaced() async throws {
        try await withServer { node, socket in
            let second = MeshHTTPServer(
                service: ScriptedNode(), socketPath: socket, logger: Logger(label: "test"))
            let refusal = NodeServiceError(
                .alreadyRunning, "Another node answers on \(socket).", hint: "Stop it, or choose another --home.")
            await #expect(throws: refusal) { try await second.run() }
            let status = try await node.status()
            #expect(status == Samples.status)
        }
    }

    @Test func aStaleSocketIsReplaced() async throws {
        let folder = try TestFolder()
        try RawSocket.leaveStale(folder.socket)
        try await expectServing(folder.socket)
    }

    @Test func aFileInItsPlaceIsLeftAlone() async throws {
        let folder = try TestFolder()
        try Data("precious".utf8).write(to: URL(filePath: folder.socket))
        let server = MeshHTTPServer(service: ScriptedNode(), socketPath: folder.socket, logger: Logger(label: "test"))
        let refusal = NodeServiceError(
            .addressInUse, "\(folder.socket) is a file and no socket.",
            hint: "Move it away or choose another --home.")
        await #expect(throws: refusal) { try await server.run() }
        #expect(FileManager.default.contents(atPath: folder.socket) == Data("precious".utf8))
    }

    @Test func aPathThatIsTooLongIsNamed() async throws {
        let path = "/tmp/" + String(repeating: "x", count: 120)
        let server = MeshHTTPServer(service: ScriptedNode(), socketPath: path, logger: Logger(label: "test"))
        let refusal = NodeServiceError(
            .configurationInvalid, "The socket's path \(path) is longer than the 107 bytes that the system takes.",
            hint: "Choose a shorter --home.")
        await #expect(throws: refusal) { try await server.run() }
    }

    @Test func aNodeThatIsNotRunningIsSaidToBe() async throws {
        let folder = try TestFolder()
        let refusal = NodeServiceError(
            .nodeNotRunning, "No node answers on \(folder.socket).",
            hint: "Start it with mesh up, or name its home folder with --home.")
        await #expect(throws: refusal) { _ = try await NodeClient(socketPath: folder.socket).status() }
        try RawSocket.leaveStale(folder.socket)
        await #expect(throws: refusal) {
            _ = try await NodeClient(socketPath: folder.socket).progress(of: Samples.jobID)
        }
    }

    private func expectServing(_ socket: String) async throws {
        let server = MeshHTTPServer(service: ScriptedNode(), socketPath: socket, logger: Logger(label: "test"))
        let (listening, signal) = AsyncStream.makeStream(of: Void.self)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                defer { signal.finish() }
                try await server.run { signal.yield() }
            }
            for await _ in listening { break }
            let status = try await NodeClient(socketPath: socket).status()
            #expect(status == Samples.status)
            group.cancelAll()
        }
    }
}
