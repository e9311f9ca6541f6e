import IPLD
import Multiformats
import SignedObjects

/// Every message between nodes (PROTOCOL.md, "Messages"): a keyed map with one entry, `{"JobBidV1": {…}}`.
package enum MeshProtocolMessage: Hashable, Sendable {
    /// What an executor offers.
    case capabilityAdvertisement(CapabilityAdvertisementV1)
    /// A job that wants bids.
    case jobAnnouncement(JobAnnouncementV1)
    /// Non-binding interest.
    case jobInterest(JobInterestV1)
    /// Why there is no bid.
    case jobInquiry(JobInquiryV1)
    /// A bid.
    case jobBid(JobBidV1)
    /// A bid that is shown later.
    case jobBidCommitment(JobBidCommitmentV1)
    /// The bids that count are to be shown.
    case jobBidsSealed(JobBidsSealedV1)
    /// A declined bid.
    case jobBidRefused(JobBidRefusedV1)
    /// An order to run a job.
    case assignJob(AssignJobV1)
    /// An order to stop.
    case cancelJob(CancelJobV1)
    /// The state of a run.
    case jobStatusUpdate(JobStatusUpdateV1)
    /// A receipt exists.
    case executionReceiptAvailable(ExecutionReceiptAvailableV1)
    /// A receipt was settled.
    case jobSettled(JobSettledV1)
    /// A receipt and its outputs are here.
    case jobDelivered(JobDeliveredV1)
    /// Data to a running module.
    case jobInteractiveInput(JobInteractiveDataV1)
    /// Data from a running module.
    case jobInteractiveOutput(JobInteractiveDataV1)
    /// A rating.
    case reputationRecordAvailable(ReputationRecordAvailableV1)
    /// Heads of an anchored DAG.
    case anchorHeads(AnchorHeadsV1)
    /// The signed head of a log.
    case logHead(LogHeadV1)
    /// The proof of two histories of a log.
    case logFork(LogForkV1)

    /// The bounds of messages on the wire.
    package struct Limits: Sendable {
        /// The longest direct message, in bytes.
        package var directBytesMax = 1 << 20
        /// The longest gossip message, in bytes.
        package var gossipBytesMax = 64 << 10
        /// The deepest nesting of a message.
        package var depthMax = 32
        /// The largest integer: the largest signed 64-bit one, as in a store.
        package var integerMax = SignedObjectFormat.integerMax
        /// How much of an unknown variant's name an error tells, in bytes.
        package var nameBytesMax = 64
        /// The longest reason in an error or a reply, in bytes; longer ones are cut.
        package var reasonBytesMax = 1024

        /// The limits of PROTOCOL.md.
        package init() {}
    }

    /// The name of the variant on the wire.
    package enum Variant: String, Hashable, Sendable, CaseIterable, CodingKey {
        /// Gossip of a capability.
        case capabilityAdvertisement = "CapabilityAdvertisementV1"
        /// Gossip of a job.
        case jobAnnouncement = "JobAnnouncementV1"
        /// Non-binding interest.
        case jobInterest = "JobInterestV1"
        /// Why there is no bid.
        case jobInquiry = "JobInquiryV1"
        /// A bid.
        case jobBid = "JobBidV1"
        /// A bid that is shown later.
        case jobBidCommitment = "JobBidCommitmentV1"
        /// The bids that count are to be shown.
        case jobBidsSealed = "JobBidsSealedV1"
        /// A declined bid.
        case jobBidRefused = "JobBidRefusedV1"
        /// An order to run.
        case assignJob = "AssignJobV1"
        /// An order to stop.
        case cancelJob = "CancelJobV1"
        /// The state of a run.
        case jobStatusUpdate = "JobStatusUpdateV1"
        /// A receipt exists.
        case executionReceiptAvailable = "ExecutionReceiptAvailableV1"
        /// A receipt was settled.
        case jobSettled = "JobSettledV1"
        /// A receipt was delivered.
        case jobDelivered = "JobDeliveredV1"
        /// Data to a module.
        case jobInteractiveInput = "JobInteractiveInputV1"
        /// Data from a module.
        case jobInteractiveOutput = "JobInteractiveOutputV1"
        /// A rating.
        case reputationRecordAvailable = "ReputationRecordAvailableV1"
        /// Heads of an anchored DAG.
        case anchorHeads = "AnchorHeadsV1"
        /// The signed head of a log.
        case logHead = "LogHeadV1"
        /// The proof of two histories of a log.
        case logFork = "LogForkV1"
    }

    /// The name of this message's variant.
    package var variant: Variant {
        switch self {
        case .capabilityAdvertisement: .capabilityAdvertisement
        case .jobAnnouncement: .jobAnnouncement
        case .jobInterest: .jobInterest
        case .jobInquiry: .jobInquiry
        case .jobBid: .jobBid
        case .jobBidCommitment: .jobBidCommitment
        case .jobBidsSealed: .jobBidsSealed
        case .jobBidRefused: .jobBidRefused
        case .assignJob: .assignJob
        case .cancelJob: .cancelJob
        case .jobStatusUpdate: .jobStatusUpdate
        case .executionReceiptAvailable: .executionReceiptAvailable
        case .jobSettled: .jobSettled
        case .jobDelivered: .jobDelivered
        case .jobInteractiveInput: .jobInteractiveInput
        case .jobInteractiveOutput: .jobInteractiveOutput
        case .reputationRecordAvailable: .reputationRecordAvailable
        case .anchorHeads: .anchorHeads
        case .logHead: .logHead
        case .logFork: .logFork
        }
    }

    /// Decodes DAG-CBOR; an unknown variant throws its own error, because it is ignored and counted, not a violation.
    package static func decode(
        _ bytes: [UInt8], bytesMax: Int = Limits().directBytesMax
    ) throws(MeshMessageError) -> MeshProtocolMessage {
        try decodeOneEntryMap(MeshProtocolMessage.self, bytes, bytesMax: bytesMax)
    }

    /// Encodes as DAG-CBOR.
    package func encoded() throws(MeshMessageError) -> [UInt8] {
        try encodeMessage(self)
    }
}

