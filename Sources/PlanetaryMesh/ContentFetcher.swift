import Bitswap
import IPLD
import MeshStore
import Multiformats
import Swarm

/// Blocks and files by CID: from this node's store, else from the peers that are likely to have them, else from those
/// that the DHT names as providers. Everything that arrives is checked against its CID before anybody sees it.
///
/// Equal requests at the same time share one fetch, so a popular module is asked for once.
actor ContentFetcher {
    /// The bounds of fetching.
    struct Limits: Sendable {
        /// How long one block may take from all peers together, in milliseconds.
        var blockMilliseconds: Int64 = 15_000
        /// Providers asked of the DHT for one block.
        var providersMax = 8
        /// A block, in bytes.
        var blockBytesMax = 2 << 20
    }

    private let store: MeshStore
    private let bitswap: BitswapService
    private let dht: KademliaService
    private let limits: Limits
    private var waiting: [CID: [CheckedContinuation<Result<[UInt8], FetchError>, Never>]] = [:]

    init(store: MeshStore, bitswap: BitswapService, dht: KademliaService, limits: Limits = Limits()) {
        self.store = store
        self.bitswap = bitswap
        self.dht = dht
        self.limits = limits
    }

    /// A block. What came from others is kept when `keep` says so.
    func block(_ cid: CID, from peers: [PeerID], keep: Bool = true) async throws(FetchError) -> [UInt8] {
        do {
            if let block = try await store.block(cid) { return block }
        } catch MeshStoreError.blockCorrupt {
            // A damaged copy is repaired by a good one from elsewhere.
        } catch {
            throw .storage(error)
        }
        if waiting[cid] != nil {
            return try await withCheckedContinuation { waiting[cid, default: []].append($0) }.get()
        }
        waiting[cid] = []
        let result = await fetch(cid, from: peers, keep: keep)
        for continuation in waiting.removeValue(forKey: cid) ?? [] { continuation.resume(returning: result) }
        return try result.get()
    }

    /// A file, of one block or many, of at most `bytesMax` bytes.
    ///
    /// Providers announce the root of a file only, so whoever has the root is asked for the rest too.
    func file(_ root: CID, from peers: [PeerID], bytesMax: Int, keep: Bool = true) async throws(FetchError) -> [UInt8] {
        var reader = UnixFSReader(root: root, bytesMax: bytesMax)
        var sources = peers
        var hasProviders = false
        while let next = reader.next {
            let block: [UInt8]
            do {
                block = try await self.block(next, from: sources, keep: keep)
            } catch {
                guard case .notFound = error, next != root, !hasProviders else { throw error }
                hasProviders = true
                sources += await providers(of: root).filter { !peers.contains($0) }
                block = try await self.block(next, from: sources, keep: keep)
            }
            do {
                try reader.received(block)
            } catch {
                throw .notAFile(root, error)
            }
        }
        return reader.bytes
    }

    private func fetch(_ cid: CID, from peers: [PeerID], keep: Bool) async -> Result<[UInt8], FetchError> {
        var reason = "no peer was named"
        if !peers.isEmpty {
            switch await ask(peers, for: cid) {
            case .success(let block): return await kept(cid, block, keep)
            case .failure(let error): reason = "\(error)"
            }
        }
        let others = await providers(of: cid).filter { !peers.contains($0) }
        if others.isEmpty { return .failure(.notFound(cid, reason: reason)) }
        switch await ask(others, for: cid) {
        case .success(let block): return await kept(cid, block, keep)
        case .failure(let error): return .failure(.notFound(cid, reason: "\(error)"))
        }
    }

    private func providers(of cid: CID) async -> [PeerID] {
        ((try? await dht.findProviders(cid, limit: limits.providersMax)) ?? []).map(\.peerID)
    }

    private func ask(_ peers: [PeerID], for cid: CID) async -> Result<[UInt8], BlockFetchError> {
        do {
            return .success(
                try await bitswap.fetch(
                    cid, from: peers, maxBytes: limits.blockBytesMax,
                    timeout: .milliseconds(limits.blockMilliseconds)))
        } catch {
            return .failure(error)
        }
    }

    private func kept(_ cid: CID, _ block: [UInt8], _ keep: Bool) async -> Result<[UInt8], FetchError> {
        guard keep else { return .success(block) }
        do {
            try await store.commit([.block(cid: cid, bytes: block)])
            return .success(block)
        } catch {
            return .failure(.storage(error))
        }
    }
}

/// Why a block or file could not be had.
enum FetchError: Error, Sendable, CustomStringConvertible {
    /// Nobody who was asked has it, or nobody answered.
    case notFound(CID, reason: String)
    /// The blocks are there and are no file, or too large a one.
    case notAFile(CID, UnixFSError)
    /// This node's own store failed.
    case storage(MeshStoreError)

    var description: String {
        switch self {
        case .notFound(let cid, let reason): "block \(cid) was not found: \(reason)"
        case .notAFile(let cid, let error): "\(cid) is no file that can be read: \(error)"
        case .storage(let error): "\(error)"
        }
    }
}
