import Credit
import Foundation
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import SignedObjects

/// A book with as many lines as its quotas ask for, and what members give to it: a hold and its settlement each time,
/// signed before.
struct CreditBook: Sendable {
    /// What one job's two sides sign.
    struct Pair: Sendable {
        let originator: Identity
        let executor: Identity
        let hold: BookEvent
        let settlement: BookEvent
    }

    enum Fault: Error, CustomStringConvertible {
        case refused(CreditAnswer)
        /// What was answered is something else than was asked for.
        case wrong(String)

        var description: String {
            switch self {
            case .refused(let answer): "the issuer does not take what it should: \(answer)"
            case .wrong(let what): "the issuer gave another \(what)"
            }
        }
    }

    /// How many members there are.
    static let membersMax = 64

    let issuer: Identity
    let officers = [Identity.generate(), Identity.generate()]
    let arbiter = Identity.generate()
    let members = (0..<Self.membersMax).map { _ in Identity.generate() }

    /// The rules with which it is founded.
    var founding: IssuerFounding {
        IssuerFounding(
            unit: "hours", decimals: 2, officers: officers.map(\.did.text), approvals: 2,
            arbiters: [arbiter.did.text])
    }

    /// Opens the lines, and signs what is to be given to the book.
    ///
    /// - Parameter ask: asks the issuer, by the key of one of the officers.
    func prepared(
        pairs: Int, _ ask: (CreditQuestion, Identity) async throws -> CreditAnswer
    ) async throws -> [Pair] {
        let unit = CreditUnit(name: "hours", decimals: 2)
        guard case .entries(let first, _) = try await ask(.charter(size: 1), officers[0]),
            case .opened(let block)? = first.first?.opening.read?.event
        else { throw Fault.wrong("charter") }
        let charter = try SignedObject<IssuerCharter>(reading: block)
        let now = UnixMilliseconds(UInt64(Date().timeIntervalSince1970 * 1_000))
        let later = now.advanced(milliseconds: 3_600_000)
        for (number, member) in members.enumerated() {
            let order = OfficerOrder(
                issuerDID: issuer.did, charterCID: charter.bodyCID, number: UInt64(number + 1),
                action: .limit(
                    line: LineID(member.did, unit), owed: CreditLine.limitMax, owing: CreditLine.limitMax,
                    issuer: false))
            guard let cid = order.cid else { throw Fault.wrong("order") }
            let approvals = try officers.map {
                try SignedObject.sign(
                    Approval(approverDID: $0.did, orderCID: cid, approvedAt: now, validUntil: later), with: $0
                ).bytes
            }
            let answer = try await ask(
                .submit(event: .ordered(order: order, approvals: approvals)), officers[number % officers.count])
            guard case .taken = answer else { throw Fault.refused(answer) }
        }
        return try (0..<pairs).map { number in
            let (one, other) = (members[number % members.count], members[(number + 1) % members.count])
            return try pair(number, one, other, charter, now, later)
        }
    }

    private func pair(
        _ number: Int, _ originator: Identity, _ executor: Identity, _ charter: SignedObject<IssuerCharter>,
        _ now: UnixMilliseconds, _ later: UnixMilliseconds
    ) throws -> Pair {
        let job = JobID(CID.hashing(Array("job \(number)".utf8), codec: .dagCBOR))
        let terms = BidTerms(
            price: TokenAmount(1_000), basePrice: TokenAmount(10), pricePerMillionFuel: TokenAmount(1),
            earliestStart: now, deadline: now)
        let assignment = try SignedObject.sign(
            Assignment(
                jobID: job, originatorDID: originator.did, bidCID: job.cid, executorDID: executor.did, attempt: 1,
                leaseMilliseconds: 10_000, terms: terms, assignedAt: now, acceptBy: later), with: originator)
        let receipt = try SignedObject.sign(
            ExecutionReceipt(
                jobID: job, assignmentCID: assignment.cid, originatorDID: originator.did, executorDID: executor.did,
                attempt: 1, moduleCID: job.cid, inputCIDs: [:], outcome: .exited(code: 0),
                resourceUsage: ResourceUsage(fuel: 90_000_000),
                price: terms.due(for: .exited(code: 0), fuel: 90_000_000),
                engine: EngineDescription(name: "wasmtime", version: "1", configurationDigest: "00"),
                determinism: .deterministic, executionStartedAt: now, executionEndedAt: now), with: executor)
        let order = try SignedObject.sign(
            PaymentOrder(
                issuerDID: charter.body.issuerDID, charterCID: charter.bodyCID, debtorDID: originator.did,
                creditorDID: executor.did, amount: terms.price, unit: charter.body.unit,
                hold: HoldTerms(
                    jobID: job, attempt: 1, bidCID: job.cid, originatorDID: originator.did, executorDID: executor.did,
                    arbiterDID: arbiter.did, deliverBy: now.advanced(milliseconds: 600_000), claimBy: later,
                    windowMilliseconds: 60_000, extensionMilliseconds: 60_000),
                nonce: withUnsafeBytes(of: (UInt64(number), UInt64(0)), Array.init), validUntil: later),
            with: originator)
        let settlement = try SignedObject.sign(
            Settlement(
                jobID: job, receiptCID: receipt.cid, originatorDID: originator.did, executorDID: executor.did,
                amountPaid: receipt.body.price, amountRefunded: .zero, verdict: .paid, settledAt: now),
            with: originator)
        return Pair(
            originator: originator, executor: executor, hold: .holdGranted(order: order.bytes),
            settlement: .holdSettled(
                hold: order.bodyCID, settlement: settlement.bytes, receipt: receipt.bytes,
                assignment: assignment.bytes))
    }
}
