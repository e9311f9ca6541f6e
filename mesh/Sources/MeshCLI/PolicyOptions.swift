import ArgumentParser
import Foundation
import NodeAPI

/// The options that say who may run a job, and how to choose among those who may: the whole execution policy of a
/// manifest but for the budget.
struct PolicyOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The least reputation of an executor, from 0 to 1000, as mesh peers shows it.", valueName: "number"),
        transform: Quantity.whole("a reputation from 0 to 1000"))
    var minReputation: UInt64?

    @Option(help: ArgumentHelp("A region to run in; may be given several times.", valueName: "name"))
    var region: [String] = []

    @Option(
        help: ArgumentHelp(
            "How long to wait for bids, in ms or for example 500ms or 2s; by default 1 s, at most "
                + "20s, since bids hold for 30 s.", valueName: "time"),
        transform: Quantity.milliseconds)
    var bidWindow: UInt64?

    @Option(
        help: ArgumentHelp(
            "Acceptable bids that end the wait early, from whomever; by default three, if the best is "
                + "of a known node.", valueName: "number"),
        transform: Quantity.whole("a number of bids"))
    var sufficientBids: UInt64?

    @Option(
        help: ArgumentHelp(
            "A feature that the executor must state, such as simd; may be given several times. mesh peers --json lists "
                + "what is offered.",
            valueName: "name"))
    var feature: [String] = []

    @Option(
        help: ArgumentHelp(
            "What the executor must have, as NAME=AMOUNT: cpu_millicores, memory_mib, storage_mib, or what executors "
                + "name besides; may be given several times.",
            valueName: "name=amount"),
        transform: PolicyOptions.number("NAME=AMOUNT, such as memory_mib=512"))
    var resource: [NamedNumber] = []

    @Option(
        help: ArgumentHelp("Only this executor may run the job; may be given several times.", valueName: "did"))
    var allow: [String] = []

    @Option(
        help: ArgumentHelp("This executor must not run the job; may be given several times.", valueName: "did"))
    var deny: [String] = []

    @Option(
        help: ArgumentHelp(
            "Within what time from now an executor must promise the result, such as 90s or 10m.", valueName: "time"),
        transform: Quantity.milliseconds)
    var deadline: UInt64?

    @Option(
        help: ArgumentHelp(
            "How much a part of a bid's score counts, as NAME=NUMBER with price, reputation, region, latency or load; "
                + "what is not named counts nothing. By default price=50, reputation=25, region=10, load=10, "
                + "latency=5.",
            valueName: "name=number"),
        transform: PolicyOptions.number("NAME=NUMBER, such as price=50"))
    var weight: [NamedNumber] = []

    @Option(
        help: ArgumentHelp("How many executors are tried in turn, from 1 to 16.", valueName: "number"),
        transform: Quantity.whole("a number of attempts"))
    var attempts: UInt64?

    @Flag(
        help: ArgumentHelp(
            "Have bidders commit to their bids, and show them to everybody when nobody can bid any more: so nobody "
                + "undercuts another's bid. It takes up to 2 s longer."))
    var publicBids = false

    @Flag(
        help: ArgumentHelp(
            "Have the executor tell the state of the run to everybody who follows the job, and not only to this node."))
    var publicStatus = false

    @Flag(
        help: ArgumentHelp(
            "Ask another executor as well where the run is slow: when it has lasted longer than 95 of 100 of the last "
                + "runs of the module (where fewer than 8 are known, half of --timeout). The first valid result counts "
                + "and is paid; the other executor is told to stop and gets nothing, which both know before they bid."))
    var hedge = false

    /// The options that were given.
    var given: [String] {
        let all: [(option: String, isGiven: Bool)] = [
            ("--min-reputation", minReputation != nil), ("--region", !region.isEmpty),
            ("--bid-window", bidWindow != nil), ("--sufficient-bids", sufficientBids != nil),
            ("--feature", !feature.isEmpty), ("--resource", !resource.isEmpty), ("--allow", !allow.isEmpty),
            ("--deny", !deny.isEmpty), ("--deadline", deadline != nil), ("--weight", !weight.isEmpty),
            ("--attempts", attempts != nil), ("--public-bids", publicBids), ("--public-status", publicStatus),
            ("--hedge", hedge),
        ]
        return all.filter(\.isGiven).map(\.option)
    }

    /// Refuses what names nothing, or one thing twice.
    func check() throws {
        for entry in weight where !Self.weights.contains(entry.name) {
            throw ValidationError(
                "--weight knows \(Self.weights.joined(separator: ", ")), not \(Terminal.safe(entry.name)).")
        }
        for (option, list) in [("--weight", weight), ("--resource", resource)]
        where Set(list.map(\.name)).count != list.count {
            throw ValidationError("\(option) names each thing once.")
        }
    }

    /// The policy of a submission; a deadline counts from now.
    func policy() -> JobSubmission.Policy {
        func list(_ values: [String]) -> [String]? { values.isEmpty ? nil : values }
        var policy = JobSubmission.Policy(
            minReputation: minReputation, regions: list(region), allowedDIDs: list(allow), deniedDIDs: list(deny),
            bidWindowMilliseconds: bidWindow, sufficientBids: sufficientBids)
        policy.requiredFeatures = list(feature)
        policy.resources =
            resource.isEmpty
            ? nil : resource.map { JobSubmission.Policy.Amount(name: $0.name, amount: $0.number) }
        policy.deadline = deadline.map { span in
            UInt64(max(0, Date().timeIntervalSince1970 * 1_000)).addingReportingOverflow(span).partialValue
        }
        policy.maxAttempts = attempts
        policy.publicBids = publicBids ? true : nil
        policy.publicStatus = publicStatus ? true : nil
        policy.hedge = hedge ? true : nil
        if !weight.isEmpty {
            func value(_ name: String) -> UInt64? { weight.first { $0.name == name }?.number }
            policy.weights = JobSubmission.Policy.Weights(
                price: value("price"), reputation: value("reputation"), region: value("region"),
                latency: value("latency"), load: value("load"))
        }
        return policy
    }

    private static let weights = ["price", "reputation", "region", "latency", "load"]

    /// Reads a name and a whole number; an error says the form that is allowed.
    private static func number(_ form: String) -> @Sendable (String) throws -> NamedNumber {
        { text in
            guard let pair = NamedPath(argument: text), let number = UInt64(Quantity.ungrouped(pair.path)) else {
                throw ValidationError("write it as \(form).")
            }
            return NamedNumber(name: pair.name, number: number)
        }
    }
}

/// `NAME=NUMBER` on the command line.
struct NamedNumber: Hashable {
    let name: String
    let number: UInt64
}
