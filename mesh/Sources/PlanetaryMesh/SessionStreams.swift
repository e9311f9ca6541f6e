import LibP2P
import MeshTypes
import Multiformats
import NIOCore
import NodeCore
import Synchronization

/// The sessions of this node's own runs, by assignment, and the streams that originators open to them (PROTOCOL.md,
/// "Interactive jobs").
final class RunSessions: Sendable {
    /// The bounds of sessions.
    struct Limits: Sendable {
        /// Sessions of runs that have ended which are kept, so that their last output arrives.
        var endedMax = 32
        /// A stream's time for its first message, in milliseconds.
        var arrivalMilliseconds: Int64 = 10_000
    }

    private struct State: Sendable {
        var ports: [CID: (port: SessionPort, originator: PeerID)] = [:]
        var ended: [CID] = []
        /// The logs of runs that have ended, whose receipts may not be on the disk yet.
        var logs: [SessionLog] = []
    }

    let limits: Limits
    private let state = Mutex(State())

    init(limits: Limits = Limits()) { self.limits = limits }

    /// Enters the session of a run that begins.
    func begin(_ port: SessionPort, of originator: PeerID) {
        state.withLock { $0.ports[port.assignment] = (port, originator) }
    }

    /// The session of an assignment, if it is this peer's.
    func port(of assignment: CID, for peer: PeerID) -> SessionPort? {
        state.withLock { state in
            guard let entry = state.ports[assignment], entry.originator == peer else { return nil }
            return entry.port
        }
    }

    /// The session of an assignment.
    func port(of assignment: CID) -> SessionPort? { state.withLock { $0.ports[assignment]?.port } }

    /// Which of the runs with a session wait for their users.
    var waiting: [(assignment: CID, isWaiting: Bool)] {
        let ports = state.withLock { state in
            state.ports.filter { !state.ended.contains($0.key) }.map { ($0.key, $0.value.port) }
        }
        return ports.map { ($0, $1.isWaiting) }.sorted { $0.0 < $1.0 }
    }

    /// A run has ended by itself, so that it will not begin again once its receipt is on the disk.
    func endedByItself(_ assignment: CID) {
        let old = state.withLock { state -> SessionLog? in
            state.logs += [state.ports[assignment]?.port.log].compactMap(\.self)
            return state.logs.count > limits.endedMax ? state.logs.removeFirst() : nil
        }
        old?.remove()
    }

    /// A run has ended; what it said to its end is still to be had if that was its own, and nobody else will say it.
    func ended(_ assignment: CID, isKept: Bool) {
        let dropped = state.withLock { state -> [SessionPort] in
            guard let entry = state.ports[assignment] else { return [] }
            guard isKept else {
                state.ports[assignment] = nil
                return [entry.port]
            }
            state.ended.append(assignment)
            guard state.ended.count > limits.endedMax else { return [] }
            return [state.ports.removeValue(forKey: state.ended.removeFirst())?.port].compactMap(\.self)
        }
        if isKept { port(of: assignment)?.finish() }
        for port in dropped { port.close() }
    }

    /// Serves the streams of originators.
    func serve(
        on host: any StreamHost, admitting admits: @escaping @Sendable (PeerID) async -> Bool,
        blame: @escaping @Sendable (PeerID, String) async -> Void
    ) async {
        await host.handle(MeshTopics.sessions) { [self] stream in
            let peer = stream.remotePeer
            guard await admits(peer) else { return await stream.reset() }
            if let fault = await answer(stream) { await blame(peer, fault) }
        }
    }

    private func answer(_ stream: any PeerStream) async -> String? {
        do {
            let first = try await withDeadline(milliseconds: limits.arrivalMilliseconds) {
                try await SessionStream.message(on: stream)
            }
            // One that comes before its run does is tried again.
            guard case .jobInteractiveInput(let data)? = first,
                let port = port(of: data.assignmentCID, for: stream.remotePeer)
            else {
                await stream.reset()
                return nil
            }
            return await SessionStream(port: port, stream: stream).run(first: first)?.description
        } catch {
            await stream.reset()
            return SessionStream.fault(error)
        }
    }
}

/// Carries a session over a stream, in both directions, until one of them is over.
struct SessionStream: Sendable {
    let port: SessionPort
    let stream: any PeerStream

    /// The next message; nil at the end.
    static func message(on stream: any PeerStream) async throws -> MeshProtocolMessage? {
        let bytesMax = SessionTerms.Limits.frameBytesMax
        guard let frame = try await stream.readFrame(bytesMax: bytesMax) else { return nil }
        return try MeshProtocolMessage.decode(Array(frame.readableBytesView), bytesMax: bytesMax)
    }

    /// What a peer is to blame for; nil for what may happen to anybody.
    static func fault(_ error: any Error) -> String? {
        switch error {
        case let fault as SessionFault: fault.description
        case is MeshMessageError, StreamError.frameTooLarge, StreamError.malformedLength:
            SessionFault.notOfTheSession.description
        default: nil
        }
    }

    /// The same, of what taking its messages may show, too.
    static func sessionFault(_ error: any Error) -> SessionFault? {
        if let fault = error as? SessionFault { return fault }
        return fault(error) == nil ? nil : .notOfTheSession
    }

    /// Carries it; returns what the peer did wrong, if anything.
    func run(first: MeshProtocolMessage? = nil) async -> SessionFault? {
        let number = port.beginStream()
        return await withTaskGroup(of: SessionFault?.self) { group in
            group.addTask { await receive(first, on: number) }
            group.addTask {
                await send(number)
                return nil
            }
            let fault = await group.next() ?? nil
            group.cancelAll()
            // Wakes the other direction, too.
            await stream.reset()
            return fault
        }
    }

    private func receive(_ first: MeshProtocolMessage?, on number: Int) async -> SessionFault? {
        do {
            if let first { try port.take(first, on: number) }
            while !isDone, let message = try await Self.message(on: stream) { try port.take(message, on: number) }
            return nil
        } catch {
            return Self.sessionFault(error)
        }
    }

    /// Whether the user has all that there is.
    private var isDone: Bool { port.side == .user && port.isOutputComplete }

    private func send(_ number: Int) async {
        var told = SessionPort.Told()
        for await _ in port.changes() {
            guard port.isCurrent(number) else { return }
            while let message = port.next(&told) {
                guard let bytes = try? message.encoded(),
                    (try? await stream.writeFrame(ByteBuffer(bytes: bytes))) != nil
                else { return }
            }
        }
    }
}
