import JobMarket
import Logging
import MeshStore
import MeshTypes
import NodeAPI
import NodeCore
import SignedObjects
import Synchronization
import Workflows

/// Passes the core's writes to the store, in the order of the calls; their results are news for the core.
final class NodeDisk: Sendable {
    private struct News: Sendable {
        /// The newest write that is on the disk and not yet reported.
        var written: UInt64?
        var areFaultsWritten = false
    }

    /// Fires when there is news.
    let rings: AsyncStream<Void>
    private let ring: AsyncStream<Void>.Continuation
    private let news = Mutex(News())
    private let store: MeshStore
    private let receipts: VerifiedReceipts
    private let end: NodeEnd

    init(store: MeshStore, receipts: VerifiedReceipts, end: NodeEnd) {
        self.store = store
        self.receipts = receipts
        self.end = end
        (rings, ring) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// What happened since the last call.
    func takeNews() -> [NodeInput] {
        let news = news.withLock { news in
            defer { news = News() }
            return news
        }
        return (news.written.map { [.written($0)] } ?? []) + (news.areFaultsWritten ? [.faultsWritten] : [])
    }

    private func tell(_ change: (inout News) -> Void) {
        news.withLock { change(&$0) }
        ring.yield(())
    }

    /// Queues a transition; `false` if this process has to die at it.
    func write(_ write: NodeWrite) -> Bool {
        let writes: [StoreWrite]
        do {
            writes = try write.storeWrites()
        } catch {
            end.fail(NodeServiceError(.internalError, "An event cannot be written: \(error)."))
            return false
        }
        for case .receipt(let row) in writes where row.isVerified == true { receipts.insert(row.cid) }
        let events = CrashPoint.ofProcess == nil ? [] : CrashPoint.Event.all(of: write)
        return store.enqueue(writes, of: events, urgency: CommitUrgency(write.haste)) { [self] result in
            switch result {
            case .success:
                tell { $0.written = max($0.written ?? 0, write.number) }
            case .failure(let error): end.fail(NodeServiceError(storage: error))
            }
        }
    }

    /// Queues peers' faults, if there is room for what nobody relies on.
    func write(_ faults: [PeerFault]) {
        store.enqueue(faults.map(StoreWrite.init), urgency: .idle) { [self] _ in
            tell { $0.areFaultsWritten = true }
        }
    }

    /// Deletes bids that nobody took.
    func pruneBids(before date: UnixMilliseconds) {
        store.enqueue([.pruneBids(before: date.value)], urgency: .idle) { _ in }
    }

    /// Ends the news, and closes the store; writes what it accepted before.
    func close(_ logger: Logger) {
        ring.finish()
        do {
            try store.close()
        } catch {
            logger.error("The store did not close cleanly.", metadata: ["error": "\(error)"])
        }
    }
}

extension StoreWrite {
    /// A peer's fault, as the store counts it.
    init(_ fault: PeerFault) {
        self = .peerMisbehaved(
            fault.peer, note: fault.note, count: fault.count, isMet: fault.isMet, at: fault.at)
    }
}

extension MeshStore {
    /// Writes at this place in the order of all that is written, and returns when it is on the disk.
    func commit(_ writes: [StoreWrite], of event: CrashPoint.Event) async throws(MeshStoreError) {
        let result = await withCheckedContinuation { continuation in
            enqueue(writes, of: [event], urgency: .now) { continuation.resume(returning: $0) }
        }
        try result.get()
    }

    /// Queues writes that make events durable; `false` if this process dies at one of them.
    @discardableResult
    func enqueue(
        _ writes: [StoreWrite], of events: [CrashPoint.Event], urgency: CommitUrgency,
        finished: @escaping @Sendable (Result<Void, MeshStoreError>) -> Void
    ) -> Bool {
        guard let point = CrashPoint.ofProcess, point.isMet(by: events) else {
            enqueue(writes, urgency: urgency, finished: finished)
            return true
        }
        if point.side == .before { point.die(events) }
        enqueue(writes, urgency: .now) { result in
            if case .success = result { point.die(events) }
            finished(result)
        }
        return false
    }
}
