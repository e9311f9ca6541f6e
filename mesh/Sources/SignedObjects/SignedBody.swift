package import IPLD

/// The body of a signed object: what is signed, by whom, and under which type name.
package protocol SignedBody: Codable, DAGCBORReadable, Sendable {
    /// The name of the type in PROTOCOL.md, "Signed objects". The signature covers it, so that nobody can pass off an
    /// object as one of another type.
    static var typeName: String { get }

    /// The field of the body that names its signer; it must equal the DID of the envelope.
    var signerDID: DID { get }
}

extension SignedBody {
    /// Leaves every form to `Decodable`; bodies that nodes read all the time have their own.
    package init(plain node: DAGCBORNode) throws(NotPlain) { throw NotPlain() }
}
