import Credit
import MeshTypes

/// How many bytes of evidence two members may have booked in a day: entries stay for ever, and everybody who audits
/// reads them.
struct EvidenceQuota {
    /// The line that pays and the line that is paid.
    struct Parties: Hashable {
        let debtor: LineID
        let creditor: LineID

        init(debtor: LineID, creditor: LineID) { (self.debtor, self.creditor) = (debtor, creditor) }

        /// Those of an event about a hold; nil of all others.
        init?(to event: BookEvent, in book: IssuerBook) {
            // A manifest is evidence, too, of whose line pays: who is paid did not send it.
            if case .holdGrantedByToken(_, let tokens, _) = event,
                let chain = try? TokenChain(reading: tokens, .stored)
            {
                self.init(debtor: chain.line, creditor: chain.line)
                return
            }
            guard let hold = event.hold.flatMap({ book.holds[$0] }) else { return nil }
            self.init(debtor: hold.debtorLine, creditor: hold.creditorLine)
        }
    }

    /// Bytes of an event that count for nothing: what an ordinary receipt with its settlement has.
    static let freeBytes = 4_096
    /// Pairs that are counted; with more, all begin anew.
    static let pairsMax = 65_536
    private static let dayMilliseconds: UInt64 = 86_400_000

    private let bytesPerDayMax: Int
    // BOUNDED: by `pairsMax`.
    private var taken: [Parties: Int] = [:]
    private var day: UInt64 = 0

    init(bytesPerDayMax: Int) { self.bytesPerDayMax = bytesPerDayMax }

    /// Whether an event of so many bytes may be booked on the day of a date.
    func allows(_ bytes: Int, of parties: Parties, at date: UnixMilliseconds) -> Bool {
        let sofar = date.value / Self.dayMilliseconds == day ? taken[parties, default: 0] : 0
        return bytes <= Self.freeBytes || sofar + bytes - Self.freeBytes <= bytesPerDayMax
    }

    /// Counts an event that was booked.
    mutating func count(_ bytes: Int, of parties: Parties, at date: UnixMilliseconds) {
        guard bytes > Self.freeBytes else { return }
        let today = date.value / Self.dayMilliseconds
        if today != day || taken.count >= Self.pairsMax { (day, taken) = (today, [:]) }
        taken[parties, default: 0] += bytes - Self.freeBytes
    }
}
