import NodeAPI

/// What a node tells a Prometheus: the metrics of docs/metrics.md, which are made of what it counts anyway.
///
/// No label has a text of a peer: every name comes from the program itself, so the number of series has a bound.
struct NodeMetrics {
    private let status: NodeStatus
    private let wallet: WalletView

    init(_ status: NodeStatus, _ wallet: WalletView) {
        self.status = status
        self.wallet = wallet
    }

    /// All of them, in a fixed order.
    var families: [MetricFamily] {
        node + jobs + executor + walletFamilies + storage + gateway + Self.counted.map(family)
            + Self.grouped.map(family)
    }

    // MARK: The node

    private var node: [MetricFamily] {
        let warnings = [
            ("clock", status.clockWarning), ("journal", status.journalWarning), ("key", status.keyWarning),
            ("issuer", status.issuerWarning),
        ]
        return [
            MetricFamily(
                name: "mesh_build_info", kind: .gauge, help: "Always 1; the version of the program is a label.",
                labels: ["version"], series: [.init([status.version], 1)]),
            gauge("mesh_uptime_seconds", "How long the node has been up.", Double(status.uptimeMilliseconds) / 1_000),
            gauge("mesh_resident_memory_bytes", "Memory of the node's process.", Double(status.residentBytes)),
            gauge("mesh_connected_peers", "Peers that are connected.", Double(status.connectedPeers)),
            MetricFamily(
                name: "mesh_warning", kind: .gauge, help: "1 if the node warns its owner of it; mesh status says how.",
                labels: ["about"], series: warnings.map { .init([$0.0], $0.1 == nil ? 0 : 1) }),
        ]
    }

    private var jobs: [MetricFamily] {
        let phases = JobOutcome.allCases.filter(\.isUnderWay)
        let open = ["originator", "executor"].flatMap { side in
            phases.map { phase in
                let count = status.jobs?.first { $0.side == side && $0.outcome == phase }?.count ?? 0
                return MetricFamily.Series([side, phase.rawValue], Double(count))
            }
        }
        let events = (status.events ?? []).map { MetricFamily.Series([$0.side, $0.event], Double($0.count)) }
        return [
            MetricFamily(
                name: "mesh_jobs", kind: .gauge, help: "Jobs under way, by the node's side of them and their phase.",
                labels: ["side", "phase"], series: open),
            MetricFamily(
                name: "mesh_job_events_total", kind: .counter,
                help: "What happened to jobs, as their journals name it.",
                labels: ["side", "event"], series: events),
        ]
    }

    private var executor: [MetricFamily] {
        let state = status.executorState ?? ExecutorState(state: "off")
        return [
            MetricFamily(
                name: "mesh_executor_state", kind: .gauge, help: "1 for what the executor does now, 0 for the others.",
                labels: ["state"], series: Self.executorStates.map { .init([$0], $0 == state.state ? 1 : 0) }),
            gauge("mesh_executor_runs", "Jobs of others that run here, or stand still.", Double(state.running)),
            gauge(
                "mesh_executor_runs_waiting", "Accepted jobs that fetch, compile or wait for a place.",
                Double(state.waiting)),
        ]
    }

    private var walletFamilies: [MetricFamily] {
        let balances = [
            ("available", wallet.available), ("held", wallet.held), ("paid", wallet.paid), ("earned", wallet.earned),
        ]
        return [
            MetricFamily(
                name: "mesh_wallet_tokens", kind: .gauge,
                help: "Tokens in the node's own book, in the smallest unit: what it can spend, holds, paid and earned.",
                labels: ["balance"], series: balances.map { .init([$0.0], Double($0.1)) })
        ]
    }

