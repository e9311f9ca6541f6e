import Multiformats
import P2PServices
import Synchronization

/// Who gave blocks of which file or folder lately: they are asked first for the rest, of which nobody announces each
/// block.
final class BlockGivers: Sendable {
    /// Roots that are remembered; the one longest unused goes first.
    static let rootsMax = 64
    /// Peers that are remembered for one root, the last to give first.
    static let peersMax = 8

    private struct Tree {
        let root: CID
        var peers: [PeerID]
        let sources: BlockSources
    }

    private let roots = Mutex<[Tree]>([])

    /// Who gave blocks of a root, the last one first.
    func peers(of root: CID) -> [PeerID] {
        roots.withLock { roots in roots.first { $0.root == root }?.peers ?? [] }
    }

    /// Whom to ask for the blocks of a root, so that all who have it give at the same time.
    func sources(of root: CID) -> BlockSources {
        roots.withLock { roots in roots.first { $0.root == root }?.sources } ?? BlockSources()
    }

    /// Notes who gave a block of a root.
    func gave(_ peer: PeerID, _ root: CID) {
        note(root) { peers in peers = [peer] + peers.filter { $0 != peer } }
    }

    /// Notes who announced that it has a root, and so likely has the rest.
    func have(_ peers: [PeerID], _ root: CID) {
        note(root) { known in known += peers.filter { !known.contains($0) } }
    }

    private func note(_ root: CID, _ change: (inout [PeerID]) -> Void) {
        roots.withLock { roots in
            let index = roots.firstIndex { $0.root == root }
            var tree = index.map { roots.remove(at: $0) } ?? Tree(root: root, peers: [], sources: BlockSources())
            change(&tree.peers)
            tree.peers = Array(tree.peers.prefix(Self.peersMax))
            tree.sources.add(tree.peers)
            roots.append(tree)
            if roots.count > Self.rootsMax { roots.removeFirst() }
        }
    }
}
