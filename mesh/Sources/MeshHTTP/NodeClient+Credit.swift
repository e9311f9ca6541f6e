import NIOHTTP1
package import NodeAPI

extension NodeClient {
    package func found(_ founding: IssuerFounding) async throws(NodeServiceError) -> IssuerView {
        try await post("/v1/credit/own", body: founding)
    }

    package func ownIssuer() async throws(NodeServiceError) -> IssuerView { try await get("/v1/credit/own") }

    package func issuers() async throws(NodeServiceError) -> [IssuerView] { try await get("/v1/credit/issuers") }

    package func issuer(_ did: String) async throws(NodeServiceError) -> IssuerView {
        try await get("/v1/credit/issuer?\(Self.named(did))", seconds: bounds.longAnswerSeconds)
    }

    package func statement(at issuer: String) async throws(NodeServiceError) -> StatementView {
        try await get("/v1/credit/statement?\(Self.named(issuer))", seconds: bounds.longAnswerSeconds)
    }

    package func pay(_ payment: CreditPayment) async throws(NodeServiceError) -> CreditPaid {
        try await post("/v1/credit/payments", body: payment, seconds: bounds.longAnswerSeconds)
    }

    package func officerOrders(at issuer: String) async throws(NodeServiceError) -> [OfficerOrderView] {
        try await get("/v1/credit/orders?\(Self.named(issuer))", seconds: bounds.longAnswerSeconds)
    }

    package func propose(_ proposal: OfficerProposal) async throws(NodeServiceError) -> OfficerOrderView {
        try await post("/v1/credit/orders", body: proposal, seconds: bounds.longAnswerSeconds)
    }

    package func approve(_ order: String, at issuer: String) async throws(NodeServiceError) -> OfficerOrderView {
        try await post(
            "/v1/credit/approvals", body: OfficerApproval(issuer: issuer, orderCID: order),
            seconds: bounds.longAnswerSeconds)
    }

    package func audit(_ issuer: String) async throws(NodeServiceError) -> IssuerAuditView {
        try await post("/v1/credit/audit?\(Self.named(issuer))", seconds: bounds.longAnswerSeconds)
    }

    package func ledger(_ query: LedgerQuery) async throws(NodeServiceError) -> LedgerView {
        var path = "/v1/credit/ledger?\(Self.named(query.issuer))"
        for (name, value) in [("from", query.from), ("until", query.until), ("after", query.after)] {
            if let value { path += "&\(name)=\(value)" }
        }
        return try await get(path, seconds: bounds.longAnswerSeconds)
    }

    package func enter(_ event: [UInt8], at issuer: String) async throws(NodeServiceError) -> EnteredEvent {
        try decode(
            await exchange.answer(
                .POST, "/v1/credit/events?\(Self.named(issuer))", body: event,
                contentType: "application/vnd.ipld.dag-cbor", bytesMax: bounds.responseBytesMax,
                seconds: bounds.longAnswerSeconds))
    }

    private static func named(_ issuer: String) -> String { "issuer=\(JobQueryItems.encoded(issuer))" }
}
