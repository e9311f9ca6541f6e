public import Multiformats

/// A point in the DHT's key space: the SHA-256 hash of a peer ID, of a record's key or of a provided multihash.
///
/// The distance of two keys is their exclusive or, read as a 256-bit number (kad-dht specification, "Distance").
public struct KademliaKey: Hashable, Comparable, Sendable {
    /// The number of bits of a key.
    public static let bitCount = 256

    private let high: UInt64
    private let second: UInt64
    private let third: UInt64
    private let low: UInt64

    /// The key of a message's `key` field or of a peer ID's bytes.
    public init(hashing bytes: [UInt8]) {
        self.init(digest: Multihash.sha256(of: bytes).digest)
    }

    /// A peer's key in every routing table.
    public init(of peer: PeerID) {
        self.init(hashing: peer.bytes)
    }

    /// A key from its 32 bytes, most significant first; missing bytes count as zero, further ones are ignored.
    public init(digest: [UInt8]) {
        let (high, second) = (Self.word(digest, 0), Self.word(digest, 8))
        self.init(high, second, Self.word(digest, 16), Self.word(digest, 24))
    }

    private static func word(_ bytes: [UInt8], _ start: Int) -> UInt64 {
        var word: UInt64 = 0
        var index = start
        while index < start + 8 {
            word = word << 8 | (index < bytes.count ? UInt64(bytes[index]) : 0)
            index += 1
        }
        return word
    }

    private init(_ high: UInt64, _ second: UInt64, _ third: UInt64, _ low: UInt64) {
        self.high = high
        self.second = second
        self.third = third
        self.low = low
    }

    /// The exclusive-or distance to another key; compare distances with `<`.
    public func distance(to other: KademliaKey) -> KademliaKey {
        KademliaKey(high ^ other.high, second ^ other.second, third ^ other.third, low ^ other.low)
    }

    /// How many leading bits two keys share, 0 to 256.
    public func commonPrefixLength(with other: KademliaKey) -> Int {
        let difference = distance(to: other)
        if difference.high != 0 { return difference.high.leadingZeroBitCount }
        if difference.second != 0 { return 64 + difference.second.leadingZeroBitCount }
        if difference.third != 0 { return 128 + difference.third.leadingZeroBitCount }
        return 192 + difference.low.leadingZeroBitCount
    }

    /// Orders keys as 256-bit numbers.
    public static func < (left: KademliaKey, right: KademliaKey) -> Bool {
        if left.high != right.high { return left.high < right.high }
        if left.second != right.second { return left.second < right.second }
        if left.third != right.third { return left.third < right.third }
        return left.low < right.low
    }
}
