/// The body of a signed object: what is signed, by whom, and under which type name.
public protocol SignedBody: Codable, Sendable {
    /// The name of the type in PROTOCOL.md, "Signed objects"; part of what is signed, so that no object can be passed
    /// off as one of another type.
    static var typeName: String { get }

    /// The field of the body that says who signs it; it must be the DID of the envelope.
    var signerDID: DID { get }
}
