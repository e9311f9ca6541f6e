import ArgumentParser
import MeshHTTP
import NodeAPI

/// `mesh bench credit`: what it adds to a job that an issuer holds its price.
struct BenchCredit: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "credit",
        abstract: "Run the same small job with tokens and by an issuer's credit in turn, one at a time, and compare.",
        discussion: "The exit code is that of mesh run for the first job that failed.")

    @OptionGroup var global: GlobalOptions

    @OptionGroup var at: IssuerOption

    @Option(help: "How many jobs of each kind; by default 200.", transform: Quantity.number("above 0"))
    var count = 200

    @Option(
        help: "How many jobs of each kind to run first without counting them; by default 5.",
        transform: Quantity.number("from 0 on"))
    var warmUp = 5

    @Option(
        help: "The most that one job may cost by credit, in the issuer's smallest unit; by default 100.",
        transform: Quantity.number("above 0"))
    var budget = 100

    @Option(help: "The module to run; by default one that returns at once.", completion: .file())
    var module: String?

    func validate() throws {
        guard count > 0, budget > 0, warmUp >= 0 else {
            throw ValidationError("--count and --budget must be above 0, and --warm-up at least 0.")
        }
    }

    func perform(_ console: Console) async throws -> ExitCode {
        let node = global.node
        let bytesMax = try await node.limits().moduleBytesMax
        let bytes = try module.map { try LocalFile.read($0, bytesMax: bytesMax) }
        let cid = try await node.add(bytes ?? BenchJobs.emptyModule).cid
        let issuer = try await at.did(node)
        var (tokens, credit) = ([BenchReport.Run](), [BenchReport.Run]())
        // In turn, so that what the machine does besides hits both.
        for number in 0..<(warmUp + count) {
            let pair = (
                try await BenchJobs.runOne(cid, nil, node),
                try await BenchJobs.runOne(cid, nil, node, paidBy: (issuer, UInt64(budget)))
            )
            guard number >= warmUp else { continue }
            tokens.append(pair.0)
            credit.append(pair.1)
        }
        let report = CreditBenchReport(tokens: tokens, credit: credit)
        if global.json { try console.json(report) } else { console.out(report.text) }
        return ExitCode(report.exitCode)
    }
}

/// What `mesh bench credit` measured.
struct CreditBenchReport: Encodable {
    /// The jobs that cost tokens.
    let tokens: BenchReport
    /// Those that an issuer's credit paid.
    let credit: BenchReport

    init(tokens: [BenchReport.Run], credit: [BenchReport.Run]) {
        func report(_ runs: [BenchReport.Run]) -> BenchReport {
            BenchReport(
                runs: runs, count: runs.count, inFlight: 1, elapsed: runs.reduce(.zero) { $0 + $1.ended })
        }
        (self.tokens, self.credit) = (report(tokens), report(credit))
    }

    /// How much longer the median job takes by credit, in milliseconds.
    var addedP50Milliseconds: Double { credit.p50Milliseconds - tokens.p50Milliseconds }

    /// The exit code: that of `mesh run` for the first job that failed.
    var exitCode: Int32 { tokens.exitCode == 0 ? credit.exitCode : tokens.exitCode }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(tokens, forKey: .tokens)
        try container.encode(credit, forKey: .credit)
        try container.encode(addedP50Milliseconds, forKey: .added)
    }

    private enum CodingKeys: String, CodingKey {
        case tokens, credit
        case added = "added_p50_ms"
    }

    /// The figures for people.
    var text: String {
        func line(_ report: BenchReport) -> String {
            let times = [report.p50Milliseconds, report.p95Milliseconds, report.p99Milliseconds].map(BenchReport.tenths)
            return "p50 \(times[0]) ms, p95 \(times[1]) ms, p99 \(times[2]) ms; \(report.verified) of \(report.count)"
                + " verified"
        }
        let sign = addedP50Milliseconds < 0 ? "-" : ""
        var facts = [
            ("tokens", line(tokens)), ("credit", line(credit)),
            ("a hold adds", "\(sign)\(BenchReport.tenths(abs(addedP50Milliseconds))) ms p50"),
        ]
        if let failure = tokens.firstFailure ?? credit.firstFailure { facts.append(("first failure", failure)) }
        return Table.facts(facts)
    }
}
