import LibP2P
import MeshTypes
import Multiformats
import NIOCore
import NodeCore
import Synchronization

/// What an executor may send over one stream, as both directions of it see it.
private final class SharedCredit: Sendable {
    private let credit: Mutex<OutputCredit>

    init(jobID: JobID, assignment: CID) { credit = Mutex(OutputCredit(jobID: jobID, assignment: assignment)) }

    func take(_ data: JobInteractiveDataV1) throws(SessionFault) {
        try credit.withLock { credit throws(SessionFault) in try credit.take(data) }
    }

    func messages(of tail: OutputTail) -> [JobInteractiveDataV1] { credit.withLock { $0.messages(of: tail) } }
}

/// What this node's own runs write, by assignment, and the streams over which their originators watch (PROTOCOL.md,
/// "Live output"). Nobody else gets it: until a result counts, nobody may copy it.
final class RunOutputs: Sendable {
    private struct Entry: Sendable {
        let output: LiveOutput
        let originator: PeerID
        /// The stream in use; a newer one takes its place.
        var stream = 0
    }

    /// A stream's time for its first message, in milliseconds.
    private let arrivalMilliseconds: Int64
    private let state = Mutex<[CID: Entry]>([:])

    init(limits: RunSessions.Limits = RunSessions.Limits()) { arrivalMilliseconds = limits.arrivalMilliseconds }

    /// Enters a run that begins.
    func begin(_ assignment: CID, of originator: PeerID) {
        state.withLock { $0[assignment] = Entry(output: LiveOutput(), originator: originator) }
    }

    /// How many runs somebody has asked for the output of.
    var askedFor: Int { state.withLock { $0.values.count { $0.stream > 0 } } }

    /// What a run writes.
    func output(of assignment: CID) -> LiveOutput? { state.withLock { $0[assignment]?.output } }

    /// A run has ended; streams that have begun get the rest of what it was seen to write.
    func ended(_ assignment: CID) { state.withLock { $0.removeValue(forKey: assignment) }?.output.close() }

    /// Begins a stream of a peer to whom the run's output belongs.
    private func beginStream(_ assignment: CID, of peer: PeerID) -> (output: LiveOutput, number: Int)? {
        let begun = state.withLock { state -> (LiveOutput, Int)? in
            guard var entry = state[assignment], entry.originator == peer else { return nil }
            entry.stream += 1
            state[assignment] = entry
            return (entry.output, entry.stream)
        }
        // The stream before looks whether it still is the newest.
        begun?.0.ring()
        return begun
    }

    private func isCurrent(_ assignment: CID, _ number: Int) -> Bool {
        state.withLock { $0[assignment].map { $0.stream == number } ?? true }
    }

    /// Serves the streams of originators.
    func serve(
        on host: any StreamHost, admitting admits: @escaping @Sendable (PeerID) async -> Bool,
        blame: @escaping @Sendable (PeerID, String) async -> Void
    ) async {
        await host.handle(MeshTopics.outputs) { [self] stream in
            let peer = stream.remotePeer
            guard await admits(peer) else { return await stream.reset() }
            if let fault = await answer(stream) { await blame(peer, fault) }
        }
    }

    private func answer(_ stream: any PeerStream) async -> String? {
        do {
            let first = try await withDeadline(milliseconds: arrivalMilliseconds) {
                try await SessionStream.message(on: stream)
            }
            // One that comes before its run does, or after it, is tried again.
            guard case .jobInteractiveInput(let data)? = first,
                let (output, number) = beginStream(data.assignmentCID, of: stream.remotePeer)
            else {
                await stream.reset()
                return nil
            }
            return await serve(stream, output, data, number)?.description
        } catch {
            await stream.reset()
            return SessionStream.fault(error)
        }
    }

    /// Serves one stream; returns what the originator did wrong, if anything.
    private func serve(
        _ stream: any PeerStream, _ output: LiveOutput, _ first: JobInteractiveDataV1, _ number: Int
    ) async -> SessionFault? {
        let credit = SharedCredit(jobID: first.jobID, assignment: first.assignmentCID)
        do {
            try credit.take(first)
        } catch {
            await stream.reset()
            return error
        }
        return await withTaskGroup(of: SessionFault?.self) { group in
            group.addTask {
                do {
                    while let message = try await SessionStream.message(on: stream) {
                        guard case .jobInteractiveInput(let data) = message else { return .notOfTheSession }
                        try credit.take(data)
                        output.ring()
                    }
                    return nil
                } catch {
                    return SessionStream.sessionFault(error)
                }
            }
            group.addTask { [self] in
                for await _ in output.changes() {
                    guard isCurrent(first.assignmentCID, number) else { return nil }
                    for data in credit.messages(of: output.tail) {
                        guard let bytes = try? MeshProtocolMessage.jobInteractiveOutput(data).encoded(),
                            (try? await stream.writeFrame(ByteBuffer(bytes: bytes))) != nil
                        else { return nil }
                        if data.isLast {
                            try? await stream.closeWrite()
                            // The other side hangs up once it has it.
                            await OutputDesk.forever()
                            return nil
                        }
                    }
                }
                return nil
            }
            group.addTask { [arrivalMilliseconds] in
                // Whoever takes nothing of an ended run does not keep it here.
                for await _ in output.changes() where output.tail.isOver {
                    try? await Task.sleep(for: .milliseconds(arrivalMilliseconds))
                    return nil
                }
                return nil
            }
            let fault = await group.next() ?? nil
            group.cancelAll()
            await stream.reset()
            return fault
        }
    }
}
