import Credit
import IPLD
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import SignedObjects

/// The chains of tokens that this node holds, to have its jobs paid, and those in which it gave one, to end it.
struct TokenWallet: Sendable {
    /// The bounds of it.
    enum Limits {
        /// Chains.
        static let chainsMax = 512
        /// How long one is kept after it expired, in milliseconds: as long as a hold by it can last, and a dispute.
        static let keptMilliseconds: UInt64 = 3 * 86_400_000
        /// Bytes of a chain as it is handed on.
        static let chainBytesMax = ScopedResourceToken.Limits.chainMax * (ScopedResourceToken.bytesMax + 8) + 8
    }

    let store: MeshStore

    /// A chain as it is handed on: the DAG-CBOR of the list of its blocks.
    static func bytes(of chain: TokenChain) throws(NodeServiceError) -> [UInt8] {
        guard let bytes = try? DAGCBOREncoder().encode(chain.blocks) else {
            throw NodeServiceError(.internalError, "The tokens could not be written.")
        }
        return bytes
    }

    /// A chain that was handed on.
    static func chain(of bytes: [UInt8], _ origin: BlockOrigin) throws(NodeServiceError) -> TokenChain {
        guard bytes.count <= Limits.chainBytesMax,
            let blocks = try? DAGCBORDecoder().decode([[UInt8]].self, from: bytes)
        else {
            throw NodeServiceError(
                .invalidRequest, "These bytes are no chain of tokens.", hint: "mesh token export writes one.")
        }
        do {
            return try TokenChain(reading: blocks, origin)
        } catch {
            throw NodeServiceError(.invalidRequest, "The tokens do not hold: \(error).")
        }
    }

    /// All chains, by the CIDs of their last tokens.
    func all() async throws(NodeServiceError) -> [TokenChain] {
        let rows = try await stored { () throws(MeshStoreError) in
            try await IssuerWrite.tokens(in: store, limit: Limits.chainsMax)
        }
        var chains: [TokenChain] = []
        for row in rows { chains.append(try Self.chain(of: row, .stored)) }
        return chains
    }

    /// The chain that ends with a token; nil if it is not here.
    func chain(to token: CID) async throws(NodeServiceError) -> TokenChain? {
        let row = try await stored { () throws(MeshStoreError) in try await IssuerWrite.token(token, in: store) }
        return try row.map { bytes throws(NodeServiceError) in try Self.chain(of: bytes, .stored) }
    }

    /// The chain that this node gave under a key; nil if none is kept that it gave so.
    func chain(givenAs key: String) async throws(NodeServiceError) -> TokenChain? {
        let cid = try await stored { () throws(MeshStoreError) in
            try await IssuerWrite.givenToken(key: key, in: store)
        }
        return if let cid { try await chain(to: cid) } else { nil }
    }

    /// Keeps a chain; those that expired make room.
    ///
    /// - Parameter key: the key under which this node gave it: where another was given under it, that one stays.
    func keep(_ chain: TokenChain, givenAs key: String? = nil, now: UnixMilliseconds) async throws(NodeServiceError) {
        let kept = try await all()
        // What was held by one may end days after it: until then its holder is asked about it.
        let over = kept.filter { $0.last.body.expiresAt.advanced(milliseconds: Limits.keptMilliseconds) < now }
        guard kept.count - over.count < Limits.chainsMax || kept.contains(chain) else {
            throw NodeServiceError(.tooLarge, "This node keeps \(Limits.chainsMax) tokens, which is all that it may.")
        }
        let bytes = try Self.bytes(of: chain)
        let cid = chain.last.bodyCID
        let write: IssuerWrite = key.map { .givenToken(key: $0, cid, bytes) } ?? .token(cid, bytes)
        let writes: [StoreWrite] = over.map { .issuer(.token($0.last.bodyCID, nil)) } + [.issuer(write)]
        try await stored { () throws(MeshStoreError) in try await store.commit(writes) }
    }
}
