/// What a node is called, under the same words in every command.
enum NodeNames {
    /// The short name that all lines use, and the two long ones.
    static func facts(did: String, peerID: String) -> [(name: String, value: String)] {
        [("name", Readable.short(did)), ("DID", did), ("peer ID", peerID)]
    }
}
