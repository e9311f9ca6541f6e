package import Multiformats
package import NodeAPI

/// Who keeps trees of files for its owner, by the desk for them.
package protocol TreeKeeper: Sendable {
    /// The trees, and what is published of them.
    var trees: OwnerTrees { get }
}

extension TreeKeeper {
    package func block(_ cid: CID, of root: CID) async throws(NodeServiceError) -> [UInt8] {
        try await trees.block(cid, of: root)
    }

    package func missing(_ cids: [CID]) async throws(NodeServiceError) -> [CID] {
        try await trees.missing(cids)
    }

    package func put(_ blocks: [ContentBlock]) async throws(NodeServiceError) {
        try await trees.put(blocks)
    }

    package func put(_ part: FilePart) async throws(NodeServiceError) -> FileLeaves {
        try await trees.put(part)
    }

    package func pin(_ root: CID, fetching: Bool) async throws(NodeServiceError) -> PinnedTree {
        try await trees.pin(root, fetching: fetching)
    }

    package func pins(after next: Int64?, limit: Int) async throws(NodeServiceError) -> PinPage {
        try await trees.pins(after: next, limit: limit)
    }

    package func publish(_ root: CID, isPublic: Bool) async throws(NodeServiceError) -> Publication {
        try await trees.publish(root, isPublic: isPublic)
    }

    package func publicBlock(_ cid: CID) async throws(NodeServiceError) -> PublishedBlock {
        try await trees.publicBlock(cid)
    }

    package func publicRootCount() async throws(NodeServiceError) -> Int {
        try await trees.publicRootCount()
    }
}