    private var storage: [MetricFamily] {
        guard let storage = status.storage else { return [] }
        var families = [
            MetricFamily(
                name: "mesh_store_state", kind: .gauge, help: "1 for how the store is now, 0 for the others.",
                labels: ["state"], series: Self.storeStates.map { .init([$0], $0 == storage.state ? 1 : 0) }),
            gauge("mesh_store_blocks", "Blocks in the store.", Double(storage.blocks)),
            gauge("mesh_store_block_bytes", "Bytes of blocks in the store.", Double(storage.blockBytes)),
            gauge("mesh_store_block_limit_bytes", "Bytes that blocks may have.", Double(storage.blockBytesMax)),
            gauge(
                "mesh_store_high_water_bytes", "Bytes of blocks above which some are evicted.",
                Double(storage.highWaterBytes)),
            gauge(
                "mesh_store_database_bytes", "The database on the disk, with its log.", Double(storage.databaseBytes)),
        ]
        if let free = storage.diskFreeBytes {
            families.append(gauge("mesh_disk_free_bytes", "Free bytes on the disk of the home folder.", Double(free)))
        }
        if let reserve = storage.diskReserveBytes {
            families.append(
                gauge("mesh_disk_reserve_bytes", "Free bytes kept for jobs under way.", Double(reserve)))
        }
        return families
    }

    private var gateway: [MetricFamily] {
        guard let gateway = status.gateway else { return [] }
        return [
            gauge("mesh_gateway_public_roots", "Files and folders that are public.", Double(gateway.publicRoots)),
            gauge("mesh_gateway_connections", "Connections of strangers to the gateway.", Double(gateway.connections)),
            counter("mesh_gateway_answers_total", "Requests that the gateway answered.", gateway.answers),
            counter("mesh_gateway_refusals_total", "Requests that the gateway refused.", gateway.refusals),
            counter("mesh_gateway_cut_answers_total", "Answers of the gateway that broke off.", gateway.cutAnswers),
            counter("mesh_gateway_sent_bytes_total", "Bytes that the gateway sent.", gateway.sentBytes),
        ]
    }

    // MARK: Counters

    /// A counter of `mesh status` that is a metric of its own.
    struct Counted {
        /// Its name in `NodeStatus.counters`.
        let counter: String
        let metric: String
        let help: String
    }

    /// Counters of `mesh status` that differ in the end of their names.
    struct Grouped {
        let prefix: String
        let metric: String
        let label: String
        let help: String
    }

    private func family(_ counted: Counted) -> MetricFamily {
        counter(
            counted.metric, counted.help, status.counters.first { $0.name == counted.counter }?.value ?? 0)
    }

    private func family(_ grouped: Grouped) -> MetricFamily {
        let own = status.counters.filter { $0.name.hasPrefix(grouped.prefix) }
        return MetricFamily(
            name: grouped.metric, kind: .counter, help: grouped.help, labels: [grouped.label],
            series: own.map { .init([String($0.name.dropFirst(grouped.prefix.count))], Double($0.value)) })
    }

    private func gauge(_ name: String, _ help: String, _ value: Double) -> MetricFamily {
        MetricFamily(name: name, kind: .gauge, help: help, series: [.init([], value)])
    }

    private func counter(_ name: String, _ help: String, _ value: UInt64) -> MetricFamily {
        MetricFamily(name: name, kind: .counter, help: help, series: [.init([], Double(value))])
    }

    /// What an executor may do (`ExecutorState`).
    static let executorStates = ["open", "paused", "draining", "drained", "out_of_hours", "stopping", "off"]
    /// How a store may be (`NodeStatus.Storage`).
    static let storeStates = ["open", "full", "disk_full", "locked"]
    /// Counters of `mesh status` that say how much there is now: gauges have these.
    static let gauges: Set = ["store_blocks", "store_block_bytes", "jobs_originated_open", "jobs_executed_open"]

