import Multiformats
package import NodeAPI

extension NodeClient {
    package func give(_ gift: TokenGift) async throws(NodeServiceError) -> TokenView {
        try await post("/v1/credit/tokens", body: gift, seconds: bounds.longAnswerSeconds)
    }

    package func tokens() async throws(NodeServiceError) -> [TokenView] { try await get("/v1/credit/tokens") }

    package func token(_ cid: String) async throws(NodeServiceError) -> TokenView {
        try await get("/v1/credit/token?token=\(JobQueryItems.encoded(cid))", seconds: bounds.longAnswerSeconds)
    }

    package func takeToken(_ chain: [UInt8]) async throws(NodeServiceError) -> TokenView {
        try await post(
            "/v1/credit/chains", body: TokenHanded(chain: Multibase.encodeWithoutPrefix(chain, .base64pad)))
    }

    package func revokeToken(_ cid: String) async throws(NodeServiceError) -> TokenView {
        try await post("/v1/credit/revocations", body: TokenNamed(token: cid), seconds: bounds.longAnswerSeconds)
    }
}
