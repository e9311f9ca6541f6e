import Multiformats
package import NodeAPI

// Tokens: one, which this node holds.
extension ScriptedNode {
    private func required(token: String) throws(NodeServiceError) {
        guard token == Samples.token.token else {
            throw NodeServiceError(.invalidRequest, "The token \(token) is not here.")
        }
    }

    package func give(_ gift: TokenGift) async throws(NodeServiceError) -> TokenView {
        script.given(gift)
        guard gift.amount > 0 else { throw NodeServiceError(.invalidRequest, "The token is impossible.") }
        var view = Samples.token
        (view.amount, view.holder, view.isOwn) = (gift.amount, gift.holder, false)
        return try answer(view)
    }

    package func tokens() async throws(NodeServiceError) -> [TokenView] { try answer([Samples.token]) }

    package func token(_ cid: String) async throws(NodeServiceError) -> TokenView {
        try required(token: cid)
        var view = Samples.token
        (view.left, view.isFrozen) = (150, false)
        return try answer(view)
    }

    package func takeToken(_ chain: [UInt8]) async throws(NodeServiceError) -> TokenView {
        guard !chain.isEmpty else { throw NodeServiceError(.invalidRequest, "These bytes are no chain of tokens.") }
        return try answer(Samples.token)
    }

    package func revokeToken(_ cid: String) async throws(NodeServiceError) -> TokenView {
        try required(token: cid)
        var view = Samples.token
        (view.left, view.revokedBy) = (0, 9)
        return try answer(view)
    }
}

extension Samples {
    /// A token of 2.50 hours.
    package static let token: TokenView = {
        let did = peer.did ?? ""
        var view = TokenView(token: receiptCID.text, chain: "gA==", issuer: issuer.did, givers: [did], holder: did)
        (view.amount, view.unit, view.decimals, view.isOwn) = (250, "hours", 2, true)
        (view.notBefore, view.expiresAt) = (1, 86_400_000)
        view.scope.regions = ["eu"]
        return view
    }()
}
