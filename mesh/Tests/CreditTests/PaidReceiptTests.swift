import Credit
import IPLD
import MerkleLog
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// The proof that a receipt was paid, as a stranger checks it.
@Suite("The proof of a paid receipt") struct PaidReceiptTests {
    /// A book in which the first member paid the second 100 of 1,000 that it had held, and something came after it.
    private struct Paid {
        var world: CreditWorld
        let job: HeldJob
        let receipt: SignedObject<ExecutionReceipt>
        let granted: UInt64
        let settled: UInt64

        init(outcome: ExecutionOutcome = .exited(code: 0)) throws {
            world = try CreditWorld()
            let (job, hold) = try world.held(1)
            granted = try #require(world.entries.last).number
            receipt = try job.receipt(outcome: outcome)
            settled = try world.enter(try job.settled(hold, receipt, pays: 100)).number
            self.job = job
            _ = try world.held(2)
        }

        func opened(_ number: UInt64) throws -> OpenedEntry {
            OpenedEntry(
                number: number, opening: world.openings[Int(number)], proof: try world.inclusion(of: number))
        }

        func head(by signer: Identity? = nil) throws -> [UInt8] {
            try #require(try world.core.head(signedBy: signer ?? world.issuer)).bytes
        }

        func charter() throws -> [UInt8] {
            guard case .opened(let charter) = world.entries[0].event else { throw BookRefusal.otherBook }
            return charter
        }

        func proof(
            charter: [UInt8]? = nil, head: [UInt8]? = nil, granted: OpenedEntry? = nil, settled: OpenedEntry? = nil
        ) throws -> PaidReceipt {
            PaidReceipt(
                charter: try charter ?? self.charter(), head: try head ?? self.head(),
                granted: try granted ?? opened(self.granted), settled: try settled ?? opened(self.settled))
        }
    }

    private func fault(_ proof: PaidReceipt) -> PaidReceipt.Fault? {
        do throws(PaidReceipt.Fault) {
            _ = try proof.verified()
            return nil
        } catch { return error }
    }

    @Test("It shows who paid whom for which receipt, how much, where and when, and survives its own bytes")
    func shows() throws {
        let paid = try Paid()
        let block = try #require(try paid.proof().block)
        #expect(block.count < 8_192, "\(block.count) bytes")
        let pay = try PaidReceipt(reading: block).verified()
        #expect(pay.issuerDID == paid.world.issuer.did && pay.payerDID == paid.job.originator.did)
        #expect(pay.receiptCID == paid.receipt.cid && pay.receipt == paid.receipt.body)
        #expect(pay.amount == 100 && pay.unit == CreditWorld.unit)
        #expect(pay.bookedAt == paid.world.entries[Int(paid.settled)].at)
    }

    @Test("What is forged, of another log, of another hold, or out of order proves nothing")
    func lies() throws {
        let paid = try Paid()
        let other = CreditWorld.identity(99)
        #expect(fault(try paid.proof(head: try paid.head(by: other))) == .head)
        var charter = try SignedObject<IssuerCharter>(reading: paid.charter()).body
        charter.holdsFreePerDay += 1
        let changed = try SignedObject.sign(charter, with: paid.world.issuer).bytes
        let reason = "entry \(paid.granted): it is for another book"
        #expect(fault(try paid.proof(charter: changed)) == .unjustified(reason))
        charter.issuerDID = other.did
        let foreign = try SignedObject.sign(charter, with: other).bytes
        #expect(fault(try paid.proof(charter: foreign)) == .head, "whose head is the book's")
        #expect(fault(try paid.proof(charter: [1])) == .charter)
        #expect(fault(try paid.proof(head: [1])) == .head)
        var salted = try paid.opened(paid.settled)
        salted.opening = EntryOpening(salt: [UInt8](repeating: 1, count: 32), entry: salted.opening.entry)
        #expect(fault(try paid.proof(settled: salted)) == .notLogged(paid.settled))
        let grant = try paid.opened(paid.granted)
        let end = try paid.opened(paid.settled)
        #expect(fault(try paid.proof(granted: end, settled: grant)) == .notLogged(paid.settled))
        #expect(fault(try paid.proof(settled: grant)) == .notLogged(paid.granted))
        var moved = end
        moved.number += 1
        #expect(fault(try paid.proof(settled: moved)) == .notLogged(moved.number))
        let second = try paid.opened(paid.settled + 1)
        guard case .unjustified? = fault(try paid.proof(settled: second)) else {
            Issue.record("a grant settles nothing")
            return
        }
    }

    @Test("Every byte of it counts, or is none of it")
    func bytes() throws {
        let paid = try Paid()
        let block = try #require(try paid.proof().block)
        let pay = try PaidReceipt(reading: block).verified()
        for index in stride(from: 0, to: block.count, by: 7) {
            var bytes = block
            bytes[index] ^= 1
            guard let read = try? PaidReceipt(reading: bytes) else { continue }
            let seen = try? read.verified()
            #expect(seen == nil || seen == pay, "byte \(index)")
        }
        #expect(throws: PaidReceipt.Fault.malformed) {
            try PaidReceipt(reading: [UInt8](repeating: 0, count: PaidReceipt.Limits.bytesMax + 1))
        }
        let end = try paid.opened(paid.settled)
        let long = OpenedEntry(
            number: end.number, opening: end.opening, proof: [UInt8](repeating: 0, count: PaidReceipt.Limits.bytesMax))
        #expect(try paid.proof(settled: long).block == nil)
    }

    @Test("Paid by a token, it is the line that pays, whoever had the job run")
    func tokens() throws {
        var world = try CreditWorld()
        let (giver, holder) = (world.members[0], CreditWorld.guests[0])
        let token = try world.token(from: giver, to: holder.did)
        let job = try world.job(1, of: holder)
        let (event, hold) = try world.held(job, by: [token])
        let granted = try world.enter(event).number
        let settled = try world.enter(try job.settled(hold, try job.receipt(), pays: 100)).number
        guard case .opened(let charter) = world.entries[0].event else { throw BookRefusal.otherBook }
        let head = try #require(try world.core.head(signedBy: world.issuer)).bytes
        func opened(_ number: UInt64) throws -> OpenedEntry {
            OpenedEntry(
                number: number, opening: world.openings[Int(number)], proof: try world.inclusion(of: number))
        }
        let proof = PaidReceipt(
            charter: charter, head: head, granted: try opened(granted), settled: try opened(settled))
        let pay = try proof.verified()
        #expect(pay.payerDID == giver.did && pay.receipt.originatorDID == holder.did)
    }
}

extension CreditWorld {
    /// The proof that the newest head has an entry.
    fileprivate func inclusion(of number: UInt64) throws -> [UInt8] {
        let leaves = openings.map { MerkleHash.leaf($0.commitment) }
        let plan = try #require(ProofPlan.inclusion(of: number, in: UInt64(leaves.count)))
        var (tree, read) = (MerkleTree(), [HashPlace: MerkleHash]())
        for (index, leaf) in leaves.enumerated() {
            for (level, hash) in tree.append(leaf).enumerated() {
                read[HashPlace(level: UInt64(level), index: UInt64(index) >> UInt64(level))] = hash
            }
        }
        return try #require(plan.proof(of: read)).flatMap(\.bytes)
    }
}
