import ArgumentParser
import Foundation
import MeshHTTP
import Multiformats
import NodeAPI
import Receipts
import Workflows

/// `mesh receipt`: shows, verifies, replays and exports receipts.
struct Receipt: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show, verify, replay or export receipts, from here, from the mesh or from a file.",
        subcommands: [Show.self, Verify.self, Replay.self, Export.self])

    /// `mesh receipt show`.
    struct Show: MeshCommand {
        static let configuration = CommandConfiguration(abstract: "Show what receipts state.")

        @OptionGroup var global: GlobalOptions

        @Argument(help: ArgumentHelp(ReceiptReference.help, valueName: "receipt"), completion: .file())
        var receipts: [String]

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            let named = try await ReceiptReferences(node: node, isOffline: false).resolve(receipts)
            var answers = Answers<ShownReceipt>(
                console: console, global: global, arguments: receipts, count: named.count
            ) { $0.text(width: Receipt.width) }
            for receipt in named {
                try await answers.add(receipt) { () throws(NodeServiceError) in
                    try await ShownReceipt.of(receipt, node)
                }
            }
            return try answers.end { _ in .success }
        }
    }

    /// `mesh receipt verify`.
    struct Verify: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check everything that receipts claim, each from its CID or its file alone.",
            discussion: """
                What is in a file is checked without a node; what the file lacks is asked of the node, except with \
                --offline. Exit code 241: a check failed. 247: none failed, but some could not be made. With --json, \
                one receipt is an object; several, or -, are a list.

                The receipt of a workflow is checked with its plan and the receipts of all its jobs, whose outputs \
                are not fetched for that.

                What a valid receipt means: \(VerificationReport.doesNotShow)
                """)

        @OptionGroup var global: GlobalOptions

        @Flag(help: "Read only files, and ask no node; neither a node nor a home folder is needed.")
        var offline = false

        @Argument(help: ArgumentHelp(ReceiptReference.help, valueName: "receipt"), completion: .file())
        var receipts: [String]

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            let named = try await ReceiptReferences(node: node, isOffline: offline).resolve(receipts)
            var answers = Answers<ReceiptReport>(
                console: console, global: global, arguments: receipts, count: named.count
            ) { Receipt.text($0, width: Receipt.width) }
            for receipt in named {
                try await answers.add(receipt) { () throws(NodeServiceError) in
                    guard case .filed(let cid, let archive, _) = receipt else {
                        return try await node.verifyReceipt(receipt.cid)
                    }
                    let report = ReceiptReport(verified: WorkflowArchive.verify(cid, in: archive))
                    guard !offline, Receipt.status(report) == .verificationIncomplete else { return report }
                    return (try? await node.verifyReceipt(cid)) ?? report
                }
            }
            return try answers.end(Receipt.status)
        }
    }

    /// `mesh receipt replay`.
    struct Replay: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run the jobs of receipts again here, and compare outputs and fuel.",
            discussion: """
                A receipt has to verify before its job is run again. Exit code 241: something differed. 247: nothing \
                differed, but something could not be compared, such as the fuel of another engine.

                Of a workflow every job is run again, one after the other.

                A run that was cancelled, or that its wall clock stopped, has no end to compare. It is repeated with \
                the fuel that its receipt claims: if the module ends before that is used up, the claim is too high, \
                and the exit code is 241. That may take up to four times the job's timeout; then it is 247.
                """)

        @OptionGroup var global: GlobalOptions

        @Argument(help: ArgumentHelp(ReceiptReference.help, valueName: "receipt"), completion: .file())
        var receipts: [String]

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            let named = try await ReceiptReferences(node: node, isOffline: false).resolve(receipts)
            var answers = Answers<ReceiptReport>(
                console: console, global: global, arguments: receipts, count: named.count
            ) { Receipt.text($0, width: Receipt.width, isReplay: true) }
            for receipt in named {
                try await answers.add(receipt) { () throws(NodeServiceError) in
                    try await node.replayReceipt(receipt.cid)
                }
            }
            return try answers.end(Receipt.status)
        }
    }

    /// The columns to fit into; nil where standard output is no terminal.
    static var width: Int? { isatty(STDOUT_FILENO) == 1 ? Terminal.columns(STDOUT_FILENO) : nil }

    /// The exit code of a report.
    static func status(_ report: ReceiptReport) -> ExitStatus {
        if report.isValid { return .success }
        return failures(report) > 0 ? .verificationFailed : .verificationIncomplete
    }

    private static func failures(_ report: ReceiptReport) -> Int { report.lines.count { $0.verdict == .failed } }

    /// The lines of a report, a mark before each and a verdict below.
    static func text(_ report: ReceiptReport, width: Int? = nil, isReplay: Bool = false) -> String {
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
        let head = fitted("receipt \(report.receiptCID)", width) + "\n"
        let verdict = isReplay ? comparison(report) : verdict(report)
        let anchored = report.anchored.map { entry in
            "It is anchored here as entry \(Readable.count(entry.number)), since \(Readable.date(entry.recordedAt)); "
                + "\(DAGGroup.witnesses(of: entry))mesh dag prove \(report.receiptCID) proves that."
        }
        let below = [verdict, anchored, report.doesNotShow].compactMap(\.self).map { fitted($0, width) }
        return head + table.text + "\n" + below.joined()
    }

    /// A sentence, on as many lines as it needs.
    private static func fitted(_ sentence: String, _ width: Int?) -> String {
        let safe = Terminal.safe(sentence)
        let lines = width.map { TextLayout.lines(of: safe, columns: $0) } ?? [safe]
        return lines.map { $0 + "\n" }.joined()
    }

    private static func verdict(_ report: ReceiptReport) -> String {
        let skipped = report.lines.count { $0.verdict == .skipped }
        if report.isValid {
            if skipped == 0 { return "The receipt holds." }
            let rest = skipped == 1 ? "1 check was" : "\(skipped) checks were"
            return "The receipt holds; \(rest) skipped, on which it does not depend."
        }
        let failed = failures(report)
        if failed > 0 { return "The receipt does not hold: \(failed) of its checks failed." }
        return "Nothing speaks against the receipt, but \(skipped) of its checks could not be made."
    }

    /// What running the job again showed: what was the same, what differed, and what could not be compared.
    private static func comparison(_ report: ReceiptReport) -> String {
        guard let claim = report.lines.first(where: { $0.name == ReplayComparison.noEarlierEnd }) else {
            return differences(report)
        }
        switch claim.verdict {
        case .failed:
            return "The claim is too high: repeated here, the module ended by itself before it used the fuel that its "
                + "executor claims for a run cut short. " + differences(report)
        case .skipped: return "Whether the claim is too high is not known; the lines above say why."
        case .passed:
            return "The module had not ended here either before it used the fuel that the receipt claims. "
                + differences(report)
        }
    }

    private static func differences(_ report: ReceiptReport) -> String {
        func things(_ verdict: ReceiptReport.Line.Verdict) -> [String] {
            let names = report.lines.filter { $0.verdict == verdict }.map(\.name)
            return names.filter { $0.hasPrefix("same ") }.map { String($0.dropFirst("same ".count)) }
        }
        func list(_ words: [String]) -> String {
            guard let last = words.last, words.count > 1 else { return words.first ?? "nothing" }
            return words.dropLast().joined(separator: ", ") + " and " + last
        }
        let (same, others) = (things(.passed).filter { $0 != "engine" }, things(.failed))
        let left = things(.skipped).filter { $0 != "engine" }
        let rest = left.isEmpty ? "" : " There was no comparing of the \(list(left)); the lines above say why."
        guard others.isEmpty else {
            return "The run was repeated here, and it differed: not the same \(list(others)). The same: "
                + "\(list(same)).\(rest)"
        }
        if report.lines.isEmpty { return "Nothing was run again: no receipt of a run is here." }
        if same.isEmpty { return "The run was repeated here, but there is nothing to compare.\(rest)" }
        return "The run was repeated here, with the same \(list(same)) as the receipt says.\(rest)"
    }

    /// The most columns of a name in the facts of a receipt.
    private static let nameColumnsMax = 256

    /// The facts of a receipt.
    static func text(_ receipt: ReceiptView, width: Int? = nil) -> String {
        var facts: [(name: String, value: String)] = [
            ("receipt", receipt.receiptCID), ("job", receipt.jobID), ("assignment", receipt.assignmentCID),
            ("attempt", String(receipt.attempt)), ("originator", receipt.originatorDID),
            ("executor", receipt.executorDID), ("status", JobWords.status(receipt.status)),
            ("outcome", receipt.outcome),
            ("module", receipt.moduleCID),
        ]
        // A receipt may be shown before it is checked: one endless name would pad every line.
        func name(_ text: String) -> String { TextLayout.cut(Terminal.safe(text), to: nameColumnsMax) }
        facts += receipt.inputs.map { ("input \(name($0.name))", $0.cid) }
        if let files = receipt.files { facts += JobFileText.facts(files) }
        facts += receipt.outputs.map { ("output \(name($0.name))", $0.cid) }
        let streams = [
            ("stdout", receipt.stdoutCID), ("stderr", receipt.stderrCID), ("log", receipt.logCID),
            ("read", receipt.readCID), ("transcript", receipt.transcriptCID),
        ]
        facts += streams.compactMap { name, cid in cid.map { (name, $0) } }
        let length = receipt.endedAt > receipt.startedAt ? receipt.endedAt - receipt.startedAt : 0
        facts += [
            ("fuel", "\(Readable.count(receipt.fuel)) (\(Readable.fuel(receipt.fuel)))"),
            ("peak memory", Readable.bytes(receipt.peakMemoryBytes)),
            ("ran", Readable.duration(milliseconds: receipt.wallMilliseconds)),
            ("price", Readable.tokens(receipt.price)), ("engine", receipt.engine),
            (
                "determinism",
                receipt.determinism + (receipt.transcriptCID == nil ? "" : ", repeatable with its transcript")
            ),
            ("executed", "\(Readable.date(receipt.startedAt)), within \(Readable.duration(milliseconds: length))"),
        ]
        if let previous = receipt.previousReceiptCID { facts.append(("previous", previous)) }
        facts.append(("had from", receipt.source))
        return Table.facts(facts, columns: width ?? .max)
    }
}
