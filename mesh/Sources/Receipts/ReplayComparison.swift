package import MeshTypes
package import Multiformats
import SignedObjects

/// The result of running a job again.
package struct ReplayedRun: Hashable, Sendable {
    /// How it ended.
    package var outcome: ExecutionOutcome
    /// Named outputs.
    package var outputs: CanonicalMap<CID>
    /// Standard output.
    package var stdoutCID: CID?
    /// Standard error.
    package var stderrCID: CID?
    /// The log.
    package var logCID: CID?
    /// What it read of the job's files.
    package var readCID: CID?
    /// The fuel that it used.
    package var fuel: UInt64
    /// Blocks that it anchored.
    package var anchoredCIDs: [CID] = []
    /// The engine that ran it.
    package var engine: EngineDescription
    /// Engines of earlier releases that give the same results and the same fuel, except where a run uses up the stack.
    package var likeEngines: [EngineDescription]

    package init(
        outcome: ExecutionOutcome, outputs: CanonicalMap<CID>, stdoutCID: CID?, stderrCID: CID?, logCID: CID?,
        fuel: UInt64, engine: EngineDescription, likeEngines: [EngineDescription] = []
    ) {
        self.outcome = outcome
        self.outputs = outputs
        self.stdoutCID = stdoutCID
        self.stderrCID = stderrCID
        self.logCID = logCID
        self.fuel = fuel
        self.engine = engine
        self.likeEngines = likeEngines
    }

    /// Whether an engine gives the same results and the same fuel as this run's, except where a run uses up the stack.
    func isLike(_ other: EngineDescription) -> Bool {
        engine.hasSameProfile(as: other) || likeEngines.contains { $0.hasSameProfile(as: other) }
    }
}

