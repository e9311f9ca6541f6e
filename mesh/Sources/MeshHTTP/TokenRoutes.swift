import Hummingbird
import Multiformats
import NodeAPI

/// The routes of tokens, by which others' jobs are paid.
struct TokenRoutes: Sendable {
    /// What reads requests and writes answers.
    let routes: NodeRoutes

    private var service: any NodeService { routes.service }

    /// Adds them.
    func add(to table: inout APITable) {
        table.get(
            "/v1/credit/tokens", "The tokens that this node holds or gave", answer: .json([TokenView].self)
        ) { _, _ in try routes.json(await service.tokens()) }
        table.post(
            "/v1/credit/tokens", "Gives a token of this node's line at an issuer, or below one that it holds",
            headers: [.init("Idempotency-Key", .text)], body: .json(TokenGift.self), answer: .json(TokenView.self),
            status: 201
        ) { request, _ in
            var gift: TokenGift = try await routes.decode(request)
            gift.idempotencyKey = try IdempotencyKey.of(
                request, orBody: gift.idempotencyKey, bytesMax: routes.limits.idempotencyKeyBytesMax)
            return try routes.json(await service.give(gift), status: .created)
        }
        table.get(
            "/v1/credit/token", "A token, and what is left of it, as its issuer says", for: .change,
            query: [APIOperation.Parameter("token", .text, isRequired: true)], answer: .json(TokenView.self)
        ) { request, _ in
            guard let token = request.uri.queryParameters["token"].map(String.init) else {
                throw NodeServiceError(.invalidRequest, "token is missing: the CID of the token.")
            }
            return try routes.json(await service.token(token))
        }
        table.post(
            "/v1/credit/chains", "Takes a token that was handed to this node", body: .json(TokenHanded.self),
            answer: .json(TokenView.self)
        ) { request, _ in
            let handed: TokenHanded = try await routes.decode(request)
            guard let bytes = try? Multibase.decodeWithoutPrefix(handed.chain, .base64pad) else {
                throw NodeServiceError(.invalidRequest, "chain is no base64.")
            }
            return try routes.json(await service.takeToken(bytes))
        }
        table.post(
            "/v1/credit/revocations", "Ends a token that this node gave, or one below it",
            body: .json(TokenNamed.self), answer: .json(TokenView.self)
        ) { request, _ in
            let named: TokenNamed = try await routes.decode(request)
            return try routes.json(await service.revokeToken(named.token))
        }
    }
}
