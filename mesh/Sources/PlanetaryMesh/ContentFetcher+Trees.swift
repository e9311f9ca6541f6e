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
    /// Bytes that go to the disk together while others come.
    private static let keptAtOnceBytes = 4 << 20

    /// Gets all blocks of a file or folder that are not here, within bounds: a tree with more blocks or bytes is
    /// refused. They come from all peers that have them at the same time, and go to the disk as they come, for a job if
    /// they are its outputs; the last of them, up to `heldBytesMax`, are returned to go there with something else. What
    /// is not here by `until` is given up.
    func tree(
        _ root: CID, from peers: [PeerID], bytesMax: UInt64 = .max, heldBytesMax: Int = 0, of job: CID? = nil,
        until: MonotonicInstant? = nil
    ) async throws(FetchError) -> Tree {
        var limits = UnixFSTreeWalk.Limits()
        limits.bytesMax = min(limits.bytesMax, bytesMax)
        let growing = Growing(walk: UnixFSTreeWalk(root: root, limits: limits), until: until)
        let keptAtOnce = max(heldBytesMax, Self.keptAtOnceBytes)
        var tree = try await pieces(of: root, from: BlockSources(peers), growing, keptAtOnce, of: job).get()
        if tree.held.reduce(0, { $0 + $1.bytes.count }) > heldBytesMax {
            try await keep(tree.held, of: job)
            tree.held = []
        }
        return tree
    }

    /// A tree while its blocks come.
    private struct Growing: Sendable {
        var walk: UnixFSTreeWalk
        let until: MonotonicInstant?
        var tree = Tree()
        var heldBytes = 0

        var isLate: Bool { until.map { NodeClock.now >= $0 } ?? false }

        mutating func take(_ piece: Piece, of cid: CID) throws(UnixFSError) {
            switch piece {
            case .leafHere(let bytes): try walk.receivedLeaf(bytes: bytes, of: cid)
            case .block(let block, let source):
                try walk.received(block, of: cid)
                guard source != nil else { return }
                tree.held.append((cid, block))
                heldBytes += block.count
            }
        }
    }

    /// Asks for the next block whenever one came, so that there are always as many under way.
    private func pieces(
        of root: CID, from sources: BlockSources, _ start: Growing, _ keptAtOnce: Int, of job: CID?
    ) async -> Result<Tree, FetchError> {
        await withTaskGroup(of: (CID, Result<Piece, FetchError>).self) { group in
            var growing = start
            var underWay = 0
            defer { group.cancelAll() }
            while true {
                if growing.isLate {
                    let reason = "its blocks did not all come in the time that there was"
                    return .failure(.notFound(root, reason: reason))
                }
                while underWay < Self.piecesAtOnceMax, let cid = growing.walk.next() {
                    underWay += 1
                    group.addTask { (cid, await piece(cid, from: sources, of: root)) }
                }
                guard let (cid, piece) = await group.next() else { break }
                underWay -= 1
                if let error = Self.taken(piece, of: cid, root, &growing) { return .failure(error) }
                if growing.heldBytes > keptAtOnce, let error = await kept(&growing, of: job) { return .failure(error) }
            }
            growing.tree.bytes = growing.walk.bytes
            return .success(growing.tree)
        }
    }

    private static func taken(
        _ piece: Result<Piece, FetchError>, of cid: CID, _ root: CID, _ growing: inout Growing
    ) -> FetchError? {
        switch piece {
        case .failure(let error): return error
        case .success(let piece):
            do throws(UnixFSError) {
                try growing.take(piece, of: cid)
                return nil
            } catch {
                return .notAFile(root, error)
            }
        }
    }

    private func kept(_ growing: inout Growing, of job: CID?) async -> FetchError? {
        do throws(FetchError) {
            try await keep(growing.tree.held, of: job)
            growing.tree.held = []
            growing.heldBytes = 0
            return nil
        } catch {
            return error
        }
    }

    private func piece(_ cid: CID, from sources: BlockSources, of root: CID) async -> Result<Piece, FetchError> {
        do throws(FetchError) {
            if !UnixFSTreeWalk.needsBytes(cid), let bytes = try await storedBytes(of: cid) {
                return .success(.leafHere(bytes: bytes))
            }
            let found = try await located(cid, of: root, by: sources)
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
