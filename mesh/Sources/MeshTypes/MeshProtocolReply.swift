import IPLD
package import Multiformats
import SignedObjects

/// The answer to a direct message, on the same stream: a keyed map with one entry, `{"Ack": {}}`.
package enum MeshProtocolReply: Hashable, Sendable {
    /// Received, and durable if the sender relies on it; also the answer to everything seen before.
    case ack
    /// The executor accepted the assignment; with its signed `AssignmentAcceptance`, which executors of earlier
    /// versions leave out.
    case accepted(assignmentCID: CID, acceptance: [UInt8]? = nil)
    /// The executor declined the assignment; the originator asks the next bidder.
    case declined(Refusal)
    /// The message changed nothing, nor would sending it again.
    case refused(Refusal)

    /// The longest reply, in bytes.
    package static let bytesMax = 4096

    /// Decodes DAG-CBOR of at most `bytesMax` bytes.
    package static func decode(_ bytes: [UInt8]) throws(MeshMessageError) -> MeshProtocolReply {
        try decodeOneEntryMap(MeshProtocolReply.self, bytes, bytesMax: bytesMax)
    }

    /// Encodes as DAG-CBOR of less than `bytesMax` bytes; cuts code and reason to `MeshProtocolMessage.Limits`.
    package func encoded() throws(MeshMessageError) -> [UInt8] {
        try encodeMessage(self)
    }
}

extension MeshProtocolReply: Codable, OneEntryMessage {
    private enum Name: String, CodingKey {
        case ack = "Ack"
        case accepted = "Accepted"
        case declined = "Declined"
        case refused = "Refused"
    }

    private struct Nothing: Codable {}

    private struct Acceptance: Codable {
        var acceptance: [UInt8]?
        var assignmentCID: CID

        var reply: MeshProtocolReply { .accepted(assignmentCID: assignmentCID, acceptance: acceptance) }

        enum CodingKeys: String, CodingKey {
            case acceptance
            case assignmentCID = "assignment_cid"
        }
    }

    private struct Reason: Codable {
        var code: String
        var reason: String
        var winnerDID: DID?
        var winnerPrice: TokenAmount?

        enum CodingKeys: String, CodingKey {
            case code
            case reason
            case winnerDID = "winner_did"
            case winnerPrice = "winner_price"
        }

        /// The reply keeps its bound, whatever the text quotes.
        init(_ refusal: Refusal) {
            let limits = MeshProtocolMessage.Limits()
            code = refusal.code.text.cut(bytesMax: limits.nameBytesMax)
            reason = refusal.text.cut(bytesMax: limits.reasonBytesMax)
            winnerDID = refusal.lostTo?.did
            winnerPrice = refusal.lostTo?.price
        }

        var refusal: Refusal {
            var refusal = Refusal(code: RefusalCode(code), text: reason)
            refusal.lostTo = BidWinner(winnerDID, winnerPrice)
            return refusal
        }
    }

    /// Reads a map with exactly one entry.
    package init(from decoder: any Decoder) throws {
        let text = try oneEntryName(decoder)
        guard let name = Name(rawValue: text) else { throw MeshMessageError.unknownVariant(text) }
        let map = try decoder.container(keyedBy: Name.self)
        switch name {
        case .ack:
            _ = try map.decode(Nothing.self, forKey: name)
            self = .ack
        case .accepted: self = try map.decode(Acceptance.self, forKey: name).reply
        case .declined: self = .declined(try map.decode(Reason.self, forKey: name).refusal)
        case .refused: self = .refused(try map.decode(Reason.self, forKey: name).refusal)
        }
    }

    init(_ name: String, _ payload: DAGCBORNode) throws {
        switch name {
        case Name.ack.rawValue:
            _ = try payload.decode(Nothing.self)
            self = .ack
        case Name.accepted.rawValue:
            self = try payload.decode(Acceptance.self).reply
        case Name.declined.rawValue: self = .declined(try payload.decode(Reason.self).refusal)
        case Name.refused.rawValue: self = .refused(try payload.decode(Reason.self).refusal)
        default: throw MeshMessageError.unknownVariant(name)
        }
    }

    /// Writes a map with one entry.
    package func encode(to encoder: any Encoder) throws {
        var map = encoder.container(keyedBy: Name.self)
        switch self {
        case .ack: try map.encode(Nothing(), forKey: .ack)
        case .accepted(let cid, let acceptance):
            try map.encode(Acceptance(acceptance: acceptance, assignmentCID: cid), forKey: .accepted)
        case .declined(let refusal): try map.encode(Reason(refusal), forKey: .declined)
        case .refused(let refusal): try map.encode(Reason(refusal), forKey: .refused)
        }
    }
}
