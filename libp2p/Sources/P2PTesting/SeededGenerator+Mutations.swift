public import Determinism

/// Seeded damage to valid bytes, for tests of decoders: a decoder refuses the result with its own error, or decodes it
/// to a value that encodes to bytes that decode to the same.
extension SeededGenerator {
    /// Bytes with one to `most` changes: a bit flipped, a byte replaced by any or by one that means something to the
    /// format, one removed, some inserted, or the end cut off, with or without the last few bytes behind the cut.
    /// - Parameters:
    ///   - meaningful: bytes that headers and lengths of the format begin with.
    ///   - insertions: sequences that might confuse the format, such as text that joins with what precedes it.
    public mutating func mutated(
        _ bytes: [UInt8], most: Int = 4, meaningful: [UInt8] = [0x00, 0x01, 0x7F, 0x80, 0xFF],
        insertions: [[UInt8]] = []
    ) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...max(1, most), using: &self) {
            let index = bytes.isEmpty ? 0 : Int.random(in: 0..<bytes.count, using: &self)
            switch Int.random(in: 0..<7, using: &self) {
            case 0 where !bytes.isEmpty: bytes[index] ^= 1 << UInt8.random(in: 0...7, using: &self)
            case 1 where !bytes.isEmpty: bytes[index] = meaningful.randomElement(using: &self) ?? 0
            case 2 where !bytes.isEmpty: bytes[index] = UInt8.random(in: 0...255, using: &self)
            case 3 where !bytes.isEmpty: bytes.remove(at: index)
            case 4: bytes.insert(UInt8.random(in: 0...255, using: &self), at: index)
            case 5: bytes.insert(contentsOf: insertions.randomElement(using: &self) ?? [0x80], at: index)
            default: bytes = Array(bytes.prefix(index)) + bytes.suffix(Int.random(in: 0...8, using: &self))
            }
        }
        return bytes
    }

    /// As many random bytes.
    public mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &self) }
    }
}
