import NodeAPI

/// A job as its owner is told of it while it goes on: the lines that stay, and the line about what it does now.
///
/// It is a value that takes what the node reports, so that every line can be read in a test.
struct JobStanding {
    /// Bids that are listed one by one when the bidding is over.
    static let bidsShownMax = 8
    /// Bids that are remembered at all; further ones are only counted.
    static let bidsMax = 256

    private var beganAt: UInt64?
    private var phase = ""
    private var bids: [JobNews.Bid] = []
    private var ownDID: String?
    private var bidCount = 0
    private var attempt: JobNews?
    private var price: UInt64?
    /// What prices are counted in; nil if that is tokens.
    private var unit: (name: String, decimals: UInt64)?
    private var priceSoFar: UInt64?
    private var progress: String?
    private var preparation: JobPreparation?
    /// Whether it was told that the module runs.
    private var isToldToRun = false

    /// What the job does, as far as its time is told: the state that it is in, and the step of its preparation.
    var stage: String { phase + (preparation.map { " \($0.step)" } ?? "") }

    /// Takes an event; returns the lines that stay.
    mutating func received(_ event: JobProgress) -> [String] {
        let began = beganAt ?? event.at
        beganAt = began
        let time = Self.time(event.at > began ? event.at - began : 0)
        if event.kind == .log { return ["\(time)the module says: \(event.text)"] }
        if event.kind == .progress {
            if let permille = event.permille { progress = "\(permille / 10).\(permille % 10) %" }
            priceSoFar = event.news?.price ?? priceSoFar
            if let step = event.preparation { return prepared(step, event.phase, time) }
            // What it has used or done says that the module runs.
            guard phase == Self.started, !isToldToRun, progress != nil || priceSoFar != nil else { return [] }
            isToldToRun = true
            return ["\(time)\(Self.words(for: phase))"]
        }
        let isNewPhase = event.phase != phase
        if isNewPhase { (phase, progress, preparation, isToldToRun) = (event.phase, nil, nil, false) }
        if let news = event.news { return lines(of: news, event, time, isNewPhase: isNewPhase) }
        if event.kind == .result { return listing(time) }
        return []
    }

    /// Takes how far the preparation is; a line that stays where another step of it begins.
    private mutating func prepared(_ step: JobPreparation, _ phase: String, _ time: String) -> [String] {
        let before = preparation
        (self.phase, preparation) = (phase, step)
        guard before?.step != step.step else {
            // Its time is counted from when it was first told.
            preparation?.compilingMilliseconds = before?.compilingMilliseconds
            return []
        }
        // That it fetches was told with the state.
        return step.step == "fetching" ? [] : ["\(time)\(PreparationWords.step(step.step))"]
    }

    private mutating func lines(
        of news: JobNews, _ event: JobProgress, _ time: String, isNewPhase: Bool
    ) -> [String] {
        if let name = news.unit { unit = (name, news.decimals ?? 0) }
        switch news.kind {
        case .announced:
            (bids, bidCount) = ([], 0)
            let again = news.round.map { $0 > 1 ? " again, round \($0)" : "" } ?? ""
            return ["\(time)\(Self.words(for: "BiddingOpen"))\(again)"]
        case .bid:
            bidCount += news.bids?.count ?? 0
            bids += (news.bids ?? []).prefix(Self.bidsMax - bids.count)
            guard let own = news.bids?.first(where: \.isOwn) else { return [] }
            ownDID = own.bidderDID
            return ["\(time)\(event.text)"]
        case .ranking:
            let best = news.bids ?? []
            func rank(_ bid: JobNews.Bid) -> Int {
                bid.refusal == nil ? best.firstIndex { $0.bidderDID == bid.bidderDID } ?? best.count : .max
            }
            bids = bids.enumerated().sorted { (rank($0.element), $0.offset) < (rank($1.element), $1.offset) }
                .map(\.element)
            return []
        case .offer:
            (attempt, priceSoFar) = (news, nil)
            return listing(time)
        case .taken:
            let again = attempt?.round.map { $0 > 1 ? "attempt \($0), " : "" } ?? ""
            let most = attempt?.priceMax.map { ", for at most \(amount($0))" } ?? ""
            return ["\(time)\(again)taken by \(executor)\(most)"]
        case .state:
            guard isNewPhase else { return [] }
            return ["\(time)\(phase == Self.started ? Self.starting : Self.words(for: phase))"]
        case .attemptEnded: return ["\(time)\(event.text)"]
        case .receipt:
            price = news.price
            return ["\(time)the receipt is here, price \(amount(news.price ?? 0))"]
        case .other: return ["\(time)\(event.text)"]
        }
    }

