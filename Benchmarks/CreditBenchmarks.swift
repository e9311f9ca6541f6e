import ArgumentParser
import Credit
import Foundation
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import PlanetaryMesh
import SignedObjects

/// An issuer's book and its database in this process: holds that are granted and settled, each on the disk before its
/// answer (`fsync`). Orders, receipts and settlements are signed before; what the issuer verifies and signs counts.
struct CreditBenchmarks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "credit", abstract: "Holds that an issuer grants and settles, with its disk.")

    @Option(help: "Pairs of a hold and its settlement.") var pairs = 2_000
    @Option(help: "Pairs at the same time.") var inFlight = 32
    @Option(help: "Books, one after the other.") var runs = 5
    @Flag(help: "Print JSON.") var json = false

    func validate() throws {
        guard pairs > 0, inFlight > 0, runs > 0 else { throw ValidationError("All numbers must be positive.") }
    }

    func run() async throws {
        var whole: [Double] = []
        var each: [Double] = []
        for _ in 0..<runs {
            let times = try await measured()
            whole.append(times.whole / Double(pairs))
            each += times.each
        }
        try Measurement.report(
            [
                Measurement("pair of hold and settlement, \(inFlight) at once: apart", microseconds: whole),
                Measurement("the same: from the order to the settled answer", microseconds: each),
            ], asJSON: json)
    }

    private enum Fault: Error, CustomStringConvertible {
        case refused(CreditAnswer)

        var description: String { "the issuer does not take what it should: \(self)" }
    }

    /// What one job's two sides sign.
    private struct Pair: Sendable {
        let debtor: DID
        let hold: BookEvent
        let settlement: BookEvent
    }

    private func measured() async throws -> (whole: Double, each: [Double]) {
        let folder = URL(fileURLWithPath: "/tmp/mesh-bench-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let issuer = Identity.generate()
        let store = try MeshStore(path: folder.appendingPathComponent("mesh.sqlite").path, owner: issuer.did.text)
        let desk = IssuerDesk(identity: issuer, store: store)
        let signed = try await prepared(issuer, desk)
        let clock = ContinuousClock()
        let begunAt = clock.now
        let each = try await withThrowingTaskGroup(of: Double.self) { group in
            var (next, times) = (0, [Double]())
            func begin() {
                guard next < signed.count else { return }
                let pair = signed[next]
                next += 1
                group.addTask {
                    let begunAt = clock.now
                    for event in [pair.hold, pair.settlement] {
                        let answer = await desk.answer(.submit(event: event), for: pair.debtor)
                        guard case .taken = answer else { throw Fault.refused(answer) }
                    }
                    return Double((clock.now - begunAt) / .microseconds(1))
                }
            }
            for _ in 0..<inFlight { begin() }
            while let time = try await group.next() {
                times.append(time)
                begin()
            }
            return times
        }
        let whole = Double((clock.now - begunAt) / .microseconds(1))
        try store.close()
        return (whole, each)
    }

    /// A book with as many lines as its quotas ask for, and what is to be given to it.
    private func prepared(_ issuer: Identity, _ desk: IssuerDesk) async throws -> [Pair] {
        let officers = [Identity.generate(), Identity.generate()]
        let arbiter = Identity.generate()
        _ = try await desk.found(
            IssuerFounding(
                unit: "hours", decimals: 2, officers: officers.map(\.did.text), approvals: 2,
                arbiters: [arbiter.did.text]))
        let unit = CreditUnit(name: "hours", decimals: 2)
        guard case .entries(let first, _) = await desk.answer(.charter(size: 1), for: issuer.did),
            case .opened(let block)? = first.first?.opening.read?.event
        else { throw ValidationError("The book was not opened.") }
        let charter = try SignedObject<IssuerCharter>(reading: block)
        let members = (0..<64).map { _ in Identity.generate() }
        let now = UnixMilliseconds(UInt64(Date().timeIntervalSince1970 * 1_000))
        let later = now.advanced(milliseconds: 3_600_000)
        for (number, member) in members.enumerated() {
            let order = OfficerOrder(
                issuerDID: issuer.did, charterCID: charter.bodyCID, number: UInt64(number + 1),
                action: .limit(
                    line: LineID(member.did, unit), owed: CreditLine.limitMax, owing: CreditLine.limitMax,
                    issuer: false))
            guard let cid = order.cid else { continue }
            let approvals = try officers.map {
                try SignedObject.sign(
                    Approval(approverDID: $0.did, orderCID: cid, approvedAt: now, validUntil: later), with: $0
                ).bytes
            }
            let event = BookEvent.ordered(order: order, approvals: approvals)
            let answer = await desk.answer(.submit(event: event), for: member.did)
            guard case .taken = answer else { throw Fault.refused(answer) }
        }
        return try (0..<pairs).map { number in
            let (one, other) = (members[number % 64], members[(number + 1) % 64])
            return try pair(number, one, other, arbiter.did, charter, now, later)
        }
    }

    private func pair(
        _ number: Int, _ originator: Identity, _ executor: Identity, _ arbiter: DID,
        _ charter: SignedObject<IssuerCharter>, _ now: UnixMilliseconds, _ later: UnixMilliseconds
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
                    arbiterDID: arbiter, deliverBy: now.advanced(milliseconds: 600_000), claimBy: later,
                    windowMilliseconds: 60_000, extensionMilliseconds: 60_000),
                nonce: withUnsafeBytes(of: (UInt64(number), UInt64(0)), Array.init), validUntil: later),
            with: originator)
        let settlement = try SignedObject.sign(
            Settlement(
                jobID: job, receiptCID: receipt.cid, originatorDID: originator.did, executorDID: executor.did,
                amountPaid: receipt.body.price, amountRefunded: .zero, verdict: .paid, settledAt: now),
            with: originator)
        return Pair(
            debtor: originator.did, hold: .holdGranted(order: order.bytes),
            settlement: .holdSettled(
                hold: order.bodyCID, settlement: settlement.bytes, receipt: receipt.bytes,
                assignment: assignment.bytes))
    }
}
