package import MeshTypes
import Multiformats
import SignedObjects

/// The check of the transcript of an interactive job: that the originator signed the input in it. It is made where the
/// transcript is at hand, since others than the two sides may not have it.
package enum TranscriptCheck {
    /// The line of a receipt's transcript; nil where the receipt names none.
    ///
    /// - Parameter block: the transcript's block, of its CID; nil if it is not at hand.
    package static func line(
        of receipt: ExecutionReceipt, _ manifest: JobManifest?, _ block: [UInt8]?
    ) -> VerificationReport.Line? {
        guard let cid = receipt.transcriptCID, let terms = manifest?.params.session, terms.transcript != nil else {
            return nil
        }
        guard let block, cid.matches(block) else {
            let whose = terms.transcript == .shared ? "" : "; it is private to the originator and the executor"
            return line(.notCheckable, "the transcript is not here\(whose)")
        }
        guard let transcript = SessionTranscript(block: block) else {
            return line(.failed, "the block is no transcript")
        }
        if let fault = transcript.fault(of: receipt, under: terms) { return line(.failed, "the transcript \(fault)") }
        let bytes = GroupedNumber.of(UInt64(transcript.input.count))
        let events = GroupedNumber.of(UInt64(transcript.events.count))
        return line(.passed, "\(bytes) bytes of input, signed by the originator, in \(events) events")
    }

    /// The line of a run that had to repeat a transcript.
    ///
    /// - Parameter strayed: where it was not what the transcript says, if it was not.
    package static func line(repeated strayed: String?) -> VerificationReport.Line {
        VerificationReport.Line(
            code: "replay_transcript", title: "same calls of its user", result: strayed == nil ? .passed : .failed,
            detail: strayed.map { "repeated here, the module \($0)" } ?? "every call, in the transcript's order")
    }

    private static func line(_ result: VerificationReport.Result, _ detail: String) -> VerificationReport.Line {
        VerificationReport.Line(
            code: "transcript", title: "transcript of its session", result: result, detail: detail, isNeeded: false)
    }
}
