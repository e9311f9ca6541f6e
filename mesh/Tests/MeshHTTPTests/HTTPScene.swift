import Logging
import MeshHTTP
import NodeAPITesting
import P2PTesting

extension TestFolder {
    var socket: String { path + "/api.sock" }
}

/// Serves a scripted node on a socket while `body` runs.
func withServer(
    _ script: ScriptedNode.Script = .init(), limits: MeshHTTPLimits = MeshHTTPLimits(),
    until stopped: @escaping @Sendable () async -> Void = MeshHTTPServer.never,
    _ body: @Sendable (NodeClient, String) async throws -> Void
) async throws {
    let folder = try TestFolder()
    let server = MeshHTTPServer(
        service: ScriptedNode(script: script), socketPath: folder.socket, limits: limits,
        logger: Logger(label: "test"))
    let (listening, signal) = AsyncStream.makeStream(of: Void.self)
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
            defer { signal.finish() }
            try await server.run(listening: { signal.yield() }, until: stopped)
        }
        for await _ in listening { break }
        do {
            try await body(NodeClient(socketPath: folder.socket, limits: limits), folder.socket)
        } catch {
            group.cancelAll()
            throw error
        }
        group.cancelAll()
        while let outcome = await group.nextResult() {
            if case .failure(let error) = outcome, !(error is CancellationError) { throw error }
        }
    }
}
