import Credit
import MeshTypes
import Multiformats
import SignedObjects

/// The books of a simulated economy, with what has to hold after each event.
struct EconomyBooks: Sendable {
    /// What an event may change of a book.
    private struct View: Hashable {
        let count: UInt64
        let lines: [CreditLine?]
        let own: [Int128]
        let hold: Hold?

        var sum: Int128 { lines.reduce(own.reduce(0, +)) { $0 + Int128($1?.balance ?? 0) } }
    }

    private struct Pair: Hashable {
        let originator: DID
        let executor: DID
    }

    /// How many events lie between two looks at all of a book.
    private static let eventsPerLook = 2_048

    private(set) var books: [IssuerBook]
    /// Whether signatures are checked, too.
    let checksSignatures: Bool
    private(set) var violations: [String] = []
    /// Events that were taken, by kind of outcome.
    private(set) var taken = 0
    private(set) var refused: [String: Int] = [:]
    private var events = 0
    private var paid: Set<CID> = []
    private var live: [[DID: Int]]
    private var pairs: [[Pair: Int]]
    private var holds: [Int]

    init(_ books: [IssuerBook], checksSignatures: Bool) {
        self.books = books
        self.checksSignatures = checksSignatures
        live = books.map { _ in [:] }
        pairs = books.map { _ in [:] }
        holds = books.map { _ in 0 }
    }

    subscript(issuer: Int) -> IssuerBook { books[issuer] }

    private func view(_ issuer: Int, _ lines: [LineID], _ hold: CID?) -> View {
        let book = books[issuer]
        return View(
            count: book.count, lines: lines.map { book.accounts[$0] },
            own: BookAccounts.Own.allCases.map { book.accounts.balance(of: $0, EconomyTerms.unit) },
            hold: hold.flatMap { book.holds[$0] })
    }

    mutating func violated(_ what: String) { if violations.count < 16 { violations.append(what) } }

    /// Takes an event, and says whether the book did.
    ///
    /// - Parameters:
    ///   - hold: the hold that it grants or changes.
    ///   - lines: the lines that it moves, where there is no such hold.
    mutating func record(
        _ event: BookEvent, at issuer: Int, hold: CID? = nil, lines: [LineID] = [], now: UnixMilliseconds
    ) -> Result<BookRecord, BookRefusal> {
        let known = hold.flatMap { books[issuer].holds[$0] }
        let lines = known.map { [$0.debtorLine, $0.creditorLine] } ?? lines
        let before = view(issuer, lines, hold)
        let result = books[issuer].record(event, now: now, origin: checksSignatures ? .arrived : .stored)
        let after = view(issuer, lines, hold)
        switch result {
        case .success(.entered):
            taken += 1
            if after.count != before.count + 1 { violated("an entry without a number") }
        case .success(.known):
            if after != before { violated("what was known changed a book") }
        case .failure(let refusal):
            refused[Self.reason(refusal), default: 0] += 1
            if after != before { violated("what was refused changed a book: \(refusal)") }
        }
        check(issuer, before, after)
        events += 1
        // It stops the process, if a book contradicts itself.
        if events % Self.eventsPerLook == 0 { books[issuer].checkInvariants() }
        return result
    }

    /// Why something was refused, without its amounts.
    private static func reason(_ refusal: BookRefusal) -> String {
        "\(refusal)".split(separator: " ").filter { !($0.first?.isNumber ?? false) }.joined(separator: " ")
    }

    private mutating func check(_ issuer: Int, _ before: View, _ after: View) {
        if before.sum != after.sum { violated("lines are not conserved: \(before.sum) and then \(after.sum)") }
        for line in after.lines.compactMap(\.self) {
            let isGood =
                line.balance + Int64(line.owedMax.units) >= Int64(line.leaving)
                && Int64(line.owingMax.units) - line.balance >= Int64(line.coming)
            if !isGood { violated("a line exceeds its limits: \(line)") }
        }
        guard let hold = after.hold else { return }
        if let earlier = before.hold, !earlier.isLive, before != after { violated("a hold changed after its end") }
        if case .ended(let end, _) = hold.state, before.hold?.isLive ?? false {
            if end.paid > hold.amount { violated("\(end.paid) paid of a hold of \(hold.amount)") }
            if !paid.insert(CID.hashing(hold.id.bytes + [UInt8(issuer)], codec: .raw)).inserted {
                violated("a hold was paid twice")
            }
            count(hold, issuer, by: -1)
        } else if before.hold == nil {
            count(hold, issuer, by: 1)
        }
    }

    private mutating func count(_ hold: Hold, _ issuer: Int, by step: Int) {
        let (originator, executor) = (hold.terms.originatorDID, hold.terms.executorDID)
        let pair = Pair(originator: originator, executor: executor)
        live[issuer][originator, default: 0] += step
        pairs[issuer][pair, default: 0] += step
        holds[issuer] += step
        let limits = books[issuer].limits
        if live[issuer][originator] ?? 0 > limits.holdsPerOriginatorMax
            || pairs[issuer][pair] ?? 0 > limits.holdsPerPairMax || holds[issuer] > limits.holdsMax
        {
            violated("more holds than there may be")
        }
    }

    /// Looks at all of every book, at the end: nothing is held any more.
    mutating func finish() {
        for issuer in books.indices {
            books[issuer].checkInvariants()
            if holds[issuer] != 0 { violated("\(holds[issuer]) holds of issuer \(issuer) are not over") }
        }
    }
}
