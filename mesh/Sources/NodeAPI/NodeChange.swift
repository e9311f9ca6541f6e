/// Something that changed at a node: whoever shows it looks again.
package struct NodeChange: Hashable, Sendable, Codable {
    /// What kind of thing changed. The raw values are part of the API.
    package enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        /// A job, or what this node knows of one: `id` is its ID, `what` the name of the event in its journal.
        case job
        /// A peer was connected or lost: `id` is its peer ID, `what` is `connected` or `lost`.
        case peer
        /// An executor's offer came or went: `id` is its DID, `what` is `offered` or `withdrawn`.
        case offer
        /// The balances: `id` is the job that moved them, or of whose hold an issuer booked something; `what` is the
        /// name of the event in its journal, or `hold_` and what the hold is now.
        case money
    }

    /// What kind.
    package var kind: Kind
    /// Which one.
    package var id: String
    /// What happened to it, as a name.
    package var what: String
    /// When, in milliseconds since the Unix epoch.
    package var at: UInt64

    /// Something that changed.
    package init(_ kind: Kind, _ id: String, _ what: String, at: UInt64) {
        self.kind = kind
        self.id = id
        self.what = what
        self.at = at
    }
}

/// What tells of everything that changes at a node.
///
/// The seam between the node and those who show it live; `NodeService` answers what it is that changed.
package protocol ChangeSource: Sendable {
    /// Everything that changes from now on; ends with the node, or when the reader is too slow. Refuses more than a few
    /// readers as overloaded.
    func changes() async throws(NodeServiceError) -> AsyncStream<NodeChange>
}
