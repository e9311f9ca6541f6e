import DequeModule
import LibP2P
import MeshTypes
import Multiformats
import SignedObjects
import Synchronization

/// Who is named as having a receipt or an output: by gossip, executors their receipts; by receipts, their two sides
/// what came out.
///
/// A hint and no more: those who are named are asked for a moment, before the DHT is walked. Everybody may name
/// himself, so each peer has a share of the places, and the first to be named for something stays.
struct HolderBook: Sendable {
    /// The bounds of the book.
    struct Limits: Sendable {
        /// Names of receipts and outputs, in all and of one peer; one more puts out the eldest of whoever has most.
        var namesMax = 8_192
        var namesPerPeerMax = 512
        /// Peers for one receipt or output.
        var peersPerNameMax = 2
        /// Peers whose addresses are remembered, how many of each, and the bytes of one.
        var peersMax = 1_024
        var addressesPerPeerMax = 4
        var addressBytesMax = 256
        /// Outputs of one receipt.
        var outputsPerReceiptMax = 64
    }

    /// A peer, and where it said that it is.
    struct Holder: Hashable, Sendable {
        let peer: PeerID
        let addresses: [Multiaddr]
    }

    private let limits: Limits
    private var holders: [CID: [PeerID]] = [:]
    /// What each peer is named for, the eldest first.
    private var named: [PeerID: Deque<CID>] = [:]
    private var addresses: [PeerID: [Multiaddr]] = [:]
    /// Peers with addresses, in the order in which they were first heard.
    private var order = Deque<PeerID>()
    /// Names of all peers together.
    private(set) var nameCount = 0

    init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Peers whose addresses are remembered.
    var peerCount: Int { addresses.count }

    /// Who is named for a receipt or an output, the first first.
    func holders(of cid: CID) -> [Holder] {
        (holders[cid] ?? []).map { Holder(peer: $0, addresses: addresses[$0] ?? []) }
    }

    /// Where a peer said that it is.
    func addresses(of peer: PeerID) -> [Multiaddr] { addresses[peer] ?? [] }

    /// An executor told everybody of a receipt of its own, and where it is.
    mutating func heard(_ notice: ExecutionReceiptAvailableV1) {
        let peer = notice.executorDID.peerID
        name(peer, for: notice.receiptCID)
        let told = notice.providerAddresses.filter { $0.bytes.count <= limits.addressBytesMax }
        guard !told.isEmpty else { return }
        if addresses.updateValue(Array(told.prefix(limits.addressesPerPeerMax)), forKey: peer) == nil {
            order.append(peer)
        }
        while addresses.count > limits.peersMax, let eldest = order.popFirst() { addresses[eldest] = nil }
    }

    /// A receipt was read: its executor has what came out, and its originator fetched it.
    mutating func saw(_ receipt: ExecutionReceipt) {
        for cid in receipt.outputBlocks.prefix(limits.outputsPerReceiptMax) {
            name(receipt.executorDID.peerID, for: cid)
            name(receipt.originatorDID.peerID, for: cid)
        }
    }

    private mutating func name(_ peer: PeerID, for cid: CID) {
        let known = holders[cid] ?? []
        guard known.count < limits.peersPerNameMax, !known.contains(peer) else { return }
        holders[cid] = known + [peer]
        named[peer, default: []].append(cid)
        nameCount += 1
        if named[peer]?.count ?? 0 > limits.namesPerPeerMax { dropEldest(of: peer) }
        while nameCount > limits.namesMax, let most = named.max(by: { $0.value.count < $1.value.count })?.key {
            dropEldest(of: most)
        }
    }

    private mutating func dropEldest(of peer: PeerID) {
        guard let cid = named[peer]?.popFirst() else { return }
        nameCount -= 1
        if named[peer]?.isEmpty ?? false { named[peer] = nil }
        holders[cid]?.removeAll { $0 == peer }
        if holders[cid]?.isEmpty ?? false { holders[cid] = nil }
    }
}

/// The book of a node, for gossip that fills it and fetches that ask it.
final class NamedHolders: Sendable {
    private let book: Mutex<HolderBook>

    init(limits: HolderBook.Limits = HolderBook.Limits()) {
        book = Mutex(HolderBook(limits: limits))
    }

    /// Who is named for a receipt or an output.
    func holders(of cid: CID) -> [HolderBook.Holder] { book.withLock { $0.holders(of: cid) } }

    /// Where a peer said that it is.
    func addresses(of peer: PeerID) -> [Multiaddr] { book.withLock { $0.addresses(of: peer) } }

    /// A gossip message was accepted; one about a receipt names who has it.
    func heard(_ data: [UInt8], topic: String) {
        guard topic == MeshTopics.receipts,
            case .executionReceiptAvailable(let notice)? = try? MeshProtocolMessage.decode(
                data, bytesMax: MeshProtocolMessage.Limits().gossipBytesMax)
        else { return }
        book.withLock { $0.heard(notice) }
    }

    /// A receipt was read whose signature holds.
    func saw(_ receipt: ExecutionReceipt) { book.withLock { $0.saw(receipt) } }
}
