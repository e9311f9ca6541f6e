import ArgumentParser
import Foundation
import MeshHTTP
import NodeAPI

/// `mesh receipt`: shows, verifies and replays receipts.
struct Receipt: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show, verify or replay a receipt, here or from the mesh.",
        subcommands: [Show.self, Verify.self, Replay.self])

    /// `mesh receipt show`.
    struct Show: MeshCommand {
        static let configuration = CommandConfiguration(abstract: "Show what a receipt states.")

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The receipt's CID.")
        var cid: String

        func perform(_ console: Console) async throws -> ExitCode {
            let receipt = try await global.node.receipt(JobReference.cid(cid))
            if global.json {
                try console.json(receipt)
            } else {
                console.out(Receipt.text(receipt))
            }
            return .success
        }
    }

    /// `mesh receipt verify`.
    struct Verify: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check everything that a receipt claims, from its CID alone.")

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The receipt's CID.")
        var cid: String

        func perform(_ console: Console) async throws -> ExitCode {
            try Receipt.show(await global.node.verifyReceipt(JobReference.cid(cid)), console, json: global.json)
        }
    }

    /// `mesh receipt replay`.
    struct Replay: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run the receipt's job again here, and compare outputs and fuel.")

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The receipt's CID.")
        var cid: String

        func perform(_ console: Console) async throws -> ExitCode {
            try Receipt.show(await global.node.replayReceipt(JobReference.cid(cid)), console, json: global.json)
        }
    }

    /// Prints a report; the exit code says whether it is valid.
    static func show(_ report: ReceiptReport, _ console: Console, json: Bool) throws -> ExitCode {
        if json {
            try console.json(report)
        } else {
            console.out(text(report))
        }
        if report.isValid { return .success }
        let status = failures(report) > 0 ? ExitStatus.verificationFailed : .verificationIncomplete
        return ExitCode(status.rawValue)
    }

    private static func failures(_ report: ReceiptReport) -> Int { report.lines.count { $0.verdict == .failed } }

    /// The lines of a report, a mark before each and a verdict below.
    static func text(_ report: ReceiptReport) -> String {
        var table = Table([("", .left), ("CHECK", .left), ("FOUND", .left)])
        for line in report.lines {
            let mark =
                switch line.verdict {
                case .passed: "ok"
                case .failed: "FAILED"
                case .skipped: "skipped"
                }
            table.add([mark, line.name, line.detail])
        }
        return table.text + "\n" + verdict(report) + "\n"
    }

    private static func verdict(_ report: ReceiptReport) -> String {
        if report.isValid { return "The receipt holds." }
        let failed = failures(report)
        if failed > 0 { return "The receipt does not hold: \(failed) of its checks failed." }
        let skipped = report.lines.count { $0.verdict == .skipped }
        return "Nothing speaks against the receipt, but \(skipped) of its checks could not be made."
    }

    /// The facts of a receipt.
    static func text(_ receipt: ReceiptView) -> String {
        var facts: [(name: String, value: String)] = [
            ("receipt", receipt.receiptCID), ("job", receipt.jobID), ("assignment", receipt.assignmentCID),
            ("attempt", String(receipt.attempt)), ("originator", receipt.originatorDID),
            ("executor", receipt.executorDID), ("status", receipt.status), ("outcome", receipt.outcome),
            ("module", receipt.moduleCID),
        ]
        facts += receipt.inputs.map { ("input \(Terminal.safe($0.name))", $0.text) }
        facts += receipt.outputs.map { ("output \(Terminal.safe($0.name))", $0.text) }
        let streams = [("stdout", receipt.stdoutCID), ("stderr", receipt.stderrCID), ("log", receipt.logCID)]
        facts += streams.compactMap { name, cid in cid.map { (name, $0) } }
        let length = receipt.endedAt > receipt.startedAt ? receipt.endedAt - receipt.startedAt : 0
        facts += [
            ("fuel", "\(Readable.count(receipt.fuel)) (\(Readable.fuel(receipt.fuel)))"),
            ("peak memory", Readable.bytes(receipt.peakMemoryBytes)),
            ("ran", Readable.duration(milliseconds: receipt.wallMilliseconds)),
            ("price", Readable.tokens(receipt.price)), ("engine", receipt.engine),
            ("determinism", receipt.determinism),
            ("executed", "\(Readable.date(receipt.startedAt)), within \(Readable.duration(milliseconds: length))"),
        ]
        if let previous = receipt.previousReceiptCID { facts.append(("previous", previous)) }
        facts.append(("had from", receipt.source))
        return Table.facts(facts)
    }
}
