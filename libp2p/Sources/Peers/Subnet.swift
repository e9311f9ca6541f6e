/// The addresses that are near one: those that share the bits of a mask with it.
package struct Subnet: Hashable, Sendable {
    /// An address in it, of 4 or 16 bytes.
    package let address: [UInt8]
    /// As many bytes, with the bits that all of its addresses share.
    package let mask: [UInt8]

    package init(address: [UInt8], mask: [UInt8]) { (self.address, self.mask) = (address, mask) }

    /// Whether an address is in it; one of the other family never is.
    package func contains(_ other: [UInt8]) -> Bool {
        address.count == other.count && mask.count == other.count
            && address.indices.allSatisfy { (address[$0] ^ other[$0]) & mask[$0] == 0 }
    }
}
