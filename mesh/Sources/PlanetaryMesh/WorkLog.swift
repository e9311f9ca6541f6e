import Determinism
import JobMarket
import LibP2P
import Logging
import MeshTypes
import Multiformats
import NodeCore
import PeerIdentity
import SignedObjects
import Synchronization

/// The node's log of its work, at level `info`: writes the lines that `NodeCore` makes of events, as far as
/// `LogBudget` lets strangers fill it.
///
/// With a higher level it does nothing, and its callers make no line: they ask `isOn` first.
final class WorkLog: Sendable {
    /// Whether anybody reads lines of the level.
    var isOn: Bool { logger.logLevel <= .info }
    private let logger: Logger
    private let tallies: NodeTallies
    private let budget = Mutex(LogBudget())
    private let entrances = Mutex(EntranceFailures())
    /// The runs whose begin was told; each says again and again that it goes on. One for each place that is taken.
    private let begun = Mutex(Set<JobID>())

    init(logger: Logger, tallies: NodeTallies) {
        self.logger = logger
        self.tallies = tallies
    }

    /// Writes the lines about events of jobs.
    func tell(_ events: [JobEvent]) {
        guard isOn else { return }
        for event in events where isNews(event) { tell(WorkLine.line(of: event)) }
    }

    private func isNews(_ event: JobEvent) -> Bool {
        switch event.kind {
        case .executionProgressed(.running): return begun.withLock { $0.insert(event.jobID).inserted }
        case .receiptSigned: begun.withLock { _ = $0.remove(event.jobID) }
        default: break
        }
        return true
    }

    /// Writes a line, unless its event has used up its share of the log.
    func tell(_ line: WorkLine?, level: Logger.Level = .info) {
        guard let line, logger.logLevel <= level else { return }
        guard budget.withLock({ $0.admits(line.event, now: NodeClock.now) }) else {
            return tallies.add("log_lines_left_out")
        }
        write(line, level)
    }

    /// Writes a line about a peer.
    func tell(_ event: WorkEvent, _ peer: PeerID, reason: String? = nil, level: Logger.Level = .info) {
        guard logger.logLevel <= level else { return }
        tell(.peer(event, peer, node: (try? PublicKey(peerID: peer))?.did, reason: reason), level: level)
    }

    /// Writes a line about a dial of a bootstrap address that failed, less and less often; nil if it was answered.
    func tellDial(of address: Multiaddr, failure: String?) {
        guard isOn else { return }
        guard let failure else { return entrances.withLock { $0.answered(address.text) } }
        guard let times = entrances.withLock({ $0.failed(address.text) }) else { return }
        let place = "\(address): "
        let reason = failure.hasPrefix(place) ? String(failure.dropFirst(place.count)) : failure
        tell(.bootstrapFailed(address.text, times: times, reason: reason))
    }

    /// Tells what was left out, when that is due, or at the end.
    func tellLeftOut(isEnd: Bool = false) {
        let now = NodeClock.now
        let lines = budget.withLock { isEnd ? $0.takeLeftOut() : ($0.wake(now: now) ?? []) }
        for line in lines { write(line, .notice) }
    }

    /// Writes a line for each peer that comes and goes, until the events end.
    func follow(_ events: AsyncStream<PeerEvent>) async {
        for await event in events where isOn {
            switch event {
            case .connected(let peer): tell(.peerConnected, peer)
            case .disconnected(let peer): tell(.peerLost, peer)
            case .identified: break
            }
        }
    }

    private func write(_ line: WorkLine, _ level: Logger.Level) {
        var metadata: Logger.Metadata = ["event": "\(line.event.rawValue)"]
        for field in line.fields { metadata[field.name] = "\(field.value)" }
        logger.log(level: level, "\(line.event.sentence)", metadata: metadata)
    }
}
