import Bitswap
package import Determinism
package import Multiformats
package import NodeCore
package import P2PTesting

/// A simulated node that exchanges blocks: the Bitswap core on streams, with a store that answers at once.
package struct BlockNode: SimulatedNode {
    /// What a scenario can tell the node to do.
    package enum Command: Sendable {
        /// Store a block.
        case store(MadeBlock)
        /// Fetch a block from these nodes, the likeliest first, within this time.
        case fetch(CID, from: [SimulatedNodeID], milliseconds: Int64)
        /// Take what comes, and never answer.
        case fallSilent
    }

    /// Wants that a node keeps of a peer: fewer than in the product, so that a round is short.
    static let wantsPerPeerMax = 32
    private static let protocolID = "/ipfs/bitswap/1.2.0"

    /// The core.
    private(set) var core: BitswapCore
    /// The fetches that ended, by their numbers in the order of the commands: with a block, or without.
    package private(set) var ended: [Int: Bool] = [:]
    private let directory: OverlayDirectory
    private var store: [CID: [UInt8]] = [:]
    private var numbers: [BlockFetchID: Int] = [:]
    private var fetchCount = 0
    private var isSilent = false

    package init(directory: OverlayDirectory) {
        self.directory = directory
        var limits = BitswapCore.Limits()
        limits.wantsPerPeerMax = Self.wantsPerPeerMax
        core = BitswapCore(limits: limits)
    }

    package var nextDeadline: MonotonicInstant? { core.nextDeadline }

    package func checkInvariants() { core.checkInvariants() }

    package mutating func started(_ context: inout SimulatedContext) {}

    package mutating func received(
        _ message: SimulatedMessage, from sender: SimulatedNodeID, _ context: inout SimulatedContext
    ) {
        guard !isSilent, let message = try? BitswapMessageCoding.decode(message.bytes) else { return }
        carryOut(core.messageArrived(message, from: directory.peer(sender), now: context.now), &context)
    }

    package mutating func sendFailed(
        _ message: SimulatedMessage, to node: SimulatedNodeID, _ context: inout SimulatedContext
    ) {
        carryOut(core.peerLost(directory.peer(node), now: context.now), &context)
    }

    package mutating func commanded(_ command: Command, _ context: inout SimulatedContext) {
        switch command {
        case .store(let block):
            store[block.cid] = block.bytes
            carryOut(core.blockAdded(block.cid), &context)
        case .fetch(let cid, let nodes, let milliseconds):
            let (id, actions) = core.fetch(
                cid, from: nodes.map(directory.peer), bytesMax: 1 << 20,
                deadline: context.now.advanced(milliseconds: milliseconds), now: context.now)
            numbers[id] = fetchCount
            fetchCount += 1
            carryOut(actions, &context)
        case .fallSilent: isSilent = true
        }
    }

    package mutating func deadlineReached(_ context: inout SimulatedContext) {
        carryOut(core.deadlineReached(now: context.now), &context)
    }

    private mutating func carryOut(_ actions: [BitswapAction], _ context: inout SimulatedContext) {
        for action in actions {
            switch action {
            case .send(let peer, let message): send(message, to: peer, &context)
            case .serve(let peer):
                while let want = core.nextWant(of: peer) {
                    let found = store[want.cid].map { BlockLookup.block($0) } ?? .missing
                    if let answer = core.lookedUp(want.cid, for: peer, found) { send(answer, to: peer, &context) }
                }
            case .fetched(let id, _, _): end(id, isHere: true, &context)
            case .failed(let id, let error):
                context.note("\(error)")
                end(id, isHere: false, &context)
            case .peerMisbehaved(let peer, let violation): context.note("blames \(peer): \(violation)")
            }
        }
    }

    private mutating func send(_ message: BitswapMessage, to peer: PeerID, _ context: inout SimulatedContext) {
        guard let node = directory.node(peer) else { return }
        context.send(
            BitswapMessageCoding.encode(message), to: node, protocolID: Self.protocolID, channel: .stream(0))
    }

    private mutating func end(_ id: BlockFetchID, isHere: Bool, _ context: inout SimulatedContext) {
        guard let number = numbers.removeValue(forKey: id) else { return }
        context.note("fetch \(number) ended \(isHere ? "with" : "without") the block")
        ended[number] = isHere
    }
}
