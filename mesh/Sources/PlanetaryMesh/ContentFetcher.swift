import Bitswap
import IPLD
import Kademlia
import LibP2P
import MeshStore
import Multiformats
import P2PServices

/// Blocks and files by CID: from this node's store, else from peers that are likely to have them, else from the DHT's
/// providers. For a caller that names no peer it asks who is named by gossip or a receipt, then the connected ones. It
/// checks everything that arrives against its CID before anybody sees it.
///
/// Equal requests at the same time share one request to the network (`BitswapCore`), so a popular module is requested
/// once; each has its own peers and its own end, and decides whether to keep the block.
struct ContentFetcher: Sendable {
    /// The bounds of fetching.
    struct Limits: Sendable {
        /// How long one block may take from all peers together, in milliseconds.
        var blockMilliseconds: Int64 = 15_000
        /// How long those are asked who are named for a block, with the dials to them, before anybody else, in
        /// milliseconds.
        var namedMilliseconds: Int64 = 3_000
        /// Providers to ask the DHT for, per block.
        var providersMax = 8
        /// Connected peers to ask if the caller names none.
        var connectedPeersMax = 32
        /// A block, in bytes.
        var blockBytesMax = 2 << 20
    }

    let store: MeshStore
    let bitswap: BitswapService
    let dht: KademliaService
    let host: any StreamHost
    var limits = Limits()
    let givers = BlockGivers()
    let named = NamedHolders()

    /// A file, and its blocks that came from others.
    struct File: Sendable {
        var bytes: [UInt8] = []
        var arrived: [(cid: CID, bytes: [UInt8])] = []
    }

    /// A block; stored if it came from others and `keep` says so.
    func block(_ cid: CID, from peers: [PeerID], keep: Bool = true) async throws(FetchError) -> [UInt8] {
        let found = try await located(cid, from: peers)
        if keep, found.source != nil { try await self.keep([(cid, found.block)]) }
        return found.block
    }

    /// A block of the file or folder under a root: from the store, else from who gave others of it, else from who
    /// announced the root. It is stored.
    func block(_ cid: CID, of root: CID) async throws(FetchError) -> [UInt8] {
        if let block = cid.ownBlock { return block }
        let found = try await located(cid, of: root, by: givers.sources(of: root))
        if let source = found.source {
            givers.gave(source, root)
            try await keep([(cid, found.block)])
        }
        return found.block
    }

    /// A file, of one block or many, of at most `bytesMax` bytes.
    func file(_ root: CID, from peers: [PeerID], bytesMax: Int, keep: Bool = true) async throws(FetchError) -> [UInt8] {
        try await read(root, from: peers, bytesMax: bytesMax, keep: keep).bytes
    }

    /// Like `file`, but stores nothing: returns the blocks from others with it.
    ///
    /// - Parameter arrived: receives the size of each block as it arrives.
    func unkept(
        _ root: CID, from peers: [PeerID], bytesMax: Int, arrived: @Sendable (Int) async -> Void = { _ in }
    ) async throws(FetchError) -> File {
        try await read(root, from: peers, bytesMax: bytesMax, keep: false, arrived: arrived)
    }

    /// Stores blocks that came from others, for a job if they are its outputs.
    func keep(_ blocks: [(cid: CID, bytes: [UInt8])], of job: CID? = nil) async throws(FetchError) {
        do {
            try await store.commit(
                blocks.map { block in
                    guard let job else { return .block(cid: block.cid, bytes: block.bytes) }
                    return .output(cid: block.cid, bytes: block.bytes, jobID: job)
                })
        } catch {
            throw .storage(error)
        }
    }

    /// Providers announce only the root of a file, so whoever has the root is asked for the rest too; the giver of the
    /// last block is asked first for the next.
    private func read(
        _ root: CID, from peers: [PeerID], bytesMax: Int, keep: Bool,
        arrived: @Sendable (Int) async -> Void = { _ in }
    ) async throws(FetchError) -> File {
        var reader = UnixFSReader(root: root, bytesMax: bytesMax)
        var file = File()
        var sources = peers
        var hasProviders = false
        while let next = reader.next {
            let found: BitswapService.Fetched
            do {
                found = try await located(next, from: sources)
            } catch {
                guard case .notFound = error, next != root, !hasProviders else { throw error }
                hasProviders = true
                sources += await providers(of: root).filter { !sources.contains($0) }
                found = try await located(next, from: sources)
            }
            await arrived(found.block.count)
            if let source = found.source {
                sources = [source] + sources.filter { $0 != source }
                if keep {
                    try await self.keep([(next, found.block)])
                } else {
                    file.arrived.append((next, found.block))
                }
            }
            do {
                try reader.received(found.block)
            } catch {
                throw .notAFile(root, error)
            }
        }
        file.bytes = reader.bytes
        return file
    }

