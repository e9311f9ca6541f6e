import ArgumentParser
import Foundation
import Multiformats
import NodeAPI

/// The options that describe a job.
struct JobOptions: ParsableArguments {
    @Option(help: "Standard input from FILE; - means this command's own.", completion: .file())
    var stdin: String?

    @Option(name: .customLong("input"), help: "Input NAME from FILE, as NAME=FILE; may be given several times.")
    var inputs: [NamedPath] = []

    @Option(
        name: .customLong("arg"), parsing: .unconditionalSingleValue, help: "An argument; may be given several times.")
    var args: [String] = []

    @Option(help: "An environment variable, as NAME=VALUE; may be given several times.")
    var env: [NamedPath] = []

    @Option(help: "The function to call; by default _start.")
    var entry: String?

    @Option(help: "The most fuel, for example 5000000, 5M or 2G.")
    var maxFuel: Quantity?

    @Option(help: "The most memory in bytes, for example 64Mi.")
    var maxMemory: Quantity?

    @Option(help: "The most output in bytes, for example 1Mi.")
    var maxOutput: Quantity?

    @Option(help: "The most seconds of wall clock.")
    var timeout: UInt64?

    @Option(help: "The most tokens to pay.")
    var budget: UInt64?

    @Option(help: "The least reputation of an executor.")
    var minReputation: UInt64?

    @Option(help: "A region to run in; may be given several times.")
    var region: [String] = []

    @Option(help: "Milliseconds to wait for bids, at most 20000, because bids hold for 30 s.")
    var bidWindow: UInt64?

    @Option(
        help:
            "Acceptable bids that end the wait early, from whomever; by default three, if the best is of a known node.")
    var sufficientBids: UInt64?

    @Option(help: "What to call the job.")
    var label: String?

    @Option(help: "A key that makes submitting again harmless: the same key submits once.")
    var idempotencyKey: String?

    /// Refuses combinations that make no sense.
    func check() throws {
        let names = (stdin == nil ? [] : ["stdin"]) + inputs.map(\.name)
        guard Set(names).count == names.count else { throw ValidationError("Every input needs a name of its own.") }
        let fromStandardInput = (stdin == "-" ? 1 : 0) + inputs.count { $0.path == "-" }
        guard fromStandardInput <= 1 else { throw ValidationError("Only one input can come from standard input.") }
        if timeout == 0 { throw ValidationError("--timeout must be at least 1 second.") }
    }

    /// Adds module and inputs to the node and describes the job.
    func submission(
        module: String, arguments: [String], on node: some NodeService
    ) async throws -> JobSubmission {
        var submission = JobSubmission(moduleCID: try await Self.moduleCID(module, on: node))
        submission.entry = entry
        submission.args = args + arguments
        submission.env = env.map { NamedText(name: $0.name, text: $0.path) }
        if let stdin { submission.inputs.append(try await Self.input("stdin", stdin, on: node)) }
        for input in inputs { submission.inputs.append(try await Self.input(input.name, input.path, on: node)) }
        submission.limits = JobSubmission.Limits(
            timeoutSeconds: timeout, maxFuel: maxFuel?.value, maxMemoryBytes: maxMemory?.value,
            maxOutputBytes: maxOutput?.value)
        submission.budget = budget
        submission.policy = JobSubmission.Policy(
            minReputation: minReputation, regions: region.isEmpty ? nil : region, bidWindowMilliseconds: bidWindow,
            sufficientBids: sufficientBids)
        submission.label = label ?? (CID.isText(module) ? nil : URL(filePath: module).lastPathComponent)
        submission.idempotencyKey = idempotencyKey
        return submission
    }

    private static func moduleCID(_ module: String, on node: some NodeService) async throws -> String {
        if !FileManager.default.fileExists(atPath: module), CID.isText(module) { return module }
        return try await LocalFile.add(module, to: node).cid
    }

    private static func input(_ name: String, _ path: String, on node: some NodeService) async throws -> NamedText {
        NamedText(name: name, text: try await LocalFile.add(path, to: node).cid)
    }
}

extension CID {
    /// Whether a text is a CID.
    static func isText(_ text: String) -> Bool { (try? CID(parsing: text)) != nil }
}

/// `NAME=VALUE` on the command line.
struct NamedPath: ExpressibleByArgument, Hashable {
    let name: String
    let path: String

    init?(argument: String) {
        guard let equals = argument.firstIndex(of: "="), equals > argument.startIndex else { return nil }
        name = String(argument[..<equals])
        path = String(argument[argument.index(after: equals)...])
    }
}

/// A count with an optional multiplier: `5000`, `5k`, `2.5M`, `1G`, or `64Ki`, `1Mi`, `2Gi`.
struct Quantity: ExpressibleByArgument, Hashable {
    let value: UInt64

    init?(argument: String) {
        let units: [(suffix: String, factor: UInt64)] = [
            ("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000),
            ("T", 1_000_000_000_000),
        ]
        let unit = units.first { argument.hasSuffix($0.suffix) } ?? (suffix: "", factor: 1)
        let digits = argument.dropLast(unit.suffix.count)
        let parts = digits.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = parts.first.flatMap({ UInt64($0) }) else { return nil }
        var (total, overflow) = whole.multipliedReportingOverflow(by: unit.factor)
        if overflow { return nil }
        if parts.count == 2 {
            guard unit.factor > 1, parts[1].count <= 6, let fraction = UInt64(parts[1]) else { return nil }
            let scale = (0..<parts[1].count).reduce(UInt64(1)) { product, _ in product * 10 }
            let (sum, tooLarge) = total.addingReportingOverflow(fraction * unit.factor / scale)
            if tooLarge { return nil }
            total = sum
        }
        value = total
    }
}
