package import Multiformats

/// What a node gives to strangers: the blocks of kept files and folders that its owner made public, and nothing else.
///
/// The seam between the node and its gateway. It reads this node's disk alone; nothing is fetched for a stranger.
package protocol PublicContent: Sendable {
    /// A block as far as strangers may have it, held against its CID, which is of version 1.
    func publicBlock(_ cid: CID) async throws(NodeServiceError) -> PublishedBlock
    /// How many files and folders are public.
    func publicRootCount() async throws(NodeServiceError) -> Int
}

/// What strangers may have of a block.
package enum PublishedBlock: Hashable, Sendable {
    /// Its bytes.
    case here([UInt8])
    /// It was public, and its owner took it back.
    case takenBack
    /// Nothing: strangers do not learn whether it is here.
    case none
}
