import MeshTypes
import Multiformats
import SignedObjects

/// Compares the receipt of a run that the clock or an order stopped with a repetition that had the claimed fuel and no
/// more.
///
/// Such a run has no end to compare, but its claim can be refuted. What a module does depends on its fuel alone, so a
/// repetition with that much is out of fuel where the first run was stopped; or it comes to the same end there, when
/// that was the module's last instruction or its sleep was too long. One that ends with less fuel left no run that
/// could be stopped so late. What the run wrote until then is the same to the byte, with these exceptions:
///
/// - A claim is cut down to what the bid promised for the time (`FuelPace`). The run may have gone on then, and may
///   have written more; what the repetition bound to a name, the receipt names, too.
/// - Collecting files takes time, which such a run may not have had: what was collected is compared, what was not is
///   not missed.
struct CutShortReplay {
    typealias Finding = (result: VerificationReport.Result, detail: String)

    private let receipt: ExecutionReceipt
    private let replay: ReplayedRun
    /// Names under which files are collected.
    private let collect: CanonicalMap<String>
    /// Whether the claim may be less than the run used.
    private let isCutDown: Bool
    /// Whether the repetition plays a transcript, which may end with the run.
    private let playsTranscript: Bool

    /// `nil` for a run that came to an end of its own.
    init?(
        _ receipt: ExecutionReceipt, of manifest: JobManifest, under terms: BidTerms, with replay: ReplayedRun,
        playsTranscript: Bool = false
    ) {
        guard receipt.outcome.isCutShort else { return nil }
        self.receipt = receipt
        self.playsTranscript = playsTranscript
        self.replay = replay
        collect = manifest.params.files?.collect ?? [:]
        let milliseconds = receipt.executionEndedAt.milliseconds(since: receipt.executionStartedAt)
        isCutDown =
            terms.fuelPerSecond != nil
            && receipt.resourceUsage.fuel >= terms.claimMax(milliseconds: milliseconds)
    }

    /// Why the two cannot be compared.
    var obstacle: String? {
        if !replay.isLike(receipt.engine) { return "what fuel stands for which place of a run depends on the engine" }
        switch replay.outcome {
        // Where the transcript ends.
        case .cancelled where playsTranscript: return nil
        case .nodeFailed, .fetchFailed, .cancelled:
            return "this node did not get as far: \(PlainText.sanitized(replay.outcome.description))"
        default: return nil
        }
    }

    /// What holds of one comparison, where it is another than that of runs with an end of their own.
    ///
    /// - Parameters:
    ///   - finding: what holds of these.
    ///   - outputs: compares named outputs.
    func finding(
        _ check: ReplayComparison.Check, otherwise finding: Finding,
        outputs: (CanonicalMap<CID>, CanonicalMap<CID>) -> Finding
    ) -> Finding {
        switch check {
        case .determinism, .engine, .outcome: finding
        case .outputs: self.outputs(outputs)
        case .stdout, .stderr, .log: stream(finding)
        case .read: read(finding)
        case .fuel: end
        }
    }

    /// Whether the run can have used what is claimed.
    private var end: Finding {
        let (theirs, ours) = (receipt.resourceUsage.fuel, replay.fuel)
        let claim = GroupedNumber.of(theirs)
        if ours >= theirs { return (.passed, "here it had not ended before the \(claim) fuel of the receipt, either") }
        return (
            .failed,
            "the receipt claims \(claim) fuel; here \(PlainText.sanitized(replay.outcome.description)) after "
                + GroupedNumber.of(ours)
        )
    }

    private func stream(_ same: Finding) -> Finding {
        guard isCutDown, same.result == .failed else { return same }
        return (.notCheckable, "\(Self.wentOn): \(same.detail)")
    }

    private static let wentOn = "the claim is the most that its time allows, so the run may have gone on after it"

    private func outputs(_ compare: (CanonicalMap<CID>, CanonicalMap<CID>) -> Finding) -> Finding {
        let (theirs, ours) = (receipt.outputs, replay.outputs)
        let found = compare(
            theirs.only { isDue($0) && (!isCutDown || ours[$0] != nil) },
            ours.only { isDue($0) && (collect[$0] == nil || theirs[$0] != nil) })
        guard found.result == .passed, isCutDown, theirs != ours else { return found }
        return (.notCheckable, Self.wentOn)
    }

    /// Whether an output is to be the same where both have it: files change as long as a run goes on.
    private func isDue(_ name: String) -> Bool { !isCutDown || collect[name] == nil }

    /// Collecting reads, too.
    private func read(_ same: Finding) -> Finding {
        guard same.result == .failed else { return same }
        if receipt.readCID == nil { return (.passed, "the receipt names no list") }
        guard !collect.isEmpty else { return stream(same) }
        return (.notCheckable, "the run may have had no time to collect its files: \(same.detail)")
    }
}

extension CanonicalMap {
    /// The entries with these keys.
    fileprivate func only(_ isIncluded: (String) -> Bool) -> CanonicalMap {
        CanonicalMap(filter { isIncluded($0.key) }.map { ($0.key, $0.value) })
    }
}
