package import MeshTypes
package import Multiformats

/// What this node found when it checked what a receipt says.
package enum ReplayFinding: Hashable, Sendable, Codable {
    /// Its run was made again, and gave the same.
    case confirmed
    /// The same, on an engine whose fuel cannot be compared; here the run used this much.
    case fuelUnknown(fuel: UInt64)
    /// Its run was made again with this much fuel at most, and gave something else.
    case refuted(ReplayedResult, fuelMax: UInt64, reason: String)
    /// A look, or a run that shows nothing to anybody else, shows that its claim is not so.
    case claimRefuted(reason: String)
    /// Nothing proves it wrong, and nothing bears it out.
    case doubtful(reason: String)
    /// This node could not check it.
    case notMade(reason: String)
}

/// Judges a receipt by a second run of its job.
///
/// A result counts as confirmed only where everything that decides what it is worth could be compared. A difference
/// between equal engines proves fraud; one between others may be the engines', and proves nothing.
package struct ReplayJudgement: Sendable {
    /// The bounds of a replay.
    package struct Limits: Sendable {
        /// Fuel that a replay may use beyond what the receipt claims: a run that needs more is not the one it claims.
        package var fuelBeyondClaim: UInt64 = 100_000
        /// How much faster than its executor this node has to get to the point at which the clock is said to have
        /// stopped a run, before that is not believed.
        package var slownessMax: UInt64 = 8
        /// The shortest run of which this node compares the pace, in milliseconds.
        package var paceMillisecondsMin: UInt64 = 1_000

        /// The standard bounds.
        package init() {}
    }

    private let receipt: ExecutionReceipt
    private let manifest: JobManifest
    private let terms: BidTerms
    private let limits: Limits

    package init(
        _ receipt: ExecutionReceipt, of manifest: JobManifest, under terms: BidTerms, limits: Limits = Limits()
    ) {
        self.receipt = receipt
        self.manifest = manifest
        self.terms = terms
        self.limits = limits
    }

    /// The most fuel of the second run, so that it costs no more than what is to be paid for.
    ///
    /// - Parameter isAlike: whether the receipt's engine counts fuel as this node's does; else its claim says nothing
    ///   about the fuel here.
    package func fuelMax(isAlike: Bool) -> UInt64 {
        if receipt.outcome.isCutShort { return receipt.resourceUsage.fuel }
        guard isAlike else { return manifest.params.maxFuel }
        let (sum, overflow) = receipt.resourceUsage.fuel.addingReportingOverflow(limits.fuelBeyondClaim)
        return min(manifest.params.maxFuel, overflow ? .max : sum)
    }

    /// What the second run shows.
    ///
    /// - Parameters:
    ///   - replay: the second run, which had `fuelMax`.
    ///   - milliseconds: how long it took.
    ///   - isClockEarly: whether the receipt says that the clock stopped the run, before its time can have been over.
    package func finding(
        of replay: ReplayedRun, receiptCID: CID, fuelMax: UInt64, milliseconds: UInt64, isClockEarly: Bool = false
    ) -> ReplayFinding {
        switch replay.outcome {
        case .nodeFailed(let reason), .fetchFailed(let reason): return .notMade(reason: reason)
        case .cancelled: return .notMade(reason: "the replay was stopped")
        // Also while files were collected: this machine may be slower, which proves nothing.
        case .limitExceeded(.wallClock) where receipt.outcome != .limitExceeded(.wallClock):
            return .notMade(reason: "the replay ran out of time on this machine")
        default: break
        }
        let report = ReplayComparison.compare(
            receipt, receiptCID: receiptCID, of: manifest, under: terms, with: replay)
        let isAlike = replay.isLike(receipt.engine)
        if let failed = report.failures.first {
            let reason = "\(failed.title): \(failed.detail)"
            guard isAlike else { return .doubtful(reason: "\(reason), on another engine") }
            return .refuted(replay.result, fuelMax: fuelMax, reason: reason)
        }
        if isAlike, !receipt.outcome.isCutShort, replay.anchoredCIDs != receipt.anchoredCIDs {
            return .refuted(replay.result, fuelMax: fuelMax, reason: "same anchored CIDs: those here are others")
        }
        let unknown = report.lines.filter { $0.result == .notCheckable && !isBearable($0, isAlike: isAlike) }
        if let first = unknown.first { return .doubtful(reason: "\(first.title): \(first.detail)") }
        if isClockEarly, let fault = earlyClockFault(replay) { return fault }
        if let doubt = paceDoubt(replay, milliseconds) { return .doubtful(reason: doubt) }
        return isAlike ? .confirmed : .fuelUnknown(fuel: replay.fuel)
    }

    /// Whether a comparison that could not be made leaves nothing open that matters: the engine's name, the fuel of
    /// another one, which is not paid by its claim, and what a run that was cut short wrote after its claim ended.
    private func isBearable(_ line: VerificationReport.Line, isAlike: Bool) -> Bool {
        switch line.code {
        case "replay_engine": true
        case "replay_fuel": !isAlike && !receipt.outcome.isCutShort
        case "replay_outputs", "replay_stdout", "replay_stderr", "replay_log", "replay_read":
            isAlike && receipt.outcome.isCutShort
        default: false
        }
    }

    /// What holds of a clock that stopped the run too early: a guest that slept past its time, or was long in having
    /// its files collected, comes to the same end here; one that goes on was not stopped there.
    private func earlyClockFault(_ replay: ReplayedRun) -> ReplayFinding? {
        guard replay.outcome == .limitExceeded(.fuel) else { return nil }
        let reason =
            "the receipt says that the \(manifest.params.timeoutSeconds) s of the job were over, they cannot have "
            + "been, and here the run went on"
        let milliseconds = receipt.executionEndedAt.milliseconds(since: receipt.executionStartedAt)
        // A claim that was cut down to its time does not say where the run was.
        let isCutDown = receipt.resourceUsage.fuel >= terms.claimMax(milliseconds: milliseconds)
        return isCutDown ? .doubtful(reason: reason) : .claimRefuted(reason: reason)
    }

    /// Why it is not believed that the clock stopped the run there; `nil` if it is.
    private func paceDoubt(_ replay: ReplayedRun, _ milliseconds: UInt64) -> String? {
        guard receipt.outcome == .limitExceeded(.wallClock), replay.outcome != .limitExceeded(.wallClock) else {
            return nil
        }
        let (timeout, overflow) = manifest.params.timeoutSeconds.multipliedReportingOverflow(by: 1_000)
        guard !overflow, timeout >= limits.paceMillisecondsMin, milliseconds < timeout / limits.slownessMax else {
            return nil
        }
        return "the receipt says that \(timeout) ms were over there, and this node was at the same point after "
            + "\(milliseconds) ms"
    }
}

extension ReplayedRun {
    /// The run, as a proof states it.
    package var result: ReplayedResult {
        ReplayedResult(
            outcome: outcome, outputs: outputs, stdoutCID: stdoutCID, stderrCID: stderrCID, logCID: logCID,
            readCID: readCID, anchoredCIDs: anchoredCIDs, fuel: fuel, engine: engine)
    }
}
