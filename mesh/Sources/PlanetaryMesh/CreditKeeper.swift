import MeshTypes
import Multiformats
package import NodeAPI

/// Who does what a node does with credit, by its desks.
package protocol CreditKeeper: CreditService, TokenService {
    /// This node at issuers.
    var memberDesk: MemberDesk { get }
}

extension CreditKeeper {
    package func found(_ founding: IssuerFounding) async throws(NodeServiceError) -> IssuerView {
        try await memberDesk.own.found(founding)
    }

    package func ownIssuer() async throws(NodeServiceError) -> IssuerView { try await memberDesk.own.view() }

    package func issuers() async throws(NodeServiceError) -> [IssuerView] { try await memberDesk.all().map(\.view) }

    package func issuer(_ did: String) async throws(NodeServiceError) -> IssuerView {
        try await memberDesk.issuer(did)
    }

    package func statement(at issuer: String) async throws(NodeServiceError) -> StatementView {
        try await memberDesk.statement(at: issuer)
    }

    package func pay(_ payment: CreditPayment) async throws(NodeServiceError) -> CreditPaid {
        try await memberDesk.pay(payment)
    }

    package func officerOrders(at issuer: String) async throws(NodeServiceError) -> [OfficerOrderView] {
        try await memberDesk.officerOrders(at: issuer)
    }

    package func propose(_ proposal: OfficerProposal) async throws(NodeServiceError) -> OfficerOrderView {
        try await memberDesk.propose(proposal)
    }

    package func approve(_ order: String, at issuer: String) async throws(NodeServiceError) -> OfficerOrderView {
        try await memberDesk.approve(order, at: issuer)
    }

    package func audit(_ issuer: String) async throws(NodeServiceError) -> IssuerAuditView {
        try await memberDesk.audit(issuer)
    }

    package func ledger(_ query: LedgerQuery) async throws(NodeServiceError) -> LedgerView {
        try await memberDesk.ledger(query)
    }

    package func give(_ gift: TokenGift) async throws(NodeServiceError) -> TokenView { try await tokenDesk.give(gift) }

    package func tokens() async throws(NodeServiceError) -> [TokenView] { try await tokenDesk.tokens() }

    package func token(_ cid: String) async throws(NodeServiceError) -> TokenView { try await tokenDesk.token(cid) }

    package func takeToken(_ chain: [UInt8]) async throws(NodeServiceError) -> TokenView {
        try await tokenDesk.take(chain)
    }

    package func revokeToken(_ cid: String) async throws(NodeServiceError) -> TokenView {
        try await tokenDesk.revoke(cid)
    }

    private var tokenDesk: TokenDesk { TokenDesk(member: memberDesk) }

    package func enter(_ event: [UInt8], at issuer: String) async throws(NodeServiceError) -> EnteredEvent {
        try await memberDesk.enter(event, at: issuer)
    }
}
