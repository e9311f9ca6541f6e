import ArgumentParser
import NodeAPI

// What `mesh run --local` has of its own.

extension Run {
    /// Refuses what has no meaning without other nodes.
    func checkLocal() throws {
        let forOthers: [(option: String, isGiven: Bool)] = [
            ("--detach", detach), ("--budget", job.budget != nil), ("--min-reputation", job.minReputation != nil),
            ("--region", !job.region.isEmpty), ("--bid-window", job.bidWindow != nil),
            ("--sufficient-bids", job.sufficientBids != nil), ("--idempotency-key", job.idempotencyKey != nil),
        ]
        if let given = forOthers.first(where: \.isGiven) {
            throw ValidationError("--local asks no other node, so \(given.option) means nothing with it.")
        }
        let sources = ([module, job.stdin].compactMap(\.self) + job.inputs.map(\.path))
        if let cid = sources.first(where: LocalFile.isCID) {
            throw ValidationError("--local takes files, and \(cid) is a CID; mesh get \(cid) -o FILE makes one of it.")
        }
        if let mount = (job.files.folders + job.files.files).first(where: \.namesContent) {
            throw ValidationError(
                "--local takes files and folders, and \(mount.source) is a CID; mesh get \(mount.source) -o PATH makes "
                    + "one of it.")
        }
    }

    /// What a user wants to know about a job that ran here.
    static func localSummary(_ result: JobResult) -> [String] {
        var result = result
        let hasReceipt = result.receiptCID != nil
        (result.receiptCID, result.paid, result.executorDID) = (nil, nil, nil)
        let lines = summary(result)
        return hasReceipt ? lines + ["receipt  local: nobody else took part, and it is not kept"] : lines
    }
}
