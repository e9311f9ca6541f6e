/// What `mesh bench jobs` measured.
struct BenchReport: Encodable {
    /// One job.
    struct Run {
        /// How a job ended.
        enum Outcome {
            /// With a receipt that verifies.
            case verified
            /// In another way, which the sentence and the exit code of such a job tell.
            case failed(String, Int32)
            /// Without an end.
            case lost
        }

        /// The time until the job was durable.
        let submitted: Duration
        /// The time until its end was known.
        let ended: Duration
        let outcome: Outcome
    }

    let count: Int
    let inFlight: Int
    let verified: Int
    let failed: Int
    let lost: Int
    let seconds: Double
    let jobsPerSecond: Double
    let p50Milliseconds: Double
    let p95Milliseconds: Double
    let p99Milliseconds: Double
    let maxMilliseconds: Double
    let submitP50Milliseconds: Double
    let firstFailure: String?
    /// The exit code: that of `mesh run` for the first job that failed.
    let exitCode: Int32

    init(runs: [Run], count: Int, inFlight: Int, elapsed: Duration) {
        self.count = count
        self.inFlight = inFlight
        var verified = 0
        var failures: [(reason: String, code: Int32)] = []
        for run in runs {
            switch run.outcome {
            case .verified: verified += 1
            case .failed(let reason, let code): failures.append((reason, code))
            case .lost: break
            }
        }
        self.verified = verified
        failed = failures.count
        lost = count - verified - failures.count
        firstFailure = failures.first?.reason
        exitCode = failures.first?.code ?? (lost > 0 ? ExitStatus.executorsFailed : .success).rawValue
        seconds = Self.milliseconds(elapsed) / 1_000
        jobsPerSecond = seconds > 0 ? Double(verified) / seconds : 0
        let ended = runs.map { Self.milliseconds($0.ended) }.sorted()
        p50Milliseconds = Self.percentile(50, of: ended)
        p95Milliseconds = Self.percentile(95, of: ended)
        p99Milliseconds = Self.percentile(99, of: ended)
        maxMilliseconds = ended.last ?? 0
        submitP50Milliseconds = Self.percentile(50, of: runs.map { Self.milliseconds($0.submitted) }.sorted())
    }

    private enum CodingKeys: String, CodingKey {
        case count, verified, failed, lost, seconds
        case inFlight = "in_flight"
        case jobsPerSecond = "jobs_per_second"
        case p50Milliseconds = "p50_ms"
        case p95Milliseconds = "p95_ms"
        case p99Milliseconds = "p99_ms"
        case maxMilliseconds = "max_ms"
        case submitP50Milliseconds = "submit_p50_ms"
        case firstFailure = "first_failure"
    }

    /// The figures for people.
    var text: String {
        var facts: [(name: String, value: String)] = [
            ("jobs", "\(count), \(inFlight) at once"), ("verified", String(verified)), ("failed", String(failed)),
            ("lost", String(lost)), ("took", "\(Self.tenths(seconds)) s"),
            ("jobs per second", Self.tenths(jobsPerSecond)), ("p50", "\(Self.tenths(p50Milliseconds)) ms"),
            ("p95", "\(Self.tenths(p95Milliseconds)) ms"), ("p99", "\(Self.tenths(p99Milliseconds)) ms"),
            ("max", "\(Self.tenths(maxMilliseconds)) ms"),
            ("submit p50", "\(Self.tenths(submitP50Milliseconds)) ms"),
        ]
        if let firstFailure { facts.append(("first failure", firstFailure)) }
        return Table.facts(facts)
    }

    /// The smallest value that at least `percent` of the sorted values do not exceed.
    static func percentile(_ percent: Int, of sorted: [Double]) -> Double {
        guard !sorted.isEmpty else { return 0 }
        let rank = (sorted.count * percent + 99) / 100
        return sorted[min(max(rank, 1), sorted.count) - 1]
    }

    static func milliseconds(_ duration: Duration) -> Double {
        let (seconds, attoseconds) = duration.components
        return Double(seconds) * 1_000 + Double(attoseconds) / 1e15
    }

    static func tenths(_ value: Double) -> String {
        let scaled = Int((value * 10).rounded())
        return "\(scaled / 10).\(scaled % 10)"
    }
}
