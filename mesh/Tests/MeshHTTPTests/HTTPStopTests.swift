import Dispatch
import Logging
import MeshHTTP
import NIOConcurrencyHelpers
import NodeAPITesting
import P2PTesting
import Testing

/// A connection that is accepted in the moment its server stops must not end the process.
///
/// Programs connect as fast as they can while the server is stopped; NIO traps where one of their connections is
/// dropped without having been served.
@Suite struct HTTPStopTests {
    enum Stop: CaseIterable { case cancelled, asked }

    @Test(arguments: Stop.allCases) func connectingWhileTheServerStopsEndsNothing(_ stop: Stop) async throws {
        for _ in 0..<40 { try await stopUnderConnections(stop) }
    }

    private func stopUnderConnections(_ stop: Stop) async throws {
        let folder = try TestFolder()
        var limits = MeshHTTPLimits()
        limits.goodbyeSeconds = 1
        let server = MeshHTTPServer(
            service: ScriptedNode(), socketPath: folder.socket, limits: limits, logger: Logger(label: "test"))
        let (listening, signal) = AsyncStream.makeStream(of: Void.self)
        let (stopped, stopping) = AsyncStream.makeStream(of: Void.self)
        let isOver = NIOLockedValueBox(false)
        let (connected, busy) = AsyncStream.makeStream(of: Void.self)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await server.run(listening: { signal.yield() }, until: { for await _ in stopped {} })
            }
            for await _ in listening { break }
            async let connecting: Void = Self.connect(to: folder.socket, until: isOver) { busy.yield() }
            for await _ in connected { break }
            switch stop {
            case .cancelled: group.cancelAll()
            case .asked: stopping.finish()
            }
            while let outcome = await group.nextResult() {
                if case .failure(let error) = outcome, !(error is CancellationError) { throw error }
            }
            isOver.withLockedValue { $0 = true }
            await connecting
        }
    }

    /// Connects from a thread of its own until the server is gone.
    private static func connect(
        to socket: String, until isOver: NIOLockedValueBox<Bool>, _ isBusy: @escaping @Sendable () -> Void
    ) async {
        await withCheckedContinuation { continuation in
            DispatchQueue(label: "connecting").async {
                var connections = 0
                while !isOver.withLockedValue({ $0 }) {
                    if RawSocket.touch(socket) { connections += 1 }
                    if connections == 8 { isBusy() }
                }
                continuation.resume()
            }
        }
    }
}
