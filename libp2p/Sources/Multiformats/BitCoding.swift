/// A base of 2, 4, 8, 16, 32 or 64 characters: each stands for a whole number of bits, highest first (RFC 4648).
struct BitCoding: Sendable {
    let alphabet: Alphabet
    let bitsPerCharacter: UInt32
    /// Characters per padded group; zero for the bases without padding.
    let paddedGroup: Int

    private static let padding = UInt8(ascii: "=")

    func encode(_ bytes: [UInt8], into text: inout [UInt8]) {
        let start = text.count
        text.reserveCapacity(start + bytes.count * 8 / Int(bitsPerCharacter) + 8)
        let mask = UInt32(1) << bitsPerCharacter - 1
        var pending: UInt32 = 0
        var bits: UInt32 = 0
        for byte in bytes {
            pending = pending << 8 | UInt32(byte)
            bits += 8
            while bits >= bitsPerCharacter {
                bits -= bitsPerCharacter
                text.append(alphabet.characters[Int(pending >> bits & mask)])
            }
            pending &= UInt32(1) << bits - 1
        }
        if bits > 0 {
            text.append(alphabet.characters[Int(pending << (bitsPerCharacter - bits) & mask)])
        }
        guard paddedGroup > 0 else { return }
        while (text.count - start) % paddedGroup != 0 { text.append(Self.padding) }
    }

    func decode(_ text: ArraySlice<UInt8>) throws(MultibaseError) -> [UInt8] {
        let unpadded = try withoutPadding(text)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(unpadded.count * Int(bitsPerCharacter) / 8)
        var pending: UInt32 = 0
        var bits: UInt32 = 0
        for index in unpadded.indices {
            guard let value = alphabet.value(of: unpadded[index]) else {
                throw .invalidCharacter(offset: index - text.startIndex)
            }
            pending = pending << bitsPerCharacter | UInt32(value)
            bits += bitsPerCharacter
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: pending >> bits))
                pending &= UInt32(1) << bits - 1
            }
        }
        if bits >= bitsPerCharacter { throw .invalidLength(characters: unpadded.count) }
        if pending != 0 { throw .nonZeroTrailingBits }
        return bytes
    }

    private func withoutPadding(_ text: ArraySlice<UInt8>) throws(MultibaseError) -> ArraySlice<UInt8> {
        guard paddedGroup > 0 else { return text }
        var end = text.endIndex
        while end > text.startIndex && text[end - 1] == Self.padding { end -= 1 }
        let wanted = (paddedGroup - (end - text.startIndex) % paddedGroup) % paddedGroup
        if text.endIndex - end != wanted { throw .wrongPadding }
        return text[..<end]
    }
}
