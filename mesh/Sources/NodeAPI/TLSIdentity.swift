/// With what a node's API proves that it is what clients call it: PEM, and the files that it came from.
package struct TLSIdentity: Sendable {
    /// The file of the certificate.
    package let certificatePath: String
    /// The file of the key.
    package let keyPath: String
    /// The certificate, and those between it and its root.
    package let certificate: [UInt8]
    /// Its key.
    package let key: [UInt8]

    package init(certificatePath: String, keyPath: String, certificate: [UInt8], key: [UInt8]) {
        (self.certificatePath, self.keyPath) = (certificatePath, keyPath)
        (self.certificate, self.key) = (certificate, key)
    }
}
