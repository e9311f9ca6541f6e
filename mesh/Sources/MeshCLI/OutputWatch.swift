import Foundation
import Multiformats
import NodeAPI
import Synchronization

/// Shows what a job writes while it runs, as its executor sends it, and holds it against the receipt in the end.
final class OutputWatch: Sendable {
    /// How long a look at a job that runs waits for more, in milliseconds.
    static let lookMilliseconds: Int64 = 1_500

    private let node: any NodeService
    private let jobID: CID
    private let show: @Sendable (OutputNews) -> Void
    private let note: @Sendable (String) -> Void
    private let shown = Mutex(ShownOutput())

    /// - Parameters:
    ///   - show: shows what came.
    ///   - note: says something about it.
    init(
        node: any NodeService, jobID: CID, show: @escaping @Sendable (OutputNews) -> Void,
        note: @escaping @Sendable (String) -> Void
    ) {
        self.node = node
        self.jobID = jobID
        self.show = show
        self.note = note
    }

    /// Shows what comes until the job is over, or its executor sends nothing; throws what the node refuses.
    func follow() async throws {
        var place = OutputPlace()
        while !Task.isCancelled {
            let news = try await node.output(of: jobID, from: place)
            guard !Task.isCancelled else { return }
            if shown.withLock({ $0.add(news) }) {
                note("mesh: Another executor runs the job now, from its beginning; this is what that one writes.")
            }
            if !news.pieces.isEmpty { show(news) }
            place = news.end
            if news.prospect == .unsupported {
                note("mesh: The executor shows nothing before the end of the job; it is of an earlier version.")
            }
            if news.prospect != .more { return }
        }
    }

    /// The same, for a moment: what there is.
    func look() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await self.follow() }
            group.addTask { try? await Task.sleep(for: .milliseconds(Self.lookMilliseconds)) }
            try await group.next()
            group.cancelAll()
        }
    }

    /// What was shown.
    var all: ShownOutput { shown.withLock { $0 } }

    /// What is to be said where another executor's result counts than the one's that was shown.
    static let anothers =
        "mesh: What was shown while the job ran came from another executor than the one whose result counts; this is "
        + "what that one wrote:"

    /// What is to be said in the end of what was shown; nil if nothing is.
    static func remark(_ shown: ShownOutput, _ verdict: ShownOutput.Verdict) -> String? {
        switch verdict {
        case .differs:
            "mesh: What was shown while the job ran is not what its receipt names. The receipt counts; this is what it "
                + "names:"
        case .unknown where shown.attempt != 0:
            "mesh: What was shown while the job ran cannot be compared with what the receipt names; mesh outputs has "
                + "that."
        case .none, .same, .unknown:
            shown.leftOut == 0
                ? nil
                : "mesh: \(Readable.bytes(shown.leftOut)) came too fast to be shown; mesh outputs has all."
        }
    }
}
