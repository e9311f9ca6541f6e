package import SignedObjects

/// The name of an issuer's log, which its heads begin with: `icn-mesh/issuer/<did>` (PROTOCOL.md, "Issuers").
package enum IssuerLogName {
    private static let prefix = "icn-mesh/issuer/"

    /// The name of the log of an issuer.
    package static func of(_ issuer: DID) -> String { "\(prefix)\(issuer.text)" }

    /// Whose log has a name; nil if it is no issuer's, or not in its one spelling.
    package static func issuer(of name: String) -> DID? {
        guard name.hasPrefix(prefix), let did = try? DID(parsing: String(name.dropFirst(prefix.count))),
            name.utf8.elementsEqual(of(did).utf8)
        else { return nil }
        return did
    }
}
