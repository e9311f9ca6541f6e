import NodeAPI
import NodeAPITesting
import Testing

@testable import MeshCLI

/// What accountants' programs read of an issuer's book.
@Suite("An issuer's book in the forms of others")
struct LedgerTextTests {
    private static let entry: LedgerEntryView = {
        func posting(_ account: PostingView.Account, _ did: String?, _ amount: Int64) -> PostingView {
            PostingView(account: account, did: did, amount: amount, unit: "hours", decimals: 2)
        }
        var entry = LedgerEntryView(
            number: 7, at: 1_764_288_000_000, kind: "write_off",
            postings: [posting(.losses, nil, -250), posting(.line, "did:key:z6MkA", 250)])
        entry.note = "=1+1, \"gone\"\nfor good"
        return entry
    }()

    @Test("ledger-cli gets one transaction, balanced, on one line each")
    func journal() {
        #expect(
            LedgerText.journal(Self.entry) == """
                2025-11-28 * (7) write off
                    ; =1+1, "gone"\\nfor good
                    Expenses:Losses  2.50 "hours"
                    Liabilities:Lines:z6MkA  -2.50 "hours"


                """)
        #expect(LedgerText.opening([], at: 0).isEmpty)
        #expect(
            LedgerText.closing(Self.entry.postings)
                == "; closing Expenses:Losses  2.50 \"hours\"\n; closing Liabilities:Lines:z6MkA  -2.50 \"hours\"\n")
    }

    @Test("A note is none of the dates and tags that ledger-cli reads in one")
    func remarks() {
        var entry = Self.entry
        entry.note = "[2020-01-01] payee: other"
        #expect(LedgerText.journal(entry).contains("    ; (2020-01-01) payee; other\n"))
    }

    @Test("A period begins with rows of what was there before")
    func opening() {
        #expect(
            LedgerText.rows(opening: [Self.entry.postings[1]], at: Self.entry.at)
                == ",2025-11-28 00:00:00Z,opening,line,did:key:z6MkA,2.50,hours,,\r\n")
    }

    @Test("An amount of credit has a point and no commas, which mean different things to different people")
    func amounts() throws {
        let issuer = Samples.issuer
        #expect(try CreditWords.units("12.50", at: issuer) == 1_250)
        for text in ["0,250", "2,500", "1,000.00", "1.234", "-1", ""] {
            let error = #expect(throws: NodeServiceError.self) { _ = try CreditWords.units(text, at: issuer) }
            #expect(error?.hint?.contains("no commas") == true)
        }
    }

    @Test("A spreadsheet gets a row for each posting, and no formula")
    func rows() {
        let note = "\"'=1+1, \"\"gone\"\"\\nfor good\""
        #expect(
            LedgerText.rows(Self.entry)
                == "7,2025-11-28 00:00:00Z,write_off,losses,,-2.50,hours,,\(note)\r\n"
                + "7,2025-11-28 00:00:00Z,write_off,line,did:key:z6MkA,2.50,hours,,\(note)\r\n")
    }
}
