import Foundation
import GRDB
import Multiformats
import Testing

@testable import MeshStore

/// Listings of jobs: what is picked out, in which order, and where the next page begins.
@Suite("Listings of jobs")
struct JobListingTests {
    private func row(
        _ seed: Int, _ role: StoreRole = .originator, at: UInt64? = nil, label: String = "",
        outcome: String = "running",
        payment: String = ""
    ) -> JobRow {
        JobRow(
            jobID: jobID(seed), role: role, status: "Running", isTerminal: false, submittedAt: at ?? UInt64(seed),
            updatedAt: 9, label: label, standard: "Running", outcome: outcome, payment: payment)
    }

    private func seeds(_ page: JobRowPage?) throws -> [Int] {
        try #require(page).rows.map { row in (0..<400).first { jobID($0) == row.jobID } ?? -1 }
    }

    @Test("A page is what was asked for, newest first, and the next one begins behind it, also among equal dates")
    func pages() async throws {
        let kept = try StoreFolder().openKept()
        for seed in 1...25 { try await kept.value.commit([.job(row(seed, at: UInt64(seed / 7)))]) }
        let all = try seeds(try await kept.value.jobs())
        #expect(all.map { $0 / 7 } == all.map { $0 / 7 }.sorted(by: >))
        var got: [Int] = []
        var next: CID?
        var pages = 0
        repeat {
            let page = try #require(try await kept.value.jobs(after: next, limit: 4))
            #expect(page.rows.count <= 4)
            got += try seeds(page)
            next = page.next
            pages += 1
        } while next != nil
        #expect(got == all && pages == 7)
        #expect(try await kept.value.jobs(after: jobID(999)) == nil, "an unknown job is no place to begin")
    }

    @Test("Role, outcome, payment, date, label and name pick out jobs, alone and together")
    func filters() async throws {
        let kept = try StoreFolder().openKept()
        try await kept.value.commit([
            .job(row(1, label: "Count Words", outcome: "succeeded")),
            .job(row(2, .executor, label: "count sheep", outcome: "lost")),
            .job(row(3, .executor, outcome: "succeeded", payment: "due")),
            .job(row(4, .executor, label: "100 % _\u{1F411}", outcome: "exited_non_zero", payment: "paid")),
            .job(row(5, outcome: "running")), .job(row(5, .executor, outcome: "running")),
        ])
        func found(_ change: (inout JobFilter) -> Void) async throws -> [Int] {
            var filter = JobFilter()
            change(&filter)
            return try seeds(try await kept.value.jobs(filter))
        }
        #expect(try await found { _ in } == [5, 4, 3, 2, 1])
        #expect(try await found { $0.role = .executor } == [5, 4, 3, 2])
        #expect(try await found { $0.role = .originator } == [5, 1])
        #expect(try await found { $0.outcomes = ["succeeded", "lost"] } == [3, 2, 1])
        #expect(try await found { $0.payments = ["due"] } == [3])
        #expect(try await found { ($0.outcomes, $0.payments) = (["lost"], ["paid"]) } == [4, 2])
        #expect(try await found { $0.since = 3 } == [5, 4, 3])
        #expect(try await found { $0.since = .max } == [])
        #expect(try await found { $0.label = "COUNT" } == [2, 1])
        #expect(try await found { $0.label = "% _" } == [4], "nothing in it stands for anything else")
        #expect(try await found { $0.named = String(jobID(3).text.suffix(6)) } == [3])
        #expect(try await found { $0.named = String(jobID(3).text.prefix(20)) } == [3])
        #expect(try await found { $0.named = "bafyrei" } == [5, 4, 3, 2, 1])
        #expect(try await found { ($0.role, $0.label, $0.since) = (.executor, "count", 2) } == [2])
        #expect(try await found { ($0.role, $0.label, $0.since) = (.executor, "count", 3) } == [])
    }

    @Test("A listing looks at no more rows than it may, and says where to look on")
    func boundedLooks() async throws {
        var limits = StoreLimits()
        limits.listedJobsExaminedMax = 10
        let kept = try StoreFolder().openKept(limits: limits)
        for seed in 1...35 { try await kept.value.commit([.job(row(seed, label: seed == 3 ? "needle" : "hay"))]) }
        var filter = JobFilter()
        filter.label = "needle"
        var found: [Int] = []
        var looks = 0
        var next: CID?
        repeat {
            let page = try #require(try await kept.value.jobs(filter, after: next))
            found += try seeds(page)
            next = page.next
            looks += 1
            #expect(looks < 4 || next == nil)
        } while next != nil
        #expect(found == [3] && looks == 4)
        #expect(try #require(try await kept.value.jobs()).rows.count == 10)
    }