extension MeshProtocolMessage: Codable, OneEntryMessage {
    private static let variants = Dictionary(uniqueKeysWithValues: Variant.allCases.map { ($0.rawValue, $0) })

    /// Reads a map with exactly one entry; throws `MeshMessageError.unknownVariant` for a name of a later version.
    package init(from decoder: any Decoder) throws {
        let name = try oneEntryName(decoder)
        guard let variant = Variant(rawValue: name) else { throw MeshMessageError.unknownVariant(name) }
        self = try Self(variant, Payload.container(try decoder.container(keyedBy: Variant.self), variant))
    }

    init(_ name: String, _ payload: DAGCBORNode) throws {
        guard let variant = Self.variants[name] else { throw MeshMessageError.unknownVariant(name) }
        self = try Self(variant, Payload.node(payload))
    }

    /// Where a payload is read from.
    private enum Payload {
        case container(KeyedDecodingContainer<Variant>, Variant)
        case node(DAGCBORNode)

        func payload<Value: Decodable>() throws -> Value {
            switch self {
            case .container(let map, let variant): try map.decode(Value.self, forKey: variant)
            case .node(let node): try node.decode(Value.self)
            }
        }

        /// Straight from the bytes, for what a job consists of.
        func plain<Value: DAGCBORReadable>() throws -> Value {
            switch self {
            case .container(let map, let variant): try map.decode(Value.self, forKey: variant)
            case .node(let node): try node.decode(Value.self)
            }
        }
    }

    private init(_ variant: Variant, _ read: Payload) throws {
        switch variant {
        case .capabilityAdvertisement: self = .capabilityAdvertisement(try read.payload())
        case .jobAnnouncement: self = .jobAnnouncement(try read.plain())
        case .jobInterest: self = .jobInterest(try read.payload())
        case .jobInquiry: self = .jobInquiry(try read.payload())
        case .jobBid: self = .jobBid(try read.plain())
        case .jobBidCommitment: self = .jobBidCommitment(try read.payload())
        case .jobBidsSealed: self = .jobBidsSealed(try read.payload())
        case .jobBidRefused: self = .jobBidRefused(try read.plain())
        case .assignJob: self = .assignJob(try read.plain())
        case .cancelJob: self = .cancelJob(try read.payload())
        case .jobStatusUpdate: self = .jobStatusUpdate(try read.payload())
        case .executionReceiptAvailable: self = .executionReceiptAvailable(try read.plain())
        case .jobSettled: self = .jobSettled(try read.payload())
        case .jobDelivered: self = .jobDelivered(try read.payload())
        case .jobInteractiveInput: self = .jobInteractiveInput(try read.payload())
        case .jobInteractiveOutput: self = .jobInteractiveOutput(try read.payload())
        case .reputationRecordAvailable: self = .reputationRecordAvailable(try read.payload())
        case .anchorHeads: self = .anchorHeads(try read.payload())
        case .logHead: self = .logHead(try read.payload())
        case .logFork: self = .logFork(try read.payload())
        }
    }

    /// Writes a map with one entry.
    package func encode(to encoder: any Encoder) throws {
        var map = encoder.container(keyedBy: Variant.self)
        switch self {
        case .capabilityAdvertisement(let payload): try map.encode(payload, forKey: variant)
        case .jobAnnouncement(let payload): try map.encode(payload, forKey: variant)
        case .jobInterest(let payload): try map.encode(payload, forKey: variant)
        case .jobInquiry(let payload): try map.encode(payload, forKey: variant)
        case .jobBid(let payload): try map.encode(payload, forKey: variant)
        case .jobBidCommitment(let payload): try map.encode(payload, forKey: variant)
        case .jobBidsSealed(let payload): try map.encode(payload, forKey: variant)
        case .jobBidRefused(let payload): try map.encode(payload, forKey: variant)
        case .assignJob(let payload): try map.encode(payload, forKey: variant)
        case .cancelJob(let payload): try map.encode(payload, forKey: variant)
        case .jobStatusUpdate(let payload): try map.encode(payload, forKey: variant)
        case .executionReceiptAvailable(let payload): try map.encode(payload, forKey: variant)
        case .jobSettled(let payload): try map.encode(payload, forKey: variant)
        case .jobDelivered(let payload): try map.encode(payload, forKey: variant)
        case .jobInteractiveInput(let payload), .jobInteractiveOutput(let payload):
            try map.encode(payload, forKey: variant)
        case .reputationRecordAvailable(let payload): try map.encode(payload, forKey: variant)
        case .anchorHeads(let payload): try map.encode(payload, forKey: variant)
        case .logHead(let payload): try map.encode(payload, forKey: variant)
        case .logFork(let payload): try map.encode(payload, forKey: variant)
        }
    }
}
