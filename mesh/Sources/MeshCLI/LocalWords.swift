import Foundation
import NodeAPI

/// What a run with `--local` says of itself: it knows no executors, no journal, and no settings but those of a home
/// folder that is there.
struct LocalWords: Hashable {
    /// The configuration whose limits the run has; nil if there is none, so that the standard ones hold.
    let configuration: String?

    /// The end of the run, in its own words; who could have run it, which says nothing here, stays for the exit code.
    func of(_ result: JobResult) -> JobResult {
        var result = result
        if let limit = Self.timeout(in: result.detail) {
            (result.ending, result.limit, result.detail, result.hint) = (.limitExceeded, "wall_clock", limit, nil)
            return result
        }
        switch result.ending {
        case .noBids, .noAcceptableBid:
            let reasons = result.executors?.reasons ?? []
            result.detail =
                reasons.isEmpty
                ? "this machine did not take it" : reasons.map(refusal).joined(separator: "; ")
            result.hint = reasons.lazy.compactMap { $0.advice.flatMap(hint) }.first ?? "Run it again."
        case .executorsFailed, .fetchFailed:
            result.detail = Self.plain(result.detail)
            result.hint =
                result.detail.hasPrefix("the engine crashed: ")
                ? "Run it again; if it crashes again, the module shows a flaw of the engine." : "Run it again."
        default:
            result.hint = result.hint.flatMap(hint)
        }
        return result
    }

    /// A failure before the run, in its own words.
    func of(_ error: NodeServiceError) -> NodeServiceError {
        var error = error
        error.message = error.message.replacing("this node", with: "a run here")
        error.hint = error.hint.flatMap(hint)
        return error
    }

    /// Advice without what is not there: settings of no configuration, and a node that could be started again.
    func hint(_ advice: String) -> String? {
        guard advice.contains("config.json") else { return advice }
        guard let configuration else {
            for verb in [", or raise ", ", or set ", ", or extend "] {
                if let end = advice.firstRange(of: verb) { return advice[..<end.lowerBound] + "." }
            }
            return nil
        }
        return
            advice.replacing(" and restart the node", with: "").replacing(" and restart it", with: "")
            .replacing("this node's config.json", with: "config.json")
            .replacing(" here and on the executors, and restart them", with: "")
            .replacing("config.json", with: configuration)
    }

    /// What the run may not have, without the name of a setting.
    private func refusal(_ reason: ExecutorsView.Reason) -> String {
        var text = reason.text
        if let setting = reason.setting, let end = text.firstRange(of: " (\(setting) ") {
            text = String(text[..<end.lowerBound])
        }
        return text.replacing("its limit of ", with: "the limit of a run here, ")
            .replacing("its offer of ", with: "what a run here may have, ")
    }

    /// What is said of a busy machine that gave the run too little of its time; nil of anything else.
    private static func timeout(in detail: String) -> String? {
        let told = plain(detail)
        let begin = "the run had the processor for "
        guard told.hasPrefix(begin) else { return nil }
        return "its time was over, and this machine, which is busy, gave it the processor for "
            + told.dropFirst(begin.count)
    }

    /// The reason alone, without attempts and executors.
    private static func plain(_ detail: String) -> String {
        var text = detail[...]
        for begin in ["gave no result; at last ", "the executor failed: "] {
            if let found = text.firstRange(of: begin) { text = text[found.upperBound...] }
        }
        return String(text).replacing("the executor", with: "this machine")
    }
}
