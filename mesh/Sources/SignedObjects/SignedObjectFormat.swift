import IPLD
package import Multiformats

/// The bytes of signed objects, whatever their type: the envelope, and the message that is signed.
package enum SignedObjectFormat {
    /// The largest block of a signed object: what fits a direct message.
    package static let bytesMax = 1 << 20

    /// The largest integer in a signed object that arrives: the largest signed integer of 64 bits, such as a store's.
    package static let integerMax = UInt64(Int64.max)

    /// The longest reason why a body is malformed, in bytes.
    static let reasonBytesMax = 256

    /// Precedes the type name in every signed message, so that no signature of this mesh is valid elsewhere.
    package static let domain = "icn-mesh/v1/"

    struct Envelope {
        let did: DID
        let signature: [UInt8]
        let body: DAGCBORNode
    }

    /// The message that is signed: domain, type name, a zero byte, the binary CID of the body.
    package static func message(_ typeName: String, _ bodyCID: CID) -> [UInt8] {
        Array(domain.utf8) + Array(typeName.utf8) + [0] + bodyCID.bytes
    }

    static func envelope(body: [UInt8], did: DID, signature: [UInt8]) -> [UInt8] {
        // A map of three; "did" and "sig" sort before "body" because they are shorter.
        var bytes: [UInt8] = [0xA3, 0x63]
        bytes.reserveCapacity(body.count + 160)
        bytes.append(contentsOf: "did".utf8)
        bytes.append(contentsOf: [0x78, UInt8(truncatingIfNeeded: did.text.utf8.count)])
        bytes.append(contentsOf: did.text.utf8)
        bytes.append(0x63)
        bytes.append(contentsOf: "sig".utf8)
        bytes.append(contentsOf: [0x58, UInt8(truncatingIfNeeded: signature.count)])
        bytes.append(contentsOf: signature)
        bytes.append(0x64)
        bytes.append(contentsOf: "body".utf8)
        bytes.append(contentsOf: body)
        return bytes
    }

    static func decodeEnvelope(_ bytes: [UInt8], integerMax: UInt64) throws(SignedObjectError) -> Envelope {
        if bytes.count > bytesMax { throw .tooLarge(bytesMax: bytesMax) }
        let document: DAGCBORDocument
        do {
            document = try DAGCBORDocument(validating: bytes, limits: DAGCBOR.Limits(integerMax: integerMax))
        } catch {
            throw .malformedBlock(error)
        }
        let root = document.root
        guard root.isMap, root.count == 3, let didText = root["did"]?.text, let body = root["body"], body.isMap,
            let signature = root["sig"]?.byteString, signature.count == 64
        else { throw .malformedEnvelope }
        do {
            return Envelope(did: try DID(parsing: didText), signature: Array(signature), body: body)
        } catch {
            throw .malformedDID(error)
        }
    }
}
