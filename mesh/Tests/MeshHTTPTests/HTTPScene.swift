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
    try await whileServing {
        try await server.run(listening: $0, until: stopped)
    } _: {
        try await body(NodeClient(socketPath: folder.socket, limits: limits), folder.socket)
    }
}

/// Runs a server while `body` asks it; `serve` is given what to call once it listens.
func whileServing(
    _ serve: @escaping @Sendable (@escaping @Sendable () -> Void) async throws -> Void,
    _ body: () async throws -> Void
) async throws {
    let (listening, signal) = AsyncStream.makeStream(of: Void.self)
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
            defer { signal.finish() }
            try await serve { signal.yield() }
        }
        for await _ in listening { break }
        do {
            try await body()
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
