import NodeAPI

/// Names that listings give to nodes: the end of a DID, after what stands for the rest.
enum ShownName {
    /// What stands for the beginning of a DID.
    static let ellipsis = "…"

    /// The one of several DIDs that a name means; nil if it is none of them, a refusal if it is more than one.
    static func meant(by name: String, among known: [String]) throws(NodeServiceError) -> String? {
        let meant = Set(known.filter { Readable.short($0) == "\(ellipsis)\(name)" })
        guard meant.count <= 1 else {
            throw NodeServiceError(
                .invalidRequest, "\(meant.count) peers are called \(ellipsis)\(name).",
                hint: "Give the DID of the one that you mean; mesh peers --full and mesh reputation --json print it.")
        }
        return meant.first
    }
}
