import Economics
import MeshTypes
import OrderedCollections

/// Jobs whose price cannot be held while other jobs hold too much, longest wait first.
struct FundsQueue: Sendable {
    /// What was available, and what was held.
    private struct Level: Hashable, Sendable {
        let wallet: TokenAmount
        let held: TokenAmount

        init(_ ledger: Ledger) {
            wallet = ledger.wallet
            held = ledger.escrowTotal
        }
    }

    private var waiting: OrderedDictionary<JobID, TokenAmount> = [:]
    private var seen: Level?

    /// What a job waits for.
    private func needed(by job: JobID) -> TokenAmount { waiting[job] ?? .zero }

    /// What can be held for a job: the wallet, and what is already held for it.
    static func available(for job: JobID, _ ledger: Ledger) -> TokenAmount {
        ledger.wallet.addingSaturated(ledger.escrow(of: job))
    }

    /// Why a job that waits for funds fails.
    func failure(of job: JobID, bids: [ReceivedBid], _ ledger: Ledger) -> JobFailure {
        let available = Self.available(for: job, ledger)
        let fuel = bids.compactMap { $0.bid.terms.affordableFuel(for: available) }.max()
        return .cannotHold(needed: needed(by: job), available: available, fuel: fuel)
    }

    mutating func add(_ job: JobID, needed: TokenAmount) { waiting[job] = needed }

    mutating func remove(_ job: JobID) { waiting[job] = nil }

    /// Whether tokens came or went since the last look at the ledger, while jobs wait for them.
    func isDue(_ ledger: Ledger) -> Bool { !waiting.isEmpty && seen != Level(ledger) }

    /// Notes that the ledger was checked for the waiting jobs.
    mutating func looked(at ledger: Ledger) { seen = Level(ledger) }

    /// Those that wait longest.
    func first(_ max: Int) -> [(job: JobID, needed: TokenAmount)] {
        waiting.elements.prefix(max).map { ($0.key, $0.value) }
    }

    /// Whether what a job needs may come back from other jobs; more than this node has with all that it holds never
    /// does.
    func mayCome(_ needed: TokenAmount, _ ledger: Ledger) -> Bool {
        othersHold(ledger) && needed <= ledger.wallet.addingSaturated(ledger.escrowTotal)
    }

    /// Whether jobs that do not wait for funds hold anything.
    private func othersHold(_ ledger: Ledger) -> Bool {
        let held = waiting.keys.reduce(TokenAmount.zero) { $0.addingSaturated(ledger.escrow(of: $1)) }
        return ledger.escrowTotal > held
    }
}
