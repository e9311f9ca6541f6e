import Multiformats

/// Reads bytes that `DAGCBORValidator` has accepted, without checking them again.
struct CBORCursor {
    /// Where a map's entry is; 32-bit offsets, since documents are shorter than 2 GiB.
    struct Entry {
        let keyOffset: UInt32
        let keyCount: UInt32
        let valueOffset: UInt32

        var keyRange: Range<Int> { Int(keyOffset)..<(Int(keyOffset) + Int(keyCount)) }
    }

    let bytes: [UInt8]
    var index: Int

    var major: UInt8 { bytes[index] & 0xE0 }

    /// The number in an item's head; moves past the head.
    mutating func head() -> UInt64 {
        let information = bytes[index] & 0x1F
        index += 1
        if information < 24 { return UInt64(information) }
        let count = 1 << Int(information - 24)
        var value: UInt64 = 0
        for byte in bytes[index..<(index + count)] { value = value << 8 | UInt64(byte) }
        index += count
        return value
    }

    /// The content of a text or byte string; moves past it.
    mutating func content() -> ArraySlice<UInt8> {
        let count = Int(head())
        let content = bytes[index..<(index + count)]
        index += count
        return content
    }

    /// The CID of a link; moves past it. The validator has parsed it before.
    mutating func link() -> CID? {
        _ = head()
        return try? CID(bytes: Array(content().dropFirst()))
    }

    /// Moves past an item with everything in it.
    mutating func skipItem() {
        var pending = 1
        while pending > 0 {
            pending -= 1
            let first = bytes[index]
            switch CBORMajor(rawValue: first & 0xE0) {
            case .byteString, .text: _ = content()
            case .list: pending += Int(head())
            case .map: pending += Int(head()) * 2
            case .tag:
                _ = head()
                pending += 1
            case .simple where first == CBORWriter.float64Byte: index += 9
            case .unsigned, .negative, .simple, nil: _ = head()
            }
        }
    }

    /// The entries of a map; none when the item is something else.
    static func entries(of bytes: [UInt8], at offset: Int) -> [Entry] {
        var cursor = CBORCursor(bytes: bytes, index: offset)
        guard cursor.major == CBORMajor.map.rawValue else { return [] }
        let count = Int(cursor.head())
        var entries: [Entry] = []
        entries.reserveCapacity(count)
        for _ in 0..<count {
            let keyCount = Int(cursor.head())
            let keyOffset = cursor.index
            cursor.index += keyCount
            entries.append(
                Entry(
                    keyOffset: UInt32(keyOffset), keyCount: UInt32(keyCount), valueOffset: UInt32(cursor.index)))
            cursor.skipItem()
        }
        return entries
    }
}