    /// The bids under their bidders, the winner first, then those that were refused; nothing if that was told before.
    private mutating func listing(_ time: String) -> [String] {
        guard !bids.isEmpty else { return [] }
        defer { (bids, bidCount) = ([], 0) }
        let refused = bids.count { $0.refusal != nil }
        let count = bidCount == 1 ? "1 bid" : "\(Readable.count(UInt64(bidCount))) bids"
        let title = refused == bids.count ? "\(count), none acceptable:" : "\(count), the one taken first:"
        let taken = bids.firstIndex { $0.bidderDID == attempt?.executorDID }
        if let taken { bids.insert(bids.remove(at: taken), at: 0) }
        let shown = bids.prefix(Self.bidsShownMax)
        let names = shown.map { $0.isOwn ? "this node" : Readable.short($0.bidderDID) }
        let prices = shown.map { number($0.priceMax) }
        let nameWidth = names.map(\.count).max() ?? 0
        let priceWidth = prices.map(\.count).max() ?? 0
        var lines = ["\(time)\(title)"]
        for (index, bid) in shown.enumerated() {
            let name = names[index] + String(repeating: " ", count: nameWidth - names[index].count)
            let price = String(repeating: " ", count: priceWidth - prices[index].count) + prices[index]
            let region = bid.region.map { ", region \($0)" } ?? ""
            let refusal = bid.refusal.map { "; refused: \($0)" } ?? ""
            let unit = unit.map { Terminal.safe($0.name) } ?? (bid.priceMax == 1 ? "token" : "tokens")
            lines.append("\(Self.gutter)\(name)  at most \(price) \(unit)\(region)\(refusal)")
        }
        let more = bidCount - shown.count
        if more > 0 { lines.append("\(Self.gutter)and \(Readable.count(UInt64(more))) more; see mesh explain last") }
        return lines
    }

    /// An amount in what the job is paid in.
    private func amount(_ units: UInt64) -> String { Readable.price(units, unit?.name, unit?.decimals) }

    /// The same without its unit.
    private func number(_ units: UInt64) -> String {
        unit.map { CreditAmount.text(units, decimals: $0.decimals) } ?? Readable.count(units)
    }

    /// What the job does now, for how long already, and what it costs as far as that is known.
    func now(for elapsed: Duration) -> String? {
        guard !phase.isEmpty else { return nil }
        // An executor of an earlier release says that it has begun before it compiles; what it has used or done says
        // that it runs.
        let isUnclear = phase == Self.started && progress == nil && priceSoFar == nil
        let words = isUnclear ? Self.starting : Self.words(for: phase)
        var parts = ["\(words) \(Readable.duration(elapsed))"]
        if let preparation { parts = [Self.words(for: preparation, elapsed)] }
        if let progress { parts.append(progress) }
        if let price {
            parts.append(amount(price))
        } else if let most = attempt?.priceMax {
            let least = priceSoFar.map { "at least \(number($0)), " } ?? ""
            parts.append("\(least)at most \(amount(most))")
        } else if bidCount > 0 {
            let best = bids.filter { $0.refusal == nil }.map(\.priceMax).min()
            parts.append(bidCount == 1 ? "1 bid" : "\(bidCount) bids")
            parts.append(best.map { "best at most \(amount($0))" } ?? "none acceptable yet")
        }
        return parts.joined(separator: ", ")
    }

    /// What is prepared, for how long: what was compiled before this was told counts too.
    private static func words(for preparation: JobPreparation, _ elapsed: Duration) -> String {
        let (seconds, attoseconds) = elapsed.components
        let told =
            UInt64(clamping: seconds.multipliedReportingOverflow(by: 1_000).partialValue)
            + UInt64(clamping: attoseconds / 1_000_000_000_000_000)
        let (sum, overflow) = told.addingReportingOverflow(preparation.compilingMilliseconds ?? 0)
        return PreparationWords.now(preparation, milliseconds: overflow ? .max : sum)
    }

    private var executor: String {
        guard let did = attempt?.executorDID else { return "the executor" }
        return did == ownDID ? "this node" : Readable.short(did)
    }

    /// The state from which an executor compiles and runs.
    private static let started = "Running"
    /// What it does then, until there is a sign that the module runs.
    private static let starting = "starting"

    /// The width of the times, and of what stands in their place below.
    private static let gutter = String(repeating: " ", count: 9)

    private static func time(_ milliseconds: UInt64) -> String {
        let text = Readable.duration(milliseconds: milliseconds)
        return String(repeating: " ", count: max(0, gutter.count - 2 - text.count)) + text + "  "
    }

    /// A state in words; one of a later version as it is called.
    static func words(for phase: String) -> String {
        switch phase {
        case "PendingAnnouncement": "being announced"
        case "Announced", "BiddingOpen": "waiting for bids"
        case "BiddingClosed": "choosing an executor"
        case "AwaitingAssignmentConfirmation": "asking the executor"
        case "Assigned": "with the executor"
        case "PreparingExecution": "fetching module and inputs, compiling"
        case "Running": "running"
        case "AwaitingInputs": "waiting for input"
        case "ProducingOutputs": "fetching outputs"
        case "Verifying": "checking the result"
        case "Completed": "completed"
        case "Failed": "failed"
        case "Cancelled": "cancelled"
        case "ReceiptGenerated": "settled"
        case "ReceiptAnchored": "finished"
        default: phase
        }
    }
}