    /// A block of the file or folder under a root, from those whose turn it is, else from who announced the root.
    func located(
        _ cid: CID, of root: CID, by sources: BlockSources
    ) async throws(FetchError) -> BitswapService.Fetched {
        let turn = sources.takeTurn()
        do throws(FetchError) {
            let found = try await located(cid, from: turn)
            sources.ended(turn, givenBy: found.source)
            return found
        } catch {
            sources.failed(turn)
            guard case .notFound = error, cid != root else { throw error }
            let others = await providers(of: root).filter { !turn.contains($0) }
            guard !others.isEmpty else { throw error }
            let found = try await located(cid, from: others)
            if let source = found.source { sources.add([source]) }
            return found
        }
    }

    /// Asks the DHT who has the file or folder under a root, so that all of them are asked for its blocks.
    func meetProviders(of root: CID) async {
        givers.have(await providers(of: root).filter { $0 != host.localPeer }, root)
    }

    func located(_ cid: CID, from peers: [PeerID]) async throws(FetchError) -> BitswapService.Fetched {
        do {
            if let block = try await store.block(cid) { return .init(block: block, source: nil) }
        } catch MeshStoreError.blockCorrupt {
            // A damaged copy is repaired by a good one from elsewhere.
        } catch {
            throw .storage(error)
        }
        if peers.isEmpty {
            if let found = await fromNamed(cid) { return found }
            return try await sought(cid)
        }
        let reason: BlockFetchError
        switch await ask(peers, for: cid) {
        case .success(let found): return found
        case .failure(.cancelled): throw .notFound(cid, reason: "the caller gave up")
        case .failure(let error): reason = error
        }
        let others = await providers(of: cid).filter { !peers.contains($0) }
        if others.isEmpty { throw .notFound(cid, reason: "\(reason)") }
        switch await ask(others, for: cid) {
        case .success(let found): return found
        case .failure(let error): throw .notFound(cid, reason: "\(error)")
        }
    }

    /// A block from those who are named for it, dialed where they said that they are; nil if none is, or none gives it
    /// soon.
    func fromNamed(_ cid: CID) async -> BitswapService.Fetched? {
        let holders = named.holders(of: cid).filter { $0.peer != host.localPeer }
        guard !holders.isEmpty else { return nil }
        for holder in holders where !holder.addresses.isEmpty {
            await host.addAddresses(holder.addresses, for: holder.peer)
        }
        return try? await bitswap.fetched(
            cid, from: holders.map(\.peer), maxBytes: limits.blockBytesMax,
            timeout: .milliseconds(limits.namedMilliseconds))
    }

    /// A block without a known owner: asks connected peers and the DHT's providers at the same time.
    private func sought(_ cid: CID) async throws(FetchError) -> BitswapService.Fetched {
        let connected = Array(await host.connectedPeers().sorted().prefix(limits.connectedPeersMax))
        let result = await withTaskGroup(of: Result<BitswapService.Fetched, BlockFetchError>.self) { group in
            group.addTask { await ask(connected, for: cid) }
            group.addTask { await ask(await providers(of: cid).filter { !connected.contains($0) }, for: cid) }
            var reason = BlockFetchError.noPeers
            while let next = await group.next() {
                switch next {
                case .success(let found):
                    group.cancelAll()
                    return Result<BitswapService.Fetched, BlockFetchError>.success(found)
                case .failure(.noPeers): continue
                case .failure(let error): reason = error
                }
            }
            return .failure(reason)
        }
        switch result {
        case .success(let found): return found
        case .failure(.noPeers): throw .notFound(cid, reason: "no peer is connected and nobody is known to have it")
        case .failure(let error): throw .notFound(cid, reason: "\(error)")
        }
    }

    /// Who announced that it has a CID.
    func providers(of cid: CID) async -> [PeerID] {
        ((try? await dht.findProviders(cid, limit: limits.providersMax)) ?? []).map(\.peerID)
    }

    private func ask(_ peers: [PeerID], for cid: CID) async -> Result<BitswapService.Fetched, BlockFetchError> {
        do {
            return .success(
                try await bitswap.fetched(
                    cid, from: peers, maxBytes: limits.blockBytesMax,
                    timeout: .milliseconds(limits.blockMilliseconds)))
        } catch {
            return .failure(error)
        }
    }
}

/// Why a block or file is not available.
enum FetchError: Error, Sendable, CustomStringConvertible {
    /// Nobody asked has it, or nobody answered.
    case notFound(CID, reason: String)
    /// The blocks exist but are not a file, or too large a one.
    case notAFile(CID, UnixFSError)
    /// This node's own store failed.
    case storage(MeshStoreError)
    /// What is asked for at once needs more bytes of blocks than are held for it.
    case tooMuchAtOnce(bytesMax: Int)

    var description: String {
        switch self {
        case .notFound(let cid, let reason): "block \(cid) was not found: \(reason)"
        case .notAFile(let cid, let error): "\(cid) is no file that can be read: \(error)"
        case .storage(let error): "\(error)"
        case .tooMuchAtOnce(let most): "what the job reads at once needs more than \(most) bytes of blocks"
        }
    }
}