/// Compares a receipt with a second run of its job: a deterministic job gives the same outputs and the same fuel
/// anywhere.
///
/// Another engine, version or configuration may count fuel differently and, at a limit, stop elsewhere; then only
/// outputs can be compared. After a run that used up the stack of another engine, or of the same one for another
/// processor, nothing can; nor after one that refused the module, which another engine may run.
///
/// A run that the clock or an order stopped is repeated with the fuel that its receipt claims (`CutShortReplay`).
package enum ReplayComparison {
    /// What is compared, in the order of a report.
    package enum Check: String, Hashable, Sendable, CaseIterable {
        /// The receipt says that anybody can reproduce the run.
        case determinism
        /// Both ran on the same engine.
        case engine
        /// Exit code, trap or limit; not of a run that was cut short.
        case outcome
        /// Names and CIDs of the outputs.
        case outputs
        /// Standard output.
        case stdout
        /// Standard error.
        case stderr
        /// The log.
        case log
        /// What was read of the job's files.
        case read
        /// The fuel, to the unit; of a run that was cut short, that it cannot have ended before.
        case fuel

        /// What is compared of a run that came to an end of its own, in a few words for people.
        var title: String {
            switch self {
            case .determinism: "run is reproducible"
            case .engine: "same engine"
            case .outcome: "same outcome"
            case .outputs: "same outputs"
            case .stdout: "same standard output"
            case .stderr: "same standard error"
            case .log: "same log"
            case .read: "same files read"
            case .fuel: "same fuel"
            }
        }
    }

    private typealias Finding = (result: VerificationReport.Result, detail: String)

    /// What is compared of the fuel of a run that was cut short, in a few words for people.
    package static let noEarlierEnd = "no earlier end"

    /// A line per comparison.
    ///
    /// - Parameters:
    ///   - manifest: the receipt's job.
    ///   - terms: what was agreed on it.
    ///   - replay: the second run; of a run that was cut short, one that had the receipt's fuel and no more.
    ///   - playsTranscript: whether it played the receipt's transcript.
    package static func compare(
        _ receipt: ExecutionReceipt, receiptCID: CID, of manifest: JobManifest, under terms: BidTerms,
        with replay: ReplayedRun, playsTranscript: Bool = false
    ) -> VerificationReport {
        let cutShort = CutShortReplay(
            receipt, of: manifest, under: terms, with: replay, playsTranscript: playsTranscript)
        let obstacle =
            obstacle(receipt, playsTranscript: playsTranscript) ?? obstacle(receipt, replay) ?? cutShort?.obstacle
        let checks = Check.allCases.filter { $0 != .outcome || cutShort == nil }
        let lines = checks.map { check in
            var finding = finding(check, receipt, replay)
            if check == .determinism { finding = reproducible(receipt, playsTranscript) }
            if let cutShort { finding = cutShort.finding(check, otherwise: finding, outputs: outputs) }
            if let obstacle, check != .determinism && check != .engine { finding = (.notCheckable, obstacle) }
            return VerificationReport.Line(
                code: "replay_\(check.rawValue)",
                title: check == .fuel && cutShort != nil ? noEarlierEnd : check.title,
                result: finding.result, detail: finding.detail)
        }
        return VerificationReport(receiptCID: receiptCID, lines: lines)
    }

    /// Why a receipt cannot be reproduced at all; `nil` when it can.
    ///
    /// - Parameter playsTranscript: whether the second run plays the receipt's transcript.
    package static func obstacle(_ receipt: ExecutionReceipt, playsTranscript: Bool = false) -> String? {
        if receipt.determinism != .deterministic, !(playsTranscript && receipt.transcriptCID != nil) {
            return "the receipt is attested, not deterministic"
        }
        switch receipt.outcome {
        case .exited, .trapped, .moduleRefused, .filesRefused, .limitExceeded, .cancelled: return nil
        case .fetchFailed, .nodeFailed: return "the module did not run to an end of its own"
        }
    }

    /// Why a receipt cannot be compared with this run.
    private static func obstacle(_ receipt: ExecutionReceipt, _ replay: ReplayedRun) -> String? {
        let usedUpStack = [receipt.outcome, replay.outcome].contains(.limitExceeded(.stack))
        if usedUpStack, receipt.engine != replay.engine { return "where the stack ends depends on the engine" }
        if !receipt.engine.hasSameProfile(as: replay.engine), isRefusal(receipt.outcome) != isRefusal(replay.outcome) {
            return "what an engine refuses depends on its release"
        }
        return nil
    }

    private static func isRefusal(_ outcome: ExecutionOutcome) -> Bool {
        if case .moduleRefused = outcome { true } else { false }
    }

    private static func finding(_ check: Check, _ receipt: ExecutionReceipt, _ replay: ReplayedRun) -> Finding {
        switch check {
        case .determinism: return reproducible(receipt, false)
        case .engine:
            let (theirs, ours) = (name(receipt.engine), name(replay.engine))
            if receipt.engine == replay.engine { return (.passed, ours) }
            if replay.isLike(receipt.engine) {
                return (.passed, "\(ours), which gives what \(theirs) gave")
            }
            return (.notCheckable, "the receipt's run was on \(theirs), this one on \(ours)")
        case .outcome:
            let (theirs, ours) = (outcome(receipt.outcome), outcome(replay.outcome))
            return isSame(receipt.outcome, replay.outcome)
                ? (.passed, ours) : (.failed, "the receipt says that \(theirs); here \(ours)")
        case .outputs: return outputs(receipt.outputs, replay.outputs)
        case .stdout: return stream(receipt.stdoutCID, replay.stdoutCID)
        case .stderr: return stream(receipt.stderrCID, replay.stderrCID)
        case .log: return stream(receipt.logCID, replay.logCID)
        case .read:
            if receipt.readCID == nil, replay.readCID == nil { return (.passed, "the job has no files") }
            return stream(receipt.readCID, replay.readCID)
        case .fuel: return fuel(receipt, replay)
        }
    }

    private static func reproducible(_ receipt: ExecutionReceipt, _ playsTranscript: Bool) -> Finding {
        if let obstacle = obstacle(receipt, playsTranscript: playsTranscript) { return (.notCheckable, obstacle) }
        if receipt.determinism == .deterministic { return (.passed, "the job is deterministic") }
        return (.passed, "attested, and its transcript says what the user did")
    }

    private static func fuel(_ receipt: ExecutionReceipt, _ replay: ReplayedRun) -> Finding {
        let (theirs, ours) = (GroupedNumber.of(receipt.resourceUsage.fuel), GroupedNumber.of(replay.fuel))
        if theirs == ours { return (.passed, "\(theirs) fuel") }
        if !replay.isLike(receipt.engine) {
            return (.notCheckable, "\(theirs) there, \(ours) here, on another engine")
        }
        return (.failed, "the receipt says \(theirs), here it was \(ours)")
    }

    private static func outputs(_ theirs: CanonicalMap<CID>, _ ours: CanonicalMap<CID>) -> Finding {
        if theirs == ours { return (.passed, "\(theirs.count) named output\(theirs.count == 1 ? "" : "s")") }
        let names = (theirs.keys + ours.keys).filter { theirs[$0] != ours[$0] }
        let name = PlainText.sanitized(names.first ?? "", bytesMax: 60)
        let there = theirs[names.first ?? ""]?.text ?? "nothing"
        let here = ours[names.first ?? ""]?.text ?? "nothing"
        return (.failed, "\"\(name)\" is \(there) in the receipt and \(here) here")
    }

    private static func stream(_ theirs: CID?, _ ours: CID?) -> Finding {
        let (there, here) = (theirs?.text ?? "nothing", ours?.text ?? "nothing")
        return theirs == ours ? (.passed, here) : (.failed, "\(there) in the receipt and \(here) here")
    }

    /// Messages are for people and may change with the engine; only the kind of a trap counts.
    private static func isSame(_ left: ExecutionOutcome, _ right: ExecutionOutcome) -> Bool {
        switch (left, right) {
        case (.trapped(let leftKind, _), .trapped(let rightKind, _)): leftKind == rightKind
        case (.moduleRefused, .moduleRefused), (.filesRefused, .filesRefused): true
        default: left == right
        }
    }

    private static func outcome(_ outcome: ExecutionOutcome) -> String {
        PlainText.sanitized(outcome.description)
    }

    private static func name(_ engine: EngineDescription) -> String {
        let digest = PlainText.sanitized(engine.configurationDigest, bytesMax: 12)
        let processor = engine.processorBaseline.map { ", " + PlainText.sanitized($0, bytesMax: 20) } ?? ""
        return PlainText.sanitized(engine.name, bytesMax: 40) + " " + PlainText.sanitized(engine.version, bytesMax: 40)
            + " (\(digest)\(processor))"
    }
}
