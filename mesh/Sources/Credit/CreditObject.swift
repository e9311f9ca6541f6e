import IPLD
import Multiformats
package import SignedObjects

/// A signed object of issuers: short, with bounds of its own, and without fields that this version does not know.
package protocol CreditObject: SignedBody {
    /// The most bytes of a signed one.
    static var bytesMax: Int { get }
    /// The first field that is out of its bounds, by its name on the wire; `nil` if all are within.
    var fieldOutOfBounds: String? { get }
}

/// Whether a block comes from others, or was verified before it was stored.
package enum BlockOrigin: Sendable {
    /// Nobody here has seen it: everything is checked.
    case arrived
    /// It was verified when it came; its signature is not checked again.
    case stored
}

extension SignedObject where Body: CreditObject {
    /// Reads a block: its length, all that `SignedObject` checks, that it has no unknown field, and its bounds.
    package init(reading bytes: [UInt8], _ origin: BlockOrigin = .arrived) throws(CreditObjectError) {
        if bytes.count > Body.bytesMax { throw .tooLarge(bytesMax: Body.bytesMax) }
        do {
            switch origin {
            case .arrived: self = try Self(verifying: bytes)
            case .stored: self = try Self(verifiedBefore: bytes)
            }
        } catch {
            throw .signature(error)
        }
        // What is decoded and encoded again has the same bytes only if nothing was left out.
        guard let again = try? DAGCBOREncoder().encode(body), CID.hashing(again, codec: .dagCBOR) == bodyCID else {
            throw .unknownFields
        }
        if let field = body.fieldOutOfBounds { throw .outOfBounds(field: field) }
    }
}

/// Why a block is no object of issuers.
package enum CreditObjectError: Error, Hashable, Sendable {
    /// It is longer than its type may be.
    case tooLarge(bytesMax: Int)
    /// It is no signed object of its type.
    case signature(SignedObjectError)
    /// It has fields that this version does not know.
    case unknownFields
    /// A field is out of its bounds.
    case outOfBounds(field: String)
}

extension CreditObjectError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .tooLarge(let bytesMax): "it has more than \(bytesMax) bytes"
        case .signature(let error): "\(error)"
        case .unknownFields: "it has fields that this version does not know"
        case .outOfBounds(let field): "its field \(field) is out of bounds"
        }
    }
}
