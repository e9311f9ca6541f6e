import IPLD
import Multiformats

/// Why bytes are not a message.
package enum MeshMessageError: Error, Hashable, Sendable {
    /// A variant of another version of the protocol: ignored and counted, never a violation.
    case unknownVariant(String)
    /// More bytes than such a message may have.
    case tooLarge(bytes: Int, bytesMax: Int)
    /// Not a map with exactly one entry.
    case notOneEntry(count: Int)
    /// An integer larger than messages may carry.
    case numberTooLarge(max: UInt64)
    /// Not canonical DAG-CBOR, or a field is missing or of another type.
    case malformed(String)
}

extension MeshMessageError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .unknownVariant(let name): "messages called \(name) are unknown here"
        case .tooLarge(let bytes, let bytesMax): "\(bytes) bytes, of at most \(bytesMax)"
        case .notOneEntry(let count): "\(count) entries in place of one"
        case .numberTooLarge(let max): "a number is above \(max)"
        case .malformed(let reason): "it does not read: \(reason)"
        }
    }
}

extension MeshMessageError {
    /// A stable name of the reason, for the reply.
    package var name: RefusalName {
        switch self {
        case .unknownVariant: .unknownVariant
        case .numberTooLarge: .numberTooLarge
        case .tooLarge, .notOneEntry, .malformed: .malformed
        }
    }
}

/// The name of the only entry of a map.
func oneEntryName(_ decoder: any Decoder) throws -> String {
    let keys = try decoder.container(keyedBy: TextKey.self).allKeys
    guard keys.count == 1, let key = keys.first else { throw MeshMessageError.notOneEntry(count: keys.count) }
    return key.stringValue.cut(bytesMax: MeshProtocolMessage.Limits().nameBytesMax)
}

/// A message that is a map with one entry: the name of its variant, with the payload.
protocol OneEntryMessage: Decodable {
    /// The message of a variant.
    init(_ name: String, _ payload: DAGCBORNode) throws
}

func decodeOneEntryMap<Message: OneEntryMessage>(
    _ type: Message.Type, _ bytes: [UInt8], bytesMax: Int
) throws(MeshMessageError) -> Message {
    guard bytes.count <= bytesMax else { throw .tooLarge(bytes: bytes.count, bytesMax: bytesMax) }
    let bounds = MeshProtocolMessage.Limits()
    let limits = DAGCBOR.Limits(depthMax: bounds.depthMax, bytesMax: bytesMax, integerMax: bounds.integerMax)
    do {
        let root = try DAGCBORDocument(validating: bytes, limits: limits).root
        // What is no map is refused in the decoder's words.
        guard root.isMap else { return try root.decode(type) }
        guard let (name, payload) = root.onlyEntry else { throw MeshMessageError.notOneEntry(count: root.count ?? 0) }
        return try Message(name.cut(bytesMax: bounds.nameBytesMax), payload)
    } catch let error as MeshMessageError {
        throw error
    } catch DAGCBORError.integerTooLarge(let max, _) {
        throw .numberTooLarge(max: max)
    } catch {
        throw .malformed(CodingWords.of(error).cut(bytesMax: bounds.reasonBytesMax))
    }
}

func encodeMessage(_ message: some Encodable) throws(MeshMessageError) -> [UInt8] {
    do {
        return try DAGCBOREncoder().encode(message)
    } catch {
        throw .malformed(CodingWords.of(error).cut(bytesMax: MeshProtocolMessage.Limits().reasonBytesMax))
    }
}
