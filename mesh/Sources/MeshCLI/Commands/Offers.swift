import ArgumentParser
import MeshHTTP
import NodeAPI

/// `mesh offers`: which executors are known, and at what prices.
struct Offers: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "List the executors that the node knows, with their prices.",
        discussion: """
            Executors say every minute what they offer; a bid is what counts. EACH is the price of any run, and PER \
            MILLION that of a million fuel on top. To see who would run a certain job, and for how much, ask mesh run \
            --dry-run. --json has the features, resources and limits of each, too.
            """)

    @OptionGroup var global: GlobalOptions

    func perform(_ console: Console) async throws -> ExitCode {
        let view = try await global.node.offers(for: nil)
        if global.json {
            try console.json(view)
        } else {
            let text = OffersText(view: view)
            if view.offers.isEmpty { console.note(text.nobody) } else { console.out(text.table) }
            if let bans = text.bans { console.note(bans) }
        }
        return .success
    }
}

/// Offers, for people.
struct OffersText {
    let view: OffersView

    /// The listing; with a job, what it would cost at each, and what keeps those that would not run it.
    var table: String {
        guard view.job != nil else {
            var table = Table([
                ("EXECUTOR", .left), ("EACH", .right), ("PER MILLION", .right), ("LOAD", .right),
                ("REPUTATION", .right), ("ROUND TRIP", .right), ("REGION", .left), ("NOTE", .left),
            ])
            for offer in view.offers {
                table.add([
                    Self.name(offer), Readable.count(offer.basePrice), Readable.count(offer.pricePerMillionFuel),
                    Self.load(offer), String(offer.reputation), Self.roundTrip(offer), offer.region ?? "",
                    offer.obstacles.joined(separator: "; "),
                ])
            }
            return table.text
        }
        var table = Table([
            ("EXECUTOR", .left), ("AT MOST", .right), ("USUALLY", .right), ("LOAD", .right), ("REPUTATION", .right),
            ("ROUND TRIP", .right), ("REGION", .left), ("WOULD RUN IT", .left),
        ])
        for offer in view.offers {
            table.add([
                Self.name(offer), offer.priceMax.map(Readable.count) ?? "", offer.usualPrice.map(Readable.count) ?? "",
                Self.load(offer), String(offer.reputation), Self.roundTrip(offer), offer.region ?? "",
                Self.verdict(offer),
            ])
        }
        return table.text
    }

    /// Said where no executor is known.
    var nobody: String {
        view.banned == nil
            ? "No executor is known yet. Join a mesh with mesh connect ADDRESS, or start one on this machine with mesh "
                + "devnet."
            : "No executor is known that you did not ban. Join a mesh with mesh connect ADDRESS."
    }

    /// Who is left out because of bans; nil if nobody is.
    var bans: String? {
        view.banned.map { banned in
            let executors = banned == 1 ? "1 executor is" : "\(Readable.count(banned)) executors are"
            return "\(executors) left out, since you banned \(banned == 1 ? "it" : "them"): mesh peers bans lists your "
                + "bans, mesh peers allow lifts one."
        }
    }

    /// What a described job would cost, and who is there for it, in sentences.
    func summary(_ job: OffersView.Job) -> [String] {
        let able = view.offers.filter(\.isAble)
        var lines: [String] = []
        if able.isEmpty {
            lines.append(
                view.offers.isEmpty ? nobody : "No executor that is known would run this job as it is.")
        } else {
            let executors = able.count == 1 ? "1 executor" : "\(Readable.count(UInt64(able.count))) executors"
            let prices = able.compactMap(\.priceMax)
            let range = [prices.min(), prices.max()].compactMap(\.self)
            lines.append(
                range.isEmpty
                    ? "\(executors) would run it, if the issuer is one that they trust. Only bids tell what it costs "
                        + "in credit: at most --budget, which the issuer holds."
                    : "\(executors) would run it, for at most "
                        + Set(range).sorted().map(Readable.count)
                        .joined(separator: " to ") + " tokens; that much is held when it is assigned.")
        }
        let usual = able.compactMap(\.usualPrice)
        if let least = usual.min(), let most = usual.max(), let fuel = job.usualFuel {
            let runs =
                job.pastRuns == 1
                ? "1 run of this module is known, which"
                : "\(Readable.count(UInt64(job.pastRuns))) runs of this module are known, which"
            lines.append(
                "\(runs) used \(Readable.count(fuel)) fuel\(job.pastRuns == 1 ? "" : " (median)"): "
                    + Set([least, most]).sorted().map(Readable.count).joined(separator: " to ") + " tokens.")
        } else if !able.isEmpty, able.contains(where: { $0.priceMax != nil }) {
            lines.append("No run of this module is known here; what it costs follows from the fuel that it uses.")
        }
        if let cheapest = able.compactMap(\.priceMax).min(), cheapest > job.balance {
            lines.append(
                "The balance of \(Readable.tokens(job.balance)) does not cover that: lower --max-fuel, or see mesh "
                    + "wallet.")
        }
        if let bans { lines.append(bans) }
        return lines
    }

    private static func verdict(_ offer: OfferView) -> String {
        guard offer.isAble else { return "no: " + offer.obstacles.joined(separator: "; ") }
        return offer.isHere ? "yes, if nobody else bids" : "yes"
    }

    private static func name(_ offer: OfferView) -> String {
        offer.isHere ? "this node" : Readable.short(offer.did)
    }

    private static func load(_ offer: OfferView) -> String { "\(min(offer.loadPermille, 1_000) / 10)%" }

    private static func roundTrip(_ offer: OfferView) -> String {
        offer.roundTripMilliseconds.map { "\(Readable.count($0)) ms" } ?? ""
    }
}
