public import Multiformats

/// One message of Bitswap 1.2: wants and cancels one way, blocks and presences the other, in any mixture.
public struct BitswapMessage: Hashable, Sendable {
    /// What a peer wants of a block.
    public enum WantKind: UInt64, Sendable, Hashable {
        /// The block itself.
        case block = 0
        /// Only whether the peer has it.
        case have = 1
    }

    /// An entry of the list of wants.
    public struct Want: Hashable, Sendable {
        /// The block.
        public var cid: CID
        /// The block itself or its presence.
        public var kind: WantKind
        /// Whether the peer is to answer DONT_HAVE.
        public var sendDontHave: Bool
        /// Whether this cancels an earlier want.
        public var isCancel: Bool

        /// A want, or a cancellation.
        public init(cid: CID, kind: WantKind = .block, sendDontHave: Bool = true, isCancel: Bool = false) {
            self.cid = cid
            self.kind = kind
            self.sendDontHave = sendDontHave
            self.isCancel = isCancel
        }
    }

    /// A block with what its CID is made of besides the digest.
    public struct Block: Hashable, Sendable {
        /// Version, codec, hash function and digest length, each a varint; `BlockPrefix` reads it.
        public var prefix: [UInt8]
        /// The block.
        public var data: [UInt8]

        /// A block as it goes over the wire.
        public init(prefix: [UInt8], data: [UInt8]) {
            self.prefix = prefix
            self.data = data
        }
    }

    /// Whether the sender has a block.
    public struct Presence: Hashable, Sendable {
        /// The block.
        public var cid: CID
        /// HAVE or DONT_HAVE.
        public var isPresent: Bool

        /// A presence or an absence.
        public init(cid: CID, isPresent: Bool) {
            self.cid = cid
            self.isPresent = isPresent
        }
    }

    /// New wants and cancels.
    public var wants: [Want]
    /// Whether `wants` replaces all earlier wants of the sender.
    public var replacesWants: Bool
    /// Blocks.
    public var blocks: [Block]
    /// Presences and absences.
    public var presences: [Presence]

    public init(
        wants: [Want] = [], replacesWants: Bool = false, blocks: [Block] = [], presences: [Presence] = []
    ) {
        self.wants = wants
        self.replacesWants = replacesWants
        self.blocks = blocks
        self.presences = presences
    }
}

/// Why bytes are not a Bitswap message.
public enum BitswapMessageError: Error, Hashable, Sendable {
    /// More bytes than a message may have.
    case messageTooLarge(bytesMax: Int)
    /// A block of more bytes than a block may have.
    case blockTooLarge(bytesMax: Int)
    /// Not protobuf, or with too many fields.
    case malformed(ProtobufError)
    /// A field has another wire type than the specification gives it.
    case wrongWireType(field: UInt32)
    /// A want or a presence of a kind that the specification does not know.
    case unknownKind(UInt64)
}

extension BitswapMessageError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .messageTooLarge(let bytesMax): "the message has more than \(bytesMax) bytes"
        case .blockTooLarge(let bytesMax): "a block has more than \(bytesMax) bytes"
        case .malformed(let error): "the message does not read: \(error)"
        case .wrongWireType(let field): "field \(field) is of a wrong type"
        case .unknownKind(let kind): "the kind \(kind) is unknown"
        }
    }
}
