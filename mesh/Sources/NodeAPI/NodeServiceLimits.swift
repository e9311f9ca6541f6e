/// What a node takes from its owner, so that a client refuses a file before it reads and sends it.
package struct NodeLimits: Hashable, Sendable, Codable {
    /// The longest file, and all inputs of a job together, in bytes: `limits.file_bytes_max`.
    package var fileBytesMax: Int
    /// The longest module, in bytes: `limits.module_bytes_max`.
    package var moduleBytesMax: Int

    /// How results are checked where a job says nothing: `originator.verification`; nil from an older node.
    package var verification: String?

    /// The bounds of a node.
    package init(fileBytesMax: Int, moduleBytesMax: Int) {
        self.fileBytesMax = fileBytesMax
        self.moduleBytesMax = moduleBytesMax
    }

    private enum CodingKeys: String, CodingKey {
        case fileBytesMax = "file_bytes_max"
        case moduleBytesMax = "module_bytes_max"
        case verification
    }
}
