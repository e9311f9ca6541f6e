import Multiformats

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// Peers that differ by their number.
func peers(_ count: Int) -> [PeerID] {
    (0..<count).map { PeerID(publicKeyProtobuf: [8, 1, 18, 32] + [UInt8](repeating: UInt8($0), count: 32)) }
}
