public import Multiformats

/// Names a fetch under way.
public struct BlockFetchID: Hashable, Comparable, Sendable {
    let number: UInt64

    /// Orders fetches by their start.
    public static func < (left: BlockFetchID, right: BlockFetchID) -> Bool { left.number < right.number }
}

/// Why one peer did not give a block.
public enum BlockPeerFailure: Hashable, Sendable {
    /// It answered that it lacks the block.
    case doesNotHave
    /// It did not answer in time.
    case timedOut
    /// It could not be reached, or its connection ended.
    case unreachable
    /// It sent a block that does not hash to the CID asked for.
    case sentWrongBlock
}

extension BlockPeerFailure: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .doesNotHave: "it does not have it"
        case .timedOut: "it did not answer in time"
        case .unreachable: "it could not be reached"
        case .sentWrongBlock: "it sent something else"
        }
    }

    /// The same after a number of peers.
    fileprivate var ofSeveral: String {
        switch self {
        case .doesNotHave: "did not have it"
        case .timedOut: "did not answer in time"
        case .unreachable: "could not be reached"
        case .sentWrongBlock: "sent something else"
        }
    }
}

/// Why a block could not be fetched.
public enum BlockFetchError: Error, Hashable, Sendable {
    /// There is nobody to ask.
    case noPeers
    /// All candidates were asked; why each failed, in the order of asking.
    case allPeersFailed([PeerID: BlockPeerFailure])
    /// The caller's time ran out.
    case timedOut
    /// The block is the right one, but larger than the caller takes.
    case tooLarge(bytes: Int, bytesMax: Int)
    /// The CID names another hash than SHA-256; such blocks are not exchanged.
    case unsupportedHash
    /// Too many blocks are being fetched already.
    case tooManyFetches(max: Int)
    /// The caller gave up.
    case cancelled
}

extension BlockFetchError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .noPeers: "there is nobody to ask"
        case .allPeersFailed(let failures): Self.sentence(failures)
        case .timedOut: "nobody sent it in time"
        case .tooLarge(let bytes, let bytesMax): "it has \(bytes) bytes, and at most \(bytesMax) are taken"
        case .unsupportedHash: "its CID is not of SHA-256"
        case .tooManyFetches(let max): "\(max) blocks are being fetched already, the most at once"
        case .cancelled: "the fetch was given up"
        }
    }

    /// How many peers failed in each way.
    private static func sentence(_ failures: [PeerID: BlockPeerFailure]) -> String {
        let kinds: [BlockPeerFailure] = [.doesNotHave, .timedOut, .unreachable, .sentWrongBlock]
        let parts = kinds.compactMap { kind in
            let count = failures.values.count { $0 == kind }
            return count == 0 ? nil : "\(count) \(kind.ofSeveral)"
        }
        return "of \(failures.count) peers asked, " + parts.joined(separator: ", ")
    }
}

/// How a peer broke the protocol.
public enum BitswapViolation: Hashable, Sendable {
    /// It sent a block that nobody asked it for.
    case unsolicitedBlock
    /// It was asked for a block and sent one with another hash.
    case blockDoesNotMatch
    /// It sent a block with a prefix that names no CID.
    case malformedPrefix
}

/// What the shell must do.
public enum BitswapAction: Hashable, Sendable {
    /// Send a message; report `sendFailed` if that fails.
    case send(PeerID, BitswapMessage)
    /// A peer has wants to look up: call `nextWant` and `lookedUp` until there are none left.
    case serve(PeerID)
    /// A fetch ended with a verified block, from this peer.
    case fetched(BlockFetchID, [UInt8], from: PeerID)
    /// A fetch ended without a block.
    case failed(BlockFetchID, BlockFetchError)
    /// A peer broke the protocol, and the core dropped what it sent.
    case peerMisbehaved(PeerID, BitswapViolation)
}

/// What happened so far, for metrics and tests.
public struct BitswapCounters: Hashable, Sendable {
    /// Verified blocks that were asked for.
    public var blocksReceived = 0
    /// Their bytes.
    public var bytesReceived = 0
    /// Blocks sent.
    public var blocksSent = 0
    /// Their bytes.
    public var bytesSent = 0
    /// Blocks that arrived a second time.
    public var duplicateBlocks = 0
    /// Blocks dropped because nobody asked the sender for them.
    public var unsolicitedBlocks = 0
    /// Blocks dropped because they do not hash to what the sender was asked for.
    public var mismatchedBlocks = 0
    /// Wants refused because the peer had as many as it may have.
    public var wantsRefused = 0
    /// Wants forgotten for newer ones, or after their time.
    public var wantsForgotten = 0
}
