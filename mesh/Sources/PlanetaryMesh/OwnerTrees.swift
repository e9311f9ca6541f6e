import IPLD
import LibP2P
import MeshStore
import Multiformats
import NodeAPI
import NodeSetup

/// The files and folders of a node's owner as blocks: what of them is missing, what comes, and what is kept.
package struct OwnerTrees: Sendable {
    /// The bounds of one call.
    struct Limits: Sendable {
        /// How long one call of `pin` fetches before it answers how far it is, in milliseconds.
        var pinMilliseconds: Int64 = 10_000
        /// Blocks that one call fetches at the same time.
        var fetchesMax = 16
    }

    let parts: NodeParts
    let room: StoreRoom
    let announcer: RootAnnouncer
    var limits = Limits()

    func block(_ cid: CID, of root: CID) async throws(NodeServiceError) -> [UInt8] {
        do {
            return try await parts.fetcher.block(cid.version1, of: root.version1)
        } catch FetchError.storage(let error) {
            throw NodeServiceError(storage: error)
        } catch {
            throw NodeServiceError(
                .blockNotFound, "\(cid) cannot be had: \(error).",
                hint: "Check the CID, and that this node is connected (mesh peers).")
        }
    }

    func missing(_ cids: [CID]) async throws(NodeServiceError) -> [CID] {
        try await stored { () throws(MeshStoreError) in
            try await StoredTree.missing(of: cids.map(\.version1), in: parts.store)
        }
    }

    func put(_ blocks: [ContentBlock]) async throws(NodeServiceError) {
        for block in blocks where !block.cid.version1.namesMeshContent {
            throw NodeServiceError(
                .invalidRequest, "The block \(block.cid) is not kept: its CID is of a kind that no node here keeps.",
                hint: "CIDs are of version 1 with SHA-256, and raw, dag-pb or dag-cbor.")
        }
        try room.require("The blocks were not kept")
        do throws(MeshStoreError) {
            // It holds every block against its CID, so nobody before it need.
            try await parts.store.commit(blocks.map { .block(cid: $0.cid.version1, bytes: $0.bytes) })
        } catch {
            if case .blockMismatch = error {
                throw NodeServiceError(.invalidRequest, "The blocks cannot be read: \(error).")
            }
            throw NodeServiceError(storage: error)
        }
    }

    func put(_ part: FilePart) async throws(NodeServiceError) -> FileLeaves {
        try room.require("The file was not kept")
        let blocks = try await OwnerFilePart.chunks(of: part)
        let missing = Set(try await missing(blocks.map(\.cid)))
        var seen: Set<CID> = []
        let lacked = blocks.filter { missing.contains($0.cid) && seen.insert($0.cid).inserted }
        if !lacked.isEmpty {
            try await stored { () throws(MeshStoreError) in try await parts.store.commit(lacked.map { .hashed($0) }) }
        }
        return FileLeaves(
            cids: blocks.map(\.cid.text), bytes: blocks.reduce(0) { $0 + UInt64($1.bytes.count) },
            newBlocks: lacked.count, newBytes: lacked.reduce(0) { $0 + UInt64($1.bytes.count) })
    }

    func pin(_ root: CID, fetching: Bool) async throws(NodeServiceError) -> PinnedTree {
        let root = root.version1
        let walk = TreeWalk(under: root)
        // What comes in this call is walked on from; at the end all of it must be there at once.
        var tree = try await looked(root) { () throws(MeshStoreError) in try await walk.goOn(in: parts.store) }
        let end = ContinuousClock.now + .milliseconds(limits.pinMilliseconds)
        var hasFetched = false
        var hasMetProviders = false
        while true {
            if tree.missing.isEmpty, hasFetched {
                hasFetched = false
                tree = try await looked(root) { () throws(MeshStoreError) in
                    try await StoredTree.under(root, in: parts.store)
                }
            }
            let isWhole = tree.missing.isEmpty
            if isWhole || !fetching || ContinuousClock.now >= end {
                if isWhole { try await keep(root) }
                return PinnedTree(
                    cid: root.text, isPinned: isWhole, blocks: tree.blocks, bytes: tree.bytes,
                    missing: tree.missing.map(\.text))
            }
            try room.require("The file was not pinned")
            // Of a small tree the first giver is quicker than a search for others.
            if tree.missing.count >= limits.fetchesMax, !hasMetProviders {
                hasMetProviders = true
                await parts.fetcher.meetProviders(of: root)
            }
            try await fetch(tree.missing, of: root, until: end)
            hasFetched = true
            tree = try await looked(root) { () throws(MeshStoreError) in try await walk.goOn(in: parts.store) }
        }
    }

    func pins(after next: Int64?, limit: Int) async throws(NodeServiceError) -> PinPage {
        let page = try await stored { () throws(MeshStoreError) in
            try await parts.store.roots(files: true, before: next ?? .max, limit: limit)
        }
        let open = try await stored { () throws(MeshStoreError) in
            try await PublicBlock.roots(among: page.map(\.cid), in: parts.store)
        }
        return PinPage(
            pins: page.map(\.cid.text), publicPins: page.map(\.cid).filter(open.contains).map(\.text),
            next: page.count == limit ? page.last?.sequence : nil)
    }

    func publish(_ root: CID, isPublic: Bool) async throws(NodeServiceError) -> Publication {
        let root = root.version1
        guard !isPublic || root.codec == .dagPB || root.codec == .raw else {
            throw NodeServiceError(
                .conflict, "\(root) is no file or folder.", hint: "Nothing else is made public.")
        }
        do throws(MeshStoreError) {
            try await parts.store.commit([.publication(root: root, isOpen: isPublic)])
        } catch .notKept {
            throw NodeServiceError(
                .blockNotFound, "\(root) is not kept here.",
                hint: "Keep it with mesh pin add \(root); mesh pin ls lists what is kept.")
        } catch {
            throw NodeServiceError(storage: error)
        }
        return Publication(
            cid: root.text, isPublic: isPublic, isServed: isPublic && parts.configuration.gateway.listen != nil)
    }

    func publicBlock(_ cid: CID) async throws(NodeServiceError) -> PublishedBlock {
        let block = try await stored { () throws(MeshStoreError) in try await PublicBlock.of(cid, in: parts.store) }
        return switch block {
        case .here(let bytes): .here(bytes)
        case .takenBack: .takenBack
        case .none: .none
        }
    }

    func publicRootCount() async throws(NodeServiceError) -> Int {
        try await stored { () throws(MeshStoreError) in try await PublicBlock.rootCount(in: parts.store) }
    }

    private func keep(_ root: CID) async throws(NodeServiceError) {
        try await stored { () throws(MeshStoreError) in try await parts.store.commit([.file(root: root)]) }
        announcer.added(root)
    }

    private func looked(
        _ root: CID, _ look: @Sendable () async throws(MeshStoreError) -> StoredTree?
    ) async throws(NodeServiceError) -> StoredTree {
        guard let tree = try await stored(look) else {
            throw NodeServiceError(
                .tooLarge, "\(root) has more than \(parts.store.limits.treeBlocksMax) blocks.",
                hint: "Keep parts of it.")
        }
        return tree
    }

    /// Fetches blocks, a few at the same time, until it is late; the first that nobody has ends it.
    private func fetch(
        _ cids: [CID], of root: CID, until end: ContinuousClock.Instant
    ) async throws(NodeServiceError) {
        let result = await withTaskGroup(of: Result<Void, NodeServiceError>.self) { group in
            var rest = cids[...]
            var running = 0
            while true {
                while running < limits.fetchesMax, ContinuousClock.now < end, let cid = rest.popFirst() {
                    running += 1
                    group.addTask {
                        do throws(NodeServiceError) {
                            _ = try await block(cid, of: root)
                            return .success(())
                        } catch {
                            return .failure(error)
                        }
                    }
                }
                guard let next = await group.next() else { return Result<Void, NodeServiceError>.success(()) }
                running -= 1
                if case .failure = next {
                    group.cancelAll()
                    return next
                }
            }
        }
        try result.get()
    }
}
