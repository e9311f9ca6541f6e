import Multiformats

/// One block of a directory over many blocks: a node of a trie over the hashes of names (HAMT).
///
/// Source: https://specs.ipfs.tech/unixfs/#dag-pb-hamtdirectory. A shard is read only if its bit field, the prefixes of
/// its links and their order agree, so that listing it and looking a name up always tell the same.
struct UnixFSShard {
    /// The hash function of names: the first half of murmur3-x64-128, most significant byte first.
    static let murmur3: UInt64 = 0x22
    /// What a shard's fan-out may be, as powers of two.
    static let fanoutBits = 3...10

    /// A link of a shard.
    struct Slot {
        /// Its place among the fan-out.
        let index: Int
        /// The name of an entry; nil for a shard below.
        let name: [UInt8]?
        /// What it names, as the link writes it.
        let cid: CID
        let totalBytes: UInt64
    }

    /// The bits of a hash that choose among the links.
    let bits: Int
    /// The links, by their place.
    let slots: [Slot]

    init(_ node: DAGPBNode, _ data: UnixFSData, _ cid: CID) throws(UnixFSError) {
        guard data.type == UnixFSData.shardType else { throw .notADirectory(cid) }
        guard data.hashFunction == Self.murmur3, let fanout = data.fanout, fanout.nonzeroBitCount == 1,
            Self.fanoutBits.contains(fanout.trailingZeroBitCount)
        else { throw .falseShard(cid) }
        bits = fanout.trailingZeroBitCount
        let digits = Self.digits(ofBits: bits)
        guard node.links.count <= Int(fanout) else { throw .falseShard(cid) }
        var slots: [Slot] = []
        for link in node.links {
            guard let index = Self.index(link.name.prefix(digits), digits: digits), index < Int(fanout),
                index > slots.last?.index ?? -1
            else { throw .falseShard(cid) }
            let name = link.name.count == digits ? nil : Array(link.name.dropFirst(digits))
            slots.append(Slot(index: index, name: name, cid: link.cid, totalBytes: link.totalBytes))
        }
        guard Self.bitField(of: slots.map(\.index)) == Array(data.content.drop { $0 == 0 }) else {
            throw .falseShard(cid)
        }
        self.slots = slots
    }

    /// The hexadecimal digits before the names of a shard's links.
    static func digits(ofBits bits: Int) -> Int { (bits + 3) / 4 }

    /// The digits of a place, in capitals.
    static func prefix(_ index: Int, bits: Int) -> [UInt8] {
        let digits = Array("0123456789ABCDEF".utf8)
        return (0..<Self.digits(ofBits: bits)).reversed().map { digits[(index >> (4 * $0)) & 0xF] }
    }

    private static func index(_ prefix: ArraySlice<UInt8>, digits: Int) -> Int? {
        guard prefix.count == digits else { return nil }
        var index = 0
        for digit in prefix {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): index = index << 4 | Int(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "A")...UInt8(ascii: "F"): index = index << 4 | Int(digit - UInt8(ascii: "A") + 10)
            default: return nil
            }
        }
        return index
    }

    /// The places as bits, the first as the lowest bit of the last byte, without leading zeros.
    static func bitField(of indices: [Int]) -> [UInt8] {
        guard let last = indices.max() else { return [] }
        var field = [UInt8](repeating: 0, count: last / 8 + 1)
        for index in indices { field[field.count - 1 - index / 8] |= 1 << UInt8(index % 8) }
        return field
    }

    // MARK: Hashes of names

    /// The place of a hash in a shard at this depth; nil when the hash has no bits left.
    static func index(of hash: UInt64, bits: Int, depth: Int) -> Int? {
        let used = bits * depth
        guard used + bits <= 64 else { return nil }
        return Int((hash << UInt64(used)) >> UInt64(64 - bits))
    }

    /// The hash of a name. Source: https://github.com/aappleby/smhasher, MurmurHash3_x64_128, seed 0, first half.
    static func hash(_ name: [UInt8]) -> UInt64 {
        var state = Murmur3()
        let blocks = name.count / 16
        for block in 0..<blocks {
            let start = 16 * block
            state.mix(word(name[start..<(start + 8)]), word(name[(start + 8)..<(start + 16)]))
        }
        let tail = name[(16 * blocks)...]
        state.mixTail(word(tail.prefix(8)), word(tail.dropFirst(8)))
        return state.finished(count: UInt64(name.count))
    }

    /// Up to eight bytes, least significant first.
    private static func word(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}

private struct Murmur3 {
    private static let first: UInt64 = 0x87C3_7B91_1142_53D5
    private static let second: UInt64 = 0x4CF5_AD43_2745_937F
    private var low: UInt64 = 0
    private var high: UInt64 = 0

    mutating func mix(_ one: UInt64, _ two: UInt64) {
        low ^= Self.scrambledLow(one)
        low = (Self.rotated(low, 27) &+ high) &* 5 &+ 0x52DC_E729
        high ^= Self.scrambledHigh(two)
        high = (Self.rotated(high, 31) &+ low) &* 5 &+ 0x3849_5AB5
    }

    mutating func mixTail(_ one: UInt64, _ two: UInt64) {
        low ^= Self.scrambledLow(one)
        high ^= Self.scrambledHigh(two)
    }

    func finished(count: UInt64) -> UInt64 {
        var low = low ^ count
        var high = high ^ count
        low = low &+ high
        high = high &+ low
        return Self.avalanched(low) &+ Self.avalanched(high)
    }

    private static func scrambledLow(_ word: UInt64) -> UInt64 { rotated(word &* first, 31) &* second }

    private static func scrambledHigh(_ word: UInt64) -> UInt64 { rotated(word &* second, 33) &* first }

    private static func rotated(_ word: UInt64, _ bits: UInt64) -> UInt64 { word << bits | word >> (64 - bits) }

    private static func avalanched(_ word: UInt64) -> UInt64 {
        var word = word
        word ^= word >> 33
        word = word &* 0xFF51_AFD7_ED55_8CCD
        word ^= word >> 33
        word = word &* 0xC4CE_B9FE_1A85_EC53
        return word ^ word >> 33
    }
}
