import Determinism
import IPLD
import MeshStore
import Multiformats
import P2PServices

extension ContentFetcher {
    /// A file or folder with all that is below it.
    struct Tree: Sendable {
        /// Its blocks together, each once.
        var bytes: UInt64 = 0
        /// Blocks that came from others and are not on the disk yet.
        var held: [(cid: CID, bytes: [UInt8])] = []
    }

    /// What one block of a tree brought.
    private enum Piece: Sendable {
        /// It is here, and nothing is below it.
        case leafHere(bytes: Int)
        case block([UInt8], source: PeerID?)
    }

    /// How many blocks of a tree are asked for at once.
    private static let piecesAtOnceMax = 16

    /// Gets all blocks of a file or folder that are not here, within bounds: a tree with more blocks or bytes is
    /// refused. They go to the disk as they come, for a job if they are its outputs; the last of them, up to
    /// `heldBytesMax`, are returned to go there with something else. What is not here by `until` is given up.
    func tree(
        _ root: CID, from peers: [PeerID], bytesMax: UInt64 = .max, heldBytesMax: Int = 0, of job: CID? = nil,
        until: MonotonicInstant? = nil
    ) async throws(FetchError) -> Tree {
        var limits = UnixFSTreeWalk.Limits()
        limits.bytesMax = min(limits.bytesMax, bytesMax)
        var walk = UnixFSTreeWalk(root: root, limits: limits)
        var tree = Tree()
        // Providers announce only the root of a tree, so whoever has that is asked for the rest.
        var sources = peers
        while !walk.isComplete {
            if let until, NodeClock.now >= until {
                throw .notFound(root, reason: "its blocks did not all come in the time that there was")
            }
            var batch: [CID] = []
            while batch.count < Self.piecesAtOnceMax, let cid = walk.next() { batch.append(cid) }
            let pieces = try await pieces(batch, from: sources, of: root)
            for (cid, piece) in zip(batch, pieces) {
                do throws(UnixFSError) {
                    switch piece {
                    case .leafHere(let bytes): try walk.receivedLeaf(bytes: bytes, of: cid)
                    case .block(let block, _): try walk.received(block, of: cid)
                    }
                } catch {
                    throw .notAFile(root, error)
                }
                if case .block(let block, let source?) = piece {
                    sources = [source] + sources.filter { $0 != source }
                    tree.held.append((cid, block))
                }
            }
            if tree.held.reduce(0, { $0 + $1.bytes.count }) > heldBytesMax {
                try await keep(tree.held, of: job)
                tree.held = []
            }
        }
        tree.bytes = walk.bytes
        return tree
    }

    private func pieces(_ batch: [CID], from sources: [PeerID], of root: CID) async throws(FetchError) -> [Piece] {
        let results = await withTaskGroup(of: (Int, Result<Piece, FetchError>).self) { group in
            for (index, cid) in batch.enumerated() {
                group.addTask { (index, await piece(cid, from: sources, of: root)) }
            }
            var results = [Result<Piece, FetchError>?](repeating: nil, count: batch.count)
            for await (index, result) in group { results[index] = result }
            return results
        }
        var pieces: [Piece] = []
        for case let result? in results { pieces.append(try result.get()) }
        return pieces
    }

    private func piece(_ cid: CID, from sources: [PeerID], of root: CID) async -> Result<Piece, FetchError> {
        do throws(FetchError) {
            if !UnixFSTreeWalk.needsBytes(cid), let bytes = try await storedBytes(of: cid) {
                return .success(.leafHere(bytes: bytes))
            }
            let found = try await located(cid, from: sources)
            return .success(.block(found.block, source: found.source))
        } catch {
            guard case .notFound = error, cid != root else { return .failure(error) }
            return await piece(cid, fromProvidersOf: root, besides: sources, error)
        }
    }

    private func piece(
        _ cid: CID, fromProvidersOf root: CID, besides sources: [PeerID], _ error: FetchError
    ) async -> Result<Piece, FetchError> {
        let others = await providers(of: root).filter { !sources.contains($0) }
        if others.isEmpty { return .failure(error) }
        do throws(FetchError) {
            let found = try await located(cid, from: others)
            return .success(.block(found.block, source: found.source))
        } catch {
            return .failure(error)
        }
    }

    private func storedBytes(of cid: CID) async throws(FetchError) -> Int? {
        do {
            return try await store.blockSize(cid)
        } catch {
            throw .storage(error)
        }
    }
}
