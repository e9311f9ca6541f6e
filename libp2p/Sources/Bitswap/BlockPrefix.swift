public import Multiformats

/// The parts of a block's CID except the digest; the receiver hashes the block and so names it itself.
public enum BlockPrefix {
    /// The prefix of a CID; `nil` for hashes other than SHA-256, which this node does not exchange.
    public static func bytes(of cid: CID) -> [UInt8]? {
        guard cid.isSHA256 else { return nil }
        var bytes: [UInt8] = []
        Varint.append(cid.version == .v0 ? 0 : 1, to: &bytes)
        Varint.append(cid.codec.rawValue, to: &bytes)
        Varint.append(Multihash.sha256Code, to: &bytes)
        Varint.append(32, to: &bytes)
        return bytes
    }

    /// The CID that a block has under a prefix; `nil` when the prefix is malformed or names another hash than SHA-256.
    public static func cid(prefix: [UInt8], data: [UInt8]) -> CID? {
        var rest = prefix[...]
        var parts: [UInt64] = []
        while !rest.isEmpty {
            guard parts.count < 4, let decoded = try? Varint.decode(rest) else { return nil }
            parts.append(decoded.value)
            rest = decoded.rest
        }
        guard parts.count == 4, parts[2] == Multihash.sha256Code, parts[3] == 32 else { return nil }
        switch parts[0] {
        case 0:
            guard parts[1] == CID.Codec.dagPB.rawValue else { return nil }
            return try? CID(bytes: Multihash.sha256(of: data).bytes)
        case 1: return CID.hashing(data, codec: CID.Codec(rawValue: parts[1]))
        default: return nil
        }
    }
}
