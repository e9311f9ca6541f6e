/// A base whose size is not a power of two (10, 36, 58): the bytes are one big number, and leading zero bytes become
/// leading zero characters.
///
/// Conversion takes time quadratic in the length, hence the bound `charactersMax`.
struct RadixCoding: Sendable {
    let alphabet: Alphabet
    let radix: UInt32
    /// The number of characters that fit in one 32-bit limb.
    let charactersPerLimb: Int

    /// The longest text that is read; a CID or key of this project has at most some 60 characters.
    static let charactersMax = 1024

    func encode(_ bytes: [UInt8], into text: inout [UInt8]) {
        let zeros = bytes.prefix { $0 == 0 }.count
        text.append(contentsOf: repeatElement(alphabet.characters[0], count: zeros))
        // Limbs in base radix^charactersPerLimb, lowest first; four bytes of the number go in at a time.
        let limbBase = power(charactersPerLimb)
        var limbs: [UInt32] = []
        var index = zeros
        while index < bytes.count {
            let end = min(index + 4, bytes.count)
            var carry: UInt64 = 0
            for byte in bytes[index..<end] { carry = carry << 8 | UInt64(byte) }
            let shift = UInt64(end - index) * 8
            for limb in limbs.indices {
                let sum = UInt64(limbs[limb]) << shift + carry
                limbs[limb] = UInt32(truncatingIfNeeded: sum % limbBase)
                carry = sum / limbBase
            }
            while carry > 0 {
                limbs.append(UInt32(truncatingIfNeeded: carry % limbBase))
                carry /= limbBase
            }
            index = end
        }
        appendCharacters(of: limbs, to: &text)
    }

    private func appendCharacters(of limbs: [UInt32], to text: inout [UInt8]) {
        let start = text.count
        var reversed: [UInt8] = []
        reversed.reserveCapacity(limbs.count * charactersPerLimb)
        for limb in limbs {
            var rest = limb
            for _ in 0..<charactersPerLimb {
                reversed.append(alphabet.characters[Int(rest % radix)])
                rest /= radix
            }
        }
        while reversed.last == alphabet.characters[0] { reversed.removeLast() }
        text.reserveCapacity(start + reversed.count)
        text.append(contentsOf: reversed.reversed())
    }

    func decode(_ text: ArraySlice<UInt8>) throws(MultibaseError) -> [UInt8] {
        if text.count > Self.charactersMax { throw .tooLong(charactersMax: Self.charactersMax) }
        let zeros = text.prefix { $0 == alphabet.characters[0] }.count
        // Limbs in base 2^32, lowest first; a limb's worth of characters goes in at a time.
        var limbs: [UInt32] = []
        var index = text.startIndex + zeros
        while index < text.endIndex {
            let end = min(index + charactersPerLimb, text.endIndex)
            var carry: UInt64 = 0
            for offset in index..<end {
                guard let value = alphabet.value(of: text[offset]) else {
                    throw .invalidCharacter(offset: offset - text.startIndex)
                }
                carry = carry * UInt64(radix) + UInt64(value)
            }
            let factor = power(end - index)
            for limb in limbs.indices {
                let sum = UInt64(limbs[limb]) * factor + carry
                limbs[limb] = UInt32(truncatingIfNeeded: sum)
                carry = sum >> 32
            }
            if carry > 0 { limbs.append(UInt32(truncatingIfNeeded: carry)) }
            index = end
        }
        var bytes = [UInt8](repeating: 0, count: zeros)
        var isLeading = true
        for limb in limbs.reversed() {
            for shift in [24, 16, 8, 0] as [UInt32] {
                let byte = UInt8(truncatingIfNeeded: limb >> shift)
                if isLeading && byte == 0 { continue }
                isLeading = false
                bytes.append(byte)
            }
        }
        return bytes
    }

    private func power(_ exponent: Int) -> UInt64 {
        var result: UInt64 = 1
        for _ in 0..<exponent { result *= UInt64(radix) }
        return result
    }
}
