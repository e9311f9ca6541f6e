import Economics
import Foundation
import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// The book that a start reads: few entries, and the balances of all that was ever booked.
@Suite struct LedgerOpeningTests {
    private let date = UnixMilliseconds(1000)

    private func open(_ folder: URL) throws -> MeshStore {
        try MeshStore(path: folder.appending(path: "mesh.sqlite").path, owner: "did:key:z6MkowneR")
    }

    /// The entries of a job that is paid, of one that is only held, and of one that earned.
    private func entries(_ number: Int, isOpen: Bool) throws -> [LedgerEntry] {
        let cid = CID.hashing(Array("run \(number)".utf8), codec: .dagCBOR)
        let job = JobID(cid)
        let other = try Identity(seed: Array(repeating: UInt8(1 + number % 7), count: 32)).did
        if number % 2 == 0 { return [.income(TokenAmount(3), receipt: cid, payer: other, at: date)] }
        let hold = LedgerEntry.hold(TokenAmount(11), job: job, assignment: cid, at: date)
        if isOpen { return [hold] }
        return [
            hold, .settle(TokenAmount(7), job: job, executor: other, at: date),
            .refund(TokenAmount(4), job: job, at: date),
        ]
    }

    @Test func entriesOfClosedJobsAreReadAsBalancesOnly() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "mesh-ledger-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let store = try open(folder)
        let grant = LedgerEntry.grant(TokenAmount(10_000), reference: "genesis", at: date)
        try await store.commit([.ledger(LedgerRow(grant, jobID: nil))])
        var whole = try Ledger(entries: [grant])
        var kept = [grant]
        for number in 0..<60 {
            let isOpen = number >= 56
            let job = JobID(CID.hashing(Array("run \(number)".utf8), codec: .dagCBOR))
            let entries = try entries(number, isOpen: isOpen)
            for entry in entries { try whole.post(entry) }
            if isOpen { kept += entries }
            let row = JobRow(
                jobID: job.cid, role: number % 2 == 0 ? .executor : .originator, status: "Assigned",
                isTerminal: !isOpen, submittedAt: 1, updatedAt: 1)
            try await store.commit([.job(row)] + entries.map { .ledger(LedgerRow($0, jobID: job)) })
        }
        try store.close()
        let reopened = try open(folder)
        var ledger = try await NodeOpening.ledger(reopened)
        ledger.checkInvariants()
        #expect(ledger.entries == kept)
        #expect(ledger.accounts.map(\.account) == whole.accounts.map(\.account))
        #expect(ledger.accounts.map(\.balance) == whole.accounts.map(\.balance))
        #expect(ledger.paid == whole.paid && ledger.earned == whole.earned && ledger.escrowTotal == TokenAmount(22))
        for entry in kept { #expect(try ledger.post(entry) == false, "a replay books it again, which changes nothing") }
        #expect(ledger.hasPosted(.grant, subject: "genesis"))
        try reopened.close()
    }

    @Test func everyAccountIsReadFromItsName() throws {
        let did = try Identity(seed: Array(repeating: 1, count: 32)).did
        let job = JobID(CID.hashing([1], codec: .dagCBOR))
        for account in [LedgerAccount.issuance, .wallet, .escrow(job), .paid(did), .income(did)] {
            #expect(LedgerAccount(named: account.description) == account)
        }
        for name in ["", "wallet/1", "escrow", "escrow/x", "paid/others", "income/others", "purse"] {
            #expect(LedgerAccount(named: name) == nil, "the store has no account \(name)")
        }
    }
}
