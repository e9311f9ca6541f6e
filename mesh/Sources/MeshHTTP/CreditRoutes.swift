import Hummingbird
import Multiformats
import NodeAPI

/// The routes of credit: this node as an issuer, and at issuers. Whatever asks an issuer changes something: this node
/// keeps the newest head that it showed.
struct CreditRoutes: Sendable {
    /// What reads requests and writes answers.
    let routes: NodeRoutes

    private var service: any NodeService { routes.service }

    /// Adds them.
    func add(to table: inout APITable) {
        addIssuers(to: &table)
        let issuer = APIOperation.Parameter("issuer", .text, isRequired: true)
        table.get(
            "/v1/credit/orders", "The officers' orders that wait at an issuer", for: .change, query: [issuer],
            answer: .json([OfficerOrderView].self)
        ) { request, _ in try routes.json(await service.officerOrders(at: named(request))) }
        table.post(
            "/v1/credit/orders", "Proposes an order to the officers of an issuer, and approves it",
            body: .json(OfficerProposal.self), answer: .json(OfficerOrderView.self)
        ) { request, _ in try routes.json(await service.propose(routes.decode(request))) }
        table.post(
            "/v1/credit/approvals", "Approves an order that waits", body: .json(OfficerApproval.self),
            answer: .json(OfficerOrderView.self)
        ) { request, _ in
            let approval: OfficerApproval = try await routes.decode(request)
            return try routes.json(await service.approve(approval.orderCID, at: approval.issuer))
        }
        table.post(
            "/v1/credit/payments", "Orders an issuer to pay somebody", headers: [.init("Idempotency-Key", .text)],
            body: .json(CreditPayment.self), answer: .json(CreditPaid.self)
        ) { request, _ in
            var payment: CreditPayment = try await routes.decode(request)
            payment.idempotencyKey = try IdempotencyKey.of(
                request, orBody: payment.idempotencyKey, bytesMax: routes.limits.idempotencyKeyBytesMax)
            return try routes.json(await service.pay(payment))
        }
        table.post(
            "/v1/credit/events", "Hands an issuer an event of its book, with its evidence", query: [issuer],
            body: .bytes("application/vnd.ipld.dag-cbor"), answer: .json(EnteredEvent.self)
        ) { request, _ in
            let issuer = try named(request)
            return try routes.json(
                await service.enter(routes.body(request, bytesMax: routes.limits.requestBytesMax), at: issuer))
        }
    }

    private func addIssuers(to table: inout APITable) {
        let issuer = APIOperation.Parameter("issuer", .text, isRequired: true)
        table.get(
            "/v1/credit/own", "This node's own book, if it is an issuer", answer: .json(IssuerView.self)
        ) { _, _ in try routes.json(await service.ownIssuer()) }
        table.post(
            "/v1/credit/own", "Makes this node an issuer, for good", body: .json(IssuerFounding.self),
            answer: .json(IssuerView.self), status: 201
        ) { request, _ in try routes.json(await service.found(routes.decode(request)), status: .created) }
        table.get(
            "/v1/credit/issuers", "The issuers that this node asked before", answer: .json([IssuerView].self)
        ) { _, _ in try routes.json(await service.issuers()) }
        table.get(
            "/v1/credit/issuer", "Asks an issuer for its charter, its head, this node's lines and the sums",
            for: .change, query: [issuer], answer: .json(IssuerView.self)
        ) { request, _ in try routes.json(await service.issuer(named(request))) }
        table.get(
            "/v1/credit/statement", "Asks an issuer for this node's bookings, and holds each against the log",
            for: .change, query: [issuer], answer: .json(StatementView.self)
        ) { request, _ in try routes.json(await service.statement(at: named(request))) }
        table.post(
            "/v1/credit/audit", "Holds an issuer's head, commitments and entries against each other",
            query: [issuer], answer: .json(IssuerAuditView.self)
        ) { request, _ in try routes.json(await service.audit(named(request))) }
        let numbers = ["from", "until", "after"].map { APIOperation.Parameter($0, .number(0...Int64.max)) }
        table.get(
            "/v1/credit/ledger", "A part of an issuer's book as double entry, audited first", for: .change,
            query: [issuer] + numbers, answer: .json(LedgerView.self)
        ) { request, _ in
            var query = LedgerQuery(issuer: try named(request))
            func number(_ name: Substring) -> UInt64? { request.uri.queryParameters[name].flatMap { UInt64($0) } }
            (query.from, query.until, query.after) = (number("from"), number("until"), number("after"))
            return try routes.json(await service.ledger(query))
        }
    }

    /// The issuer that a request names.
    private func named(_ request: Request) throws -> String {
        guard let issuer = request.uri.queryParameters["issuer"].map(String.init) else {
            throw NodeServiceError(.invalidRequest, "issuer is missing: the DID of the issuer.")
        }
        return issuer
    }
}
