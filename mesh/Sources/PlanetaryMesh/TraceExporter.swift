import Logging
import NodeCore
import NodeSetup
import Synchronization

/// Sends spans to the receiver, one request at a time; what it does not take in time is dropped and counted.
actor TraceExporter {
    private let receiver: TraceReceiver
    private let resource: OTLPRequest.Resource
    private let tallies: NodeTallies
    private let logger: Logger
    private nonisolated let queue: Mutex<TraceQueue>

    init(
        _ receiver: TraceReceiver, of resource: OTLPRequest.Resource, tallies: NodeTallies, logger: Logger,
        limits: TraceQueue.Limits = TraceQueue.Limits()
    ) {
        self.receiver = receiver
        self.resource = resource
        self.tallies = tallies
        self.logger = logger
        queue = Mutex(TraceQueue(limits: limits))
    }

    /// Takes spans in, without waiting for anything.
    nonisolated func offer(_ spans: [TraceSpan]) { drop(queue.withLock { $0.add(spans) }) }

    /// Sends what is offered, until its task is cancelled.
    func run() async {
        while await wait() {
            let spans = queue.withLock { $0.next() }
            guard !spans.isEmpty else { continue }
            let outcome = await send(spans)
            // A request that was given up says nothing about its receiver.
            if Task.isCancelled { break }
            take(outcome)
        }
    }

    /// Whether a pause ended because its time was over.
    private func wait() async -> Bool {
        let milliseconds = queue.withLock { $0.pauseMilliseconds }
        return (try? await Task.sleep(for: .milliseconds(milliseconds))) != nil
    }

    private func send(_ spans: [TraceSpan]) async -> TraceQueue.Outcome {
        guard let body = try? OTLPRequest(spans, of: resource).encoded() else {
            return .refused("the spans cannot be written")
        }
        return await receiver.post(body)
    }

    private func take(_ outcome: TraceQueue.Outcome) {
        let report = queue.withLock { $0.ended(outcome) }
        if report.sent > 0 { tallies.add("trace_spans_sent", report.sent) }
        drop(report.dropped)
        if case .taken = outcome {} else { tallies.add("trace_exports_failed") }
        guard let warning = report.warning else { return }
        logger.warning(
            """
            The receiver of traces at \(receiver.endpoint.text) does not take all spans: \(warning). Jobs go on; \
            spans that it does not take in time are dropped and counted. Start it, or correct traces in config.json.
            """)
    }

    private nonisolated func drop(_ count: UInt64) {
        if count > 0 { tallies.add("trace_spans_dropped", count) }
    }
}
