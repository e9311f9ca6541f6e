/// The pubsub protocols, oldest first.
public enum GossipSubVersion: Int, Comparable, Hashable, Sendable, CaseIterable {
    /// `/floodsub/1.0.0`: the peer gets every message of its topics; no control messages.
    case floodsub
    /// `/meshsub/1.0.0`: meshes and gossip, no back-off in PRUNE.
    case meshsub10
    /// `/meshsub/1.1.0`: back-off in PRUNE, scores, flood publishing.
    case meshsub11

    /// The ID that multistream-select agrees on.
    public var protocolID: String {
        switch self {
        case .floodsub: "/floodsub/1.0.0"
        case .meshsub10: "/meshsub/1.0.0"
        case .meshsub11: "/meshsub/1.1.0"
        }
    }

    /// All IDs, preferred first.
    public static let protocolIDs = allCases.reversed().map(\.protocolID)

    /// The version of an ID; `nil` for an ID that is none of ours.
    public init?(protocolID: String) {
        guard let version = Self.allCases.first(where: { $0.protocolID == protocolID }) else { return nil }
        self = version
    }

    /// Whether the peer understands meshes and gossip.
    public var hasMesh: Bool { self >= .meshsub10 }

    /// Whether PRUNE carries a back-off.
    public var hasBackoff: Bool { self >= .meshsub11 }

    public static func < (left: GossipSubVersion, right: GossipSubVersion) -> Bool {
        left.rawValue < right.rawValue
    }
}
