import Foundation
import NodeAPI

/// An issuer's book as accountants' programs read it.
enum LedgerText {
    /// Transactions of ledger-cli and hledger: what is owed to members is a liability, so amounts have the other sign.
    static func journal(_ entry: LedgerEntryView) -> String {
        var text = "\(day(entry.at)) * (\(entry.number)) \(Terminal.safe(entry.kind.replacing("_", with: " ")))\n"
        if let note = entry.note, !note.isEmpty { text += "    ; \(remark(note))\n" }
        if let job = entry.jobID { text += "    ; job: \(Terminal.safe(job))\n" }
        return text + postings(entry.postings)
    }

    /// The transaction that begins a period.
    static func opening(_ balances: [PostingView], at: UInt64) -> String {
        balances.isEmpty ? "" : "\(day(at)) * Opening balances\n" + postings(balances)
    }

    /// What the accounts have at the end of a period, as comments.
    static func closing(_ balances: [PostingView]) -> String {
        balances.map { "; closing \(name($0))  \(amount($0))\n" }.joined()
    }

    /// An officer's note, in which ledger-cli reads no date (`[…]`), and neither program a tag (`name: value`).
    private static func remark(_ note: String) -> String {
        Terminal.safe(note).replacing("[", with: "(").replacing("]", with: ")").replacing(":", with: ";")
    }

    private static func postings(_ postings: [PostingView]) -> String {
        postings.map { "    \(name($0))  \(amount($0))\n" }.joined() + "\n"
    }

    private static func name(_ posting: PostingView) -> String {
        switch posting.account {
        // A colon would begin an account below.
        case .line: "Liabilities:Lines:\(Terminal.safe(posting.did ?? "").split(separator: ":").last ?? "")"
        case .fees: "Income:Fees"
        case .losses: "Expenses:Losses"
        case .cash: "Assets:Cash"
        case .exchange: "Equity:Exchange"
        }
    }

    private static func amount(_ posting: PostingView) -> String {
        "\(CreditAmount.text(-Int128(posting.amount), decimals: posting.decimals)) \"\(Terminal.safe(posting.unit))\""
    }

    private static func day(_ at: UInt64) -> String { String(Readable.date(at).prefix(10)) }

    /// The first line of the table.
    static let header = "entry,date,kind,account,did,amount,unit,job,note\r\n"

    /// What the accounts had before a period, as rows of no entry.
    static func rows(opening balances: [PostingView], at: UInt64) -> String {
        balances.map { row(of: $0, number: "", at: at, kind: "opening", job: nil, note: "") }.joined()
    }

    /// A row of comma-separated values for each posting (RFC 4180), with the signs of the book.
    static func rows(_ entry: LedgerEntryView) -> String {
        entry.postings.map { posting in
            row(
                of: posting, number: "\(entry.number)", at: entry.at, kind: entry.kind, job: entry.jobID,
                note: entry.note ?? "")
        }.joined()
    }

    private static func row(
        of posting: PostingView, number: String, at: UInt64, kind: String, job: String?, note: String
    ) -> String {
        [
            number, Readable.date(at), kind, posting.account.rawValue, posting.did ?? "",
            CreditAmount.text(posting.amount, decimals: posting.decimals), posting.unit, job ?? "", formulaless(note),
        ].map(field).joined(separator: ",") + "\r\n"
    }

    /// A text that no spreadsheet takes for a formula.
    private static func formulaless(_ text: String) -> String {
        text.first.map { "=+-@\t\r".contains($0) } == true ? "'" + text : text
    }

    private static func field(_ text: String) -> String {
        let text = Terminal.safe(text)
        return text.contains { ",\"\r\n".contains($0) } ? "\"\(text.replacing("\"", with: "\"\""))\"" : text
    }
}
