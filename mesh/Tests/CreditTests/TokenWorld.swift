import Credit
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

typealias Token = SignedObject<ScopedResourceToken>

/// Tokens, and what is held by them.
extension CreditWorld {
    /// People without a line.
    static let guests = (40...47).map { identity($0) }

    /// A token for 1,000 and an hour.
    func token(
        _ number: UInt8 = 0, from giver: Identity, to holder: DID, below parent: Token? = nil, _ amount: UInt64 = 1_000,
        with change: (inout ScopedResourceToken) -> Void = { _ in }
    ) throws -> Token {
        var body = ScopedResourceToken(
            issuerDID: book.issuer, charterCID: book.charterCID, parentCID: parent?.bodyCID, giverDID: giver.did,
            holderDID: holder, unit: Self.unit, amount: TokenAmount(amount),
            scope: parent?.body.scope ?? TokenScope(), notBefore: Self.start,
            expiresAt: Self.start.advanced(milliseconds: 3_600_000), nonce: [UInt8](repeating: number, count: 16))
        change(&body)
        return try SignedObject.sign(body, with: giver)
    }

    /// A job of somebody with a token, for a member.
    func job(
        _ number: UInt64, of holder: Identity, to executor: Int = 1, price: UInt64 = 100,
        _ change: (inout HoldTerms) -> Void = { _ in }
    ) throws -> HeldJob {
        var job = try HeldJob(
            number, from: holder, to: members[executor], arbiter: arbiter.did, price: price, now: now)
        change(&job.terms)
        return job
    }

    /// The event by which a job's price is held by a chain.
    mutating func held(
        _ job: HeldJob, by chain: [Token], manifest: [UInt8]? = nil, _ change: (inout PaymentOrder) -> Void = { _ in }
    ) throws -> (event: BookEvent, hold: CID) {
        var order = try order(job).body
        order.tokenCID = chain.last?.bodyCID
        change(&order)
        let signed = try SignedObject.sign(order, with: job.originator)
        return (
            .holdGrantedByToken(order: signed.bytes, tokens: chain.map(\.bytes), manifest: manifest), signed.bodyCID
        )
    }

    func revoked(_ chain: [Token], by revoker: Identity, _ token: CID? = nil) throws -> BookEvent {
        let revocation = TokenRevocation(
            issuerDID: book.issuer, revokerDID: revoker.did, tokenCID: try token ?? #require(chain.last).bodyCID,
            revokedAt: now)
        return .tokenRevoked(
            revocation: try SignedObject.sign(revocation, with: revoker).bytes, tokens: chain.map(\.bytes))
    }

    func released(_ job: HeldJob, _ hold: CID) throws -> BookEvent {
        let release = HoldRelease(executorDID: job.executor.did, holdCID: hold, releasedAt: now)
        return .holdReleased(hold: hold, release: try SignedObject.sign(release, with: job.executor).bytes)
    }
}
