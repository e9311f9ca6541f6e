import Multiformats
import Synchronization

/// Who gave blocks of which file or folder lately: they are asked first for the rest, of which nobody announces each
/// block.
final class BlockGivers: Sendable {
    /// Roots that are remembered; the one longest unused goes first.
    static let rootsMax = 64
    /// Peers that are remembered for one root, the last to give first.
    static let peersMax = 8

    private let roots = Mutex<[(root: CID, peers: [PeerID])]>([])

    /// Who gave blocks of a root, the last one first.
    func peers(of root: CID) -> [PeerID] {
        roots.withLock { roots in roots.first { $0.root == root }?.peers ?? [] }
    }

    /// Notes who gave a block of a root.
    func gave(_ peer: PeerID, _ root: CID) {
        roots.withLock { roots in
            var peers = [peer]
            if let index = roots.firstIndex(where: { $0.root == root }) {
                peers += roots.remove(at: index).peers.filter { $0 != peer }
            }
            roots.append((root, Array(peers.prefix(Self.peersMax))))
            if roots.count > Self.rootsMax { roots.removeFirst() }
        }
    }
}