    /// Groups of counters.
    static let grouped = [
        Grouped(
            prefix: "market_refused_", metric: "mesh_market_refusals_total", label: "reason",
            help: "Messages of the market that were refused, by the reason."),
        Grouped(
            prefix: "market_declined_", metric: "mesh_market_declines_total", label: "reason",
            help: "Jobs on which the node did not bid, by the reason."),
        Grouped(
            prefix: "swarm_", metric: "mesh_swarm_events_total", label: "event",
            help: "What the network refused, closed or opened, by what it was."),
        Grouped(
            prefix: "mdns_", metric: "mesh_mdns_events_total", label: "event",
            help: "What came of looking for nodes on the local network, by what it was."),
    ]

    /// Counters with a metric each.
    static let counted = [
        Counted(
            counter: "announcement_rounds", metric: "mesh_announcement_rounds_total",
            help: "Rounds of announcing files in the DHT."),
        Counted(
            counter: "bitswap_blocks_refused", metric: "mesh_bitswap_refused_blocks_total",
            help: "Blocks that peers sent and that were wrong or not asked for."),
        Counted(
            counter: "capabilities_advertised", metric: "mesh_capabilities_advertised_total",
            help: "Times that the node advertised its offer."),
        Counted(
            counter: "capabilities_withdrawn", metric: "mesh_capabilities_withdrawn_total",
            help: "Times that the node withdrew its offer."),
        Counted(
            counter: "executors_asked", metric: "mesh_executors_asked_total",
            help: "Executors that were asked why they do not bid."),
        Counted(
            counter: "heard_of_jobs", metric: "mesh_jobs_heard_of_total",
            help: "Messages about jobs that gossip brought."),
        Counted(
            counter: "holds_given_back", metric: "mesh_holds_given_back_total",
            help: "Holds that the start gave back."),
        Counted(
            counter: "interests_unsaid", metric: "mesh_interests_unsaid_total",
            help: "Interests in jobs that were left unsaid, since others spoke."),
        Counted(
            counter: "invitations", metric: "mesh_invitations_total", help: "Executors that were invited to a job."),
        Counted(
            counter: "journals_left_out", metric: "mesh_journals_left_out_total",
            help: "Journals that did not read at the start."),
        Counted(
            counter: "log_lines_left_out", metric: "mesh_log_lines_left_out_total", help: "Lines left out of the log."),
        Counted(
            counter: "market_announcements_ignored", metric: "mesh_market_announcements_ignored_total",
            help: "Announcements ignored, since their author made too many."),
        Counted(
            counter: "market_bids_not_written", metric: "mesh_market_bids_not_written_total",
            help: "Bids left out of the journal."),
        Counted(
            counter: "market_duplicates", metric: "mesh_market_duplicates_total",
            help: "Messages of the market that came again."),
        Counted(
            counter: "messages_unknown", metric: "mesh_messages_unknown_total", help: "Messages of unknown kinds."),
        Counted(
            counter: "messages_unread", metric: "mesh_messages_unread_total", help: "Messages that did not read."),
        Counted(counter: "misbehaviours", metric: "mesh_misbehaviours_total", help: "Faults of peers."),
        Counted(
            counter: "misbehaviours_not_written", metric: "mesh_misbehaviours_not_written_total",
            help: "Faults of peers that were not written down."),
        Counted(counter: "peers_looked_for", metric: "mesh_peers_looked_for_total", help: "Lost peers looked for."),
        Counted(
            counter: "peers_shunned", metric: "mesh_peers_shunned_total", help: "Times that a peer began to be shunned."
        ),
        Counted(
            counter: "proofs_not_put", metric: "mesh_proofs_not_put_total",
            help: "Proofs of fraud not put into the DHT."),
        Counted(
            counter: "issuer_heads_heard", metric: "mesh_issuer_heads_heard_total",
            help: "Heads of issuers that others told."),
        Counted(
            counter: "issuer_heads_compared", metric: "mesh_issuer_heads_compared_total",
            help: "Heads of issuers held against the log that the issuer shows."),
        Counted(
            counter: "issuer_catch_ups", metric: "mesh_issuer_catch_ups_total",
            help: "Times that this issuer's book caught up with its witnesses."),
        Counted(
            counter: "issuer_catch_ups_failed", metric: "mesh_issuer_catch_ups_failed_total",
            help: "Times that it did not, as too few reported or their reports named what the book lacks."),
        Counted(
            counter: "witness_lodged", metric: "mesh_witness_lodged_total",
            help: "Statements that this node gave as a witness of charters."),
        Counted(
            counter: "witness_refused", metric: "mesh_witness_refused_total",
            help: "Questions that it refused as one."),
        Counted(
            counter: "witness_reports", metric: "mesh_witness_reports_total",
            help: "Reports that it gave issuers."),
        Counted(
            counter: "offers_fetched", metric: "mesh_offers_fetched_total",
            help: "Offers that bids cite and that their bidders gave."),
        Counted(
            counter: "offers_not_fetched", metric: "mesh_offers_not_fetched_total",
            help: "Offers that bids cite and that their bidders did not give in time."),
        Counted(
            counter: "records_heard", metric: "mesh_records_heard_total",
            help: "Records of reputation that could show something new."),
        Counted(counter: "proofs_put", metric: "mesh_proofs_put_total", help: "Proofs of fraud put into the DHT."),
        Counted(
            counter: "receipts_not_put", metric: "mesh_receipts_not_put_total", help: "Receipts not put into the DHT."),
        Counted(counter: "receipts_put", metric: "mesh_receipts_put_total", help: "Receipts put into the DHT."),
        Counted(
            counter: "roots_not_provided", metric: "mesh_roots_not_provided_total",
            help: "Files not announced in the DHT."),
        Counted(counter: "roots_provided", metric: "mesh_roots_provided_total", help: "Files announced in the DHT."),
        Counted(
            counter: "store_commits", metric: "mesh_store_commits_total", help: "Changes written to the database."),
        Counted(
            counter: "store_corrupt_blocks", metric: "mesh_store_corrupt_blocks_total",
            help: "Blocks that were found damaged."),
        Counted(
            counter: "store_corrupt_records", metric: "mesh_store_corrupt_records_total",
            help: "Records that were found damaged."),
        Counted(
            counter: "store_evicted_blocks", metric: "mesh_store_evicted_blocks_total", help: "Blocks evicted for room."
        ),
        Counted(
            counter: "store_full_retries", metric: "mesh_store_full_retries_total",
            help: "Writes tried again for lack of room."),
        Counted(
            counter: "store_lock_retries", metric: "mesh_store_lock_retries_total",
            help: "Writes tried again since the database was locked."),
        Counted(
            counter: "store_transactions", metric: "mesh_store_transactions_total",
            help: "Groups of changes written together."),
        Counted(
            counter: "trace_contexts_ignored", metric: "mesh_trace_contexts_ignored_total",
            help: "Contexts of traces that were none, not of their jobs, or too many."),
        Counted(
            counter: "trace_exports_failed", metric: "mesh_trace_exports_failed_total",
            help: "Requests to the receiver of traces that failed."),
        Counted(
            counter: "trace_jobs_not_recorded", metric: "mesh_trace_jobs_not_recorded_total",
            help: "Jobs that were to be recorded, and were too many."),
        Counted(
            counter: "trace_spans_dropped", metric: "mesh_trace_spans_dropped_total",
            help: "Spans that the receiver of traces did not get or rejected."),
        Counted(
            counter: "trace_spans_sent", metric: "mesh_trace_spans_sent_total",
            help: "Spans that the receiver of traces took."),
        Counted(
            counter: "workflow_receipts_not_put", metric: "mesh_workflow_receipts_not_put_total",
            help: "Receipts of workflows not put into the DHT."),
        Counted(
            counter: "workflow_receipts_put", metric: "mesh_workflow_receipts_put_total",
            help: "Receipts of workflows put into the DHT."),
    ]
}
