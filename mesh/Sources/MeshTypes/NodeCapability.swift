package import Multiformats
package import SignedObjects

/// What an executor advertises, under the names that an `ExecutionPolicy` and `resources_required` ask for.
package struct NodeCapability: Hashable, Sendable, SignedBody {
    /// The executor.
    package var nodeDID: DID
    /// The libp2p spelling of the same key.
    package var peerID: PeerID
    /// Where it can be reached.
    package var addresses: [Multiaddr]
    /// What it offers, by resource type.
    package var resources: ResourceAmounts
    /// The engines it runs, with versions.
    package var engines: [EngineDescription]
    /// The versions of MeshHostABI it offers.
    package var abiVersions: [UInt64]
    /// Features of hardware and engine, sorted.
    package var features: [String]
    /// Where it stands.
    package var region: String?
    /// How busy it is, in thousandths of its capacity.
    package var loadPermille: UInt64
    /// Price hints; a bid is what counts.
    package var basePrice: TokenAmount
    /// Price hint per million fuel.
    package var pricePerMillionFuel: TokenAmount
    /// When this becomes valid.
    package var issuedAt: UnixMilliseconds
    /// When this expires.
    package var validUntil: UnixMilliseconds
    /// A credential about the node.
    package var attestationCID: CID?
    /// The most that the executor takes, by the names of `OfferedLimit`; absent in offers of earlier versions, and what
    /// it does not name is unknown.
    package var limits: ResourceAmounts?
    /// Whether features are left out, because the whole list would be too long.
    package var isAbridged: Bool?
    /// The signed `OperatorCredential` of the executor's operator, if that wants to be known; it counts only as
    /// `provenOperator`.
    package var operatorCredential: [UInt8]?

    /// The capability of a node that offers nothing yet; set what it offers.
    package init(nodeDID: DID, peerID: PeerID, issuedAt: UnixMilliseconds, validUntil: UnixMilliseconds) {
        self.nodeDID = nodeDID
        self.peerID = peerID
        self.issuedAt = issuedAt
        self.validUntil = validUntil
        addresses = []
        resources = [:]
        engines = []
        abiVersions = [1]
        features = []
        loadPermille = 0
        basePrice = .zero
        pricePerMillionFuel = .zero
    }

    /// Whether the executor withdraws its offer: it names neither an engine nor a resource.
    package var offersNothing: Bool { engines.isEmpty && resources.isEmpty }

    /// The type name that is signed.
    package static let typeName = "NodeCapability"
    /// The executor signs.
    package var signerDID: DID { nodeDID }

    enum CodingKeys: String, CodingKey {
        case nodeDID = "node_did"
        case peerID = "peer_id"
        case addresses
        case resources
        case engines
        case abiVersions = "abi_versions"
        case features
        case region
        case loadPermille = "load_permille"
        case basePrice = "base_price"
        case pricePerMillionFuel = "price_per_million_fuel"
        case issuedAt = "issued_at"
        case validUntil = "valid_until"
        case attestationCID = "attestation_cid"
        case limits
        case isAbridged = "abridged"
        case operatorCredential = "operator_credential"
    }
}
