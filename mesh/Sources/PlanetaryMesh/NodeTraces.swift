import JobMarket
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import NodeSetup
import PeerIdentity
import SignedObjects
import Synchronization

/// A node's traces: the recorder, fed with what goes by, and the exporter; nothing at all where the owner wants none.
///
/// No job waits for it: what it takes in it keeps in memory, up to its bounds.
final class NodeTraces: Sendable {
    /// What there is where traces are on.
    private final class Live: Sendable {
        let exporter: TraceExporter
        let recorder: Mutex<TraceRecorder>

        init(_ exporter: TraceExporter, _ recorder: TraceRecorder) {
            self.exporter = exporter
            self.recorder = Mutex(recorder)
        }
    }

    private let live: Live?
    private let tallies: NodeTallies

    init(_ parts: NodeParts) {
        let (settings, node) = (parts.configuration.traces, parts.identity.did)
        tallies = parts.tallies
        live = settings.receiver.map { endpoint in
            let terms = TraceRecorder.Terms(
                ratioPermille: settings.ratioPermille, othersPerMinuteMax: settings.othersPerMinuteMax)
            let resource = OTLPRequest.Resource(
                service: settings.service, version: NodeVersion.current, did: node.text)
            return Live(
                TraceExporter(
                    TraceReceiver(endpoint), of: resource, tallies: parts.tallies, logger: parts.logger),
                TraceRecorder(node: node, terms: terms))
        }
    }

    /// Sends what was recorded, until its task is cancelled.
    func run() async { await live?.exporter.run() }

    /// The trace of a job, as hex, if it is recorded here.
    func traceID(of job: CID) -> String? { live?.recorder.withLock { $0.traceID(of: JobID(job)) } }

    // MARK: What goes by

    /// A program submitted a job, with a context of its own.
    func asked(_ text: String?, of job: JobID) { live?.recorder.withLock { $0.asked(text, of: job) } }

    /// A message arrived; one that does not read, or is of another kind, says nothing.
    func hear(_ bytes: [UInt8], from peer: PeerID, at moment: NodeMoment) {
        // What has no context is not read twice.
        guard let live, Self.isNamed(in: bytes),
            let message = try? MeshProtocolMessage.decode(bytes)
        else { return }
        switch message {
        case .jobAnnouncement(let announcement):
            live.recorder.withLock {
                $0.heard(announcement.traceparent, of: announcement.jobID, from: peer, at: moment.wallClock)
            }
        case .assignJob(let order):
            let job = JobID(CID.hashing(order.manifest, codec: .dagCBOR))
            live.recorder.withLock { $0.heard(order.traceparent, of: job, from: peer, at: moment.wallClock) }
        default: break
        }
    }

    private static let field = Array("traceparent".utf8)

    /// Whether a message has the field's name: looked for in as much time as it takes to read, since any peer may send
    /// the largest.
    private static func isNamed(in bytes: [UInt8]) -> Bool {
        var matched = 0
        for byte in bytes {
            // The name's first letter stands in it again at its end only.
            matched = byte == field[matched] ? matched + 1 : byte == field[0] ? 1 : 0
            if matched == field.count { return true }
        }
        return false
    }

    /// What was entered into the journals of jobs.
    func take(_ events: [JobEvent], at moment: NodeMoment) {
        guard let live else { return }
        let (spans, omissions) = live.recorder.withLock { ($0.take(events, now: moment.now), $0.takeOmissions()) }
        for (omission, number) in omissions { count(omission, number) }
        if !spans.isEmpty { live.exporter.offer(spans) }
    }

    private func count(_ omission: TraceRecorder.Omission, _ number: UInt64) {
        switch omission {
        case .contextIgnored: tallies.add("trace_contexts_ignored", number)
        case .jobNotRecorded: tallies.add("trace_jobs_not_recorded", number)
        case .spanDropped: tallies.add("trace_spans_dropped", number)
        }
    }

    /// An errand, with the context of its job where it carries one.
    func stamped(_ errand: NodeErrand) -> NodeErrand {
        guard let live else { return errand }
        switch errand {
        case .announce(let job, var announcement):
            announcement.traceparent = live.recorder.withLock { $0.announced(job) }
            return .announce(job, announcement)
        case .deliver(let delivery):
            return .deliver(live.recorder.withLock { Self.stamped(delivery, $0) })
        default: return errand
        }
    }

    private static func stamped(_ delivery: Delivery, _ recorder: TraceRecorder) -> Delivery {
        let message: MeshProtocolMessage
        switch delivery.message {
        case .jobAnnouncement(var announcement):
            announcement.traceparent = recorder.announced(delivery.id.jobID)
            message = .jobAnnouncement(announcement)
        case .assignJob(var order):
            order.traceparent = recorder.assigned(delivery.id.jobID, delivery.id.subject)
            message = .assignJob(order)
        default: return delivery
        }
        return Delivery(id: delivery.id, peer: delivery.peer, addresses: delivery.addresses, message: message)
    }
}
