import Determinism
import Multiformats
import OrderedCollections

/// One operation under way: its walk, what it has gathered, and which requests it waits for.
struct KademliaQuery: Sendable {
    enum Phase: Sendable {
        /// Looks for the closest servers, or for what they have.
        case walking
        /// The closest were told; some have not confirmed yet.
        case storing(asked: Int, confirmed: [PeerID])
    }

    /// Who started it, which decides what its end leads to.
    enum Owner: Sendable, Hashable {
        case caller
        case refresh
        case republication
    }

    let id: QueryID
    let operation: KademliaOperation
    let owner: Owner
    let deadline: MonotonicInstant
    var lookup: Lookup
    var phase = Phase.walking
    var requests: OrderedSet<RequestID> = []
    var values: [(value: [UInt8], from: PeerID)] = []
    var invalidRecords = 0
    var lastRefusal: RecordRefusal?
    var providers: OrderedDictionary<PeerID, PeerInfo> = [:]

    /// What the walk asks each peer.
    var question: KademliaMessage {
        switch operation {
        case .findPeer, .findClosest, .putValue, .provide: KademliaMessage(kind: .findNode, key: operation.key)
        case .getValue: KademliaMessage(kind: .getValue, key: operation.key)
        case .findProviders: KademliaMessage(kind: .getProviders, key: operation.key)
        }
    }
}