    /// Rows as earlier versions wrote them, the status of their receipts, and what they are read as now.
    private var earlierCases: [(row: JobRow, receipt: String?, is: [String])] {
        [
            (
                old(1, .originator, "ReceiptAnchored", "the module ended with exit code 0"), "CompletedSuccessfully",
                ["ReceiptAnchored", "CompletedSuccessfully", "succeeded", "0", ""]
            ),
            (
                old(2, .originator, "ReceiptAnchored", "the module ended with exit code 3"), "Failed",
                ["ReceiptAnchored", "Failed", "exited_non_zero", "3", ""]
            ),
            (
                old(3, .originator, "ReceiptGenerated", "the module was stopped at its wall-clock limit"), "Failed",
                ["ReceiptGenerated", "Failed", "limit_exceeded", "wall_clock", ""]
            ),
            (
                old(4, .originator, "ReceiptAnchored", "the run was cancelled"), "Cancelled",
                ["ReceiptAnchored", "Cancelled", "cancelled", "", ""]
            ),
            (
                old(5, .originator, "Failed", "no executor bid on the job before the bidding deadline"), nil,
                ["Failed", "Failed", "no_bids", "", ""]
            ),
            (old(6, .originator, "Failed", "in words that nobody knows"), nil, ["Failed", "Failed", "failed", "", ""]),
            (old(7, .originator, "Running", "", isTerminal: false), nil, ["Running", "Running", "running", "", ""]),
            (
                old(8, .executor, "BiddingOpen", "", isTerminal: false), nil,
                ["BiddingOpen", "Pending", "bidding", "", ""]
            ),
            (
                old(9, .executor, "BiddingOpen", "refused (other_bid_taken): another bid was taken: rank 2 of 2"), nil,
                ["BiddingClosed", "", "lost", "", ""]
            ),
            (
                old(10, .executor, "BiddingOpen", "it was not taken up in time"), nil,
                ["BiddingClosed", "", "lapsed", "", ""]
            ),
            (
                old(11, .executor, "ReceiptAnchored", "the module trapped (unreachable): x"), "Failed",
                ["ReceiptAnchored", "Failed", "trapped", "", "paid"]
            ),
            (
                old(12, .executor, "ReceiptAnchored", "the module ended with exit code 0"), "CompletedSuccessfully",
                ["ReceiptAnchored", "CompletedSuccessfully", "succeeded", "0", "overdue"]
            ),
        ]
    }

    @Test("Earlier rows get their statuses and outcomes, and bids that nobody took are closed")
    func earlierRows() async throws {
        let folder = try StoreFolder()
        let cases = earlierCases
        let first = try folder.open()
        for (row, receipt, _) in cases {
            var writes = [StoreWrite.job(row)]
            if let receipt, let cid = row.receiptCID {
                writes.append(
                    .receipt(
                        ReceiptRow(
                            cid: cid, jobID: row.jobID, executorDID: "did", status: receipt, at: 1, isVerified: true)))
            }
            try await first.commit(writes)
        }
        try await first.commit([
            .ledger(LedgerRow(debit: "a", credit: "b", amount: 5, jobID: jobID(11), kind: "income", at: 1))
        ])
        try first.close()
        try folder.change(
            StoreFolder.withoutOutcomes + """
                CREATE INDEX jobs_bids ON jobs(updated_at)
                    WHERE role = 'executor' AND terminal = 1 AND status = 'BiddingOpen';
                PRAGMA user_version = 6;
                """)
        let store = try folder.open()
        for (row, _, expected) in cases {
            let now = try #require(try await store.job(row.jobID, role: row.role))
            #expect(
                [now.status, now.standard, now.outcome, now.outcomeDetail, now.payment] == expected, "\(row.reason)")
            #expect(now.reason == row.reason && now.price == row.price && now.isTerminal == row.isTerminal)
        }
        try await store.commit([.pruneBids(before: 100)])
        #expect(try await store.job(jobID(9), role: .executor) == nil)
        #expect(try await store.job(jobID(8), role: .executor) != nil)
        try store.close()
        let again = try folder.open()
        #expect(try await again.job(jobID(2), role: .originator)?.outcome == "exited_non_zero")
    }

    /// A row as earlier versions wrote it.
    private func old(
        _ seed: Int, _ role: StoreRole, _ status: String, _ reason: String, isTerminal: Bool = true
    ) -> JobRow {
        JobRow(
            jobID: jobID(seed), role: role, status: status, isTerminal: isTerminal, submittedAt: UInt64(seed),
            updatedAt: 9, reason: reason, price: 5,
            receiptCID: status.hasPrefix("Receipt") ? block(seed).cid : nil)
    }
}
