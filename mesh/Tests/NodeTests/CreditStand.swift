import Credit
import Foundation
import IPLD
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// An issuer's desk over a database of its own, with officers and members whose keys are all known.
final class CreditStand: Sendable {
    static let unit = CreditUnit(name: "hours", decimals: 2)

    let issuer = Identity.generate()
    let officers = [Identity.generate(), Identity.generate(), Identity.generate()]
    let members = [Identity.generate(), Identity.generate()]
    let auditor = Identity.generate()
    let stranger = Identity.generate()
    let arbiter = Identity.generate()
    let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
    let store: MeshStore
    let desk: IssuerDesk

    var path: String { folder.appendingPathComponent("mesh.sqlite").path }

    init(_ change: (inout IssuerDesk.Limits) -> Void = { _ in }) throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        store = try MeshStore(
            path: folder.appendingPathComponent("mesh.sqlite").path, owner: issuer.did.text)
        var limits = IssuerDesk.Limits()
        limits.questionsBurstPerPeerMax = 1_000
        change(&limits)
        desk = IssuerDesk(identity: issuer, store: store, limits: limits)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    /// The rules of it, for its founding.
    var founding: IssuerFounding {
        IssuerFounding(
            unit: Self.unit.name, decimals: Self.unit.decimals, officers: officers.map(\.did.text), approvals: 2,
            arbiters: [arbiter.did.text])
    }

    /// Founds it, and opens the lines of the members.
    func found(lines: UInt64 = 10_000) async throws {
        _ = try await desk.found(founding)
        for member in members { try await limit(member, lines) }
    }

    /// Another desk over the same database, as after a start.
    func again() async throws(NodeServiceError) -> IssuerDesk {
        let desk = IssuerDesk(identity: issuer, store: store)
        try await desk.load()
        return desk
    }

    func approval(
        _ order: OfficerOrder, by officer: Identity, for milliseconds: UInt64 = 60_000
    ) throws -> [UInt8] {
        let now = NodeClock.wallClock
        return try SignedObject.sign(
            Approval(
                approverDID: officer.did, orderCID: try #require(order.cid), approvedAt: now,
                validUntil: now.advanced(milliseconds: milliseconds)), with: officer
        ).bytes
    }

    /// An order with the number that the desk gives.
    func order(_ action: OfficerOrder.Action) async throws -> OfficerOrder {
        guard case .number(let number) = await desk.answer(.number, for: officers[0].did),
            let charter = await desk.issuer?.book.charterCID
        else { throw NodeServiceError(.internalError, "no number") }
        return OfficerOrder(issuerDID: issuer.did, charterCID: charter, number: number, action: action)
    }

    func propose(_ order: OfficerOrder, by officer: Int = 0) async throws -> CreditAnswer {
        let approval = try approval(order, by: officers[officer])
        return await desk.answer(.propose(order: order, approval: approval), for: officers[officer].did)
    }

    func approve(_ order: OfficerOrder, by officer: Identity) async throws -> CreditAnswer {
        let approval = try approval(order, by: officer)
        return await desk.answer(.approve(order: try #require(order.cid), approval: approval), for: officer.did)
    }

    /// Has two officers carry an action out.
    @discardableResult
    func carryOut(_ action: OfficerOrder.Action) async throws -> UInt64 {
        let order = try await order(action)
        guard case .waits = try await propose(order),
            case .taken(let entry, _, _) = try await approve(order, by: officers[1])
        else { throw NodeServiceError(.internalError, "the order is not carried out") }
        return entry
    }

    func limit(_ member: Identity, _ most: UInt64) async throws {
        try await carryOut(
            .limit(
                line: LineID(member.did, Self.unit), owed: TokenAmount(most), owing: TokenAmount(most), issuer: false))
    }

    /// A payment of one member to another, signed.
    func payment(
        _ amount: UInt64, from debtor: Int = 0, to creditor: Int = 1, hold: HoldTerms? = nil
    ) async throws -> SignedObject<PaymentOrder> {
        let charter = try #require(await desk.issuer?.book.charterCID)
        return try SignedObject.sign(
            PaymentOrder(
                issuerDID: issuer.did, charterCID: charter, debtorDID: members[debtor].did,
                creditorDID: members[creditor].did, amount: TokenAmount(amount), unit: Self.unit, hold: hold,
                nonce: (0..<16).map { _ in UInt8.random(in: 0...255) },
                validUntil: NodeClock.wallClock.advanced(milliseconds: 60_000)), with: members[debtor])
    }

    /// Pays, and returns the entry.
    @discardableResult
    func pay(_ amount: UInt64, from debtor: Int = 0, to creditor: Int = 1) async throws -> UInt64 {
        let order = try await payment(amount, from: debtor, to: creditor)
        guard
            case .taken(let entry, nil, _) = await desk.answer(
                .submit(event: .transferred(order: order.bytes)), for: members[debtor].did)
        else { throw NodeServiceError(.internalError, "the payment is not taken") }
        return entry
    }

    /// The numbers of the entries that an answer opens.
    static func numbers(_ answer: CreditAnswer) -> [UInt64]? {
        guard case .entries(let entries, _) = answer else { return nil }
        return entries.map(\.number)
    }

    static func reason(_ answer: CreditAnswer) -> CreditAnswer.Reason? {
        guard case .refused(let reason, _) = answer else { return nil }
        return reason
    }
}

extension CreditStand {
    /// A copy of a stand's database as it is now.
    static func copied(_ stand: CreditStand) throws -> (store: MeshStore, folder: URL) {
        let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        for suffix in ["", "-wal"] {
            try FileManager.default.copyItem(
                atPath: stand.path + suffix, toPath: folder.appendingPathComponent("mesh.sqlite" + suffix).path)
        }
        return (
            try MeshStore(path: folder.appendingPathComponent("mesh.sqlite").path, owner: stand.issuer.did.text), folder
        )
    }
}
