/// Text encodings of bytes that name themselves by their first character.
///
/// It reads and writes every base of the multibase table except base256emoji and base45. It accepts exactly one text
/// per base and byte string, except that it reads base 16, 32 and 36 in either case, as their specification requires.
/// Source: https://github.com/multiformats/multibase
public enum Multibase {
    /// A base, by the ASCII code of its prefix.
    public enum Base: UInt8, CaseIterable, Sendable {
        /// Prefix `0`.
        case base2 = 0x30
        /// Prefix `7`.
        case base8 = 0x37
        /// Prefix `9`.
        case base10 = 0x39
        /// Prefix `f`.
        case base16 = 0x66
        /// Prefix `F`.
        case base16upper = 0x46
        /// Prefix `b`, the form of CIDs.
        case base32 = 0x62
        /// Prefix `B`.
        case base32upper = 0x42
        /// Prefix `c`.
        case base32pad = 0x63
        /// Prefix `C`.
        case base32padupper = 0x43
        /// Prefix `v`.
        case base32hex = 0x76
        /// Prefix `V`.
        case base32hexupper = 0x56
        /// Prefix `t`.
        case base32hexpad = 0x74
        /// Prefix `T`.
        case base32hexpadupper = 0x54
        /// Prefix `h`.
        case base32z = 0x68
        /// Prefix `k`, the form of IPNS names.
        case base36 = 0x6B
        /// Prefix `K`.
        case base36upper = 0x4B
        /// Prefix `z`, the form of did:key.
        case base58btc = 0x7A
        /// Prefix `Z`.
        case base58flickr = 0x5A
        /// Prefix `m`.
        case base64 = 0x6D
        /// Prefix `M`.
        case base64pad = 0x4D
        /// Prefix `u`.
        case base64url = 0x75
        /// Prefix `U`.
        case base64urlpad = 0x55
    }

    /// The text of bytes in a base, with its prefix.
    public static func encode(_ bytes: [UInt8], _ base: Base) -> String {
        var text = [base.rawValue]
        encode(bytes, base, into: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// The text of bytes in a base, without its prefix.
    public static func encodeWithoutPrefix(_ bytes: [UInt8], _ base: Base) -> String {
        var text: [UInt8] = []
        encode(bytes, base, into: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes of a text whose first character names its base.
    public static func decode(_ text: String) throws(MultibaseError) -> [UInt8] {
        let characters = Array(text.utf8)
        guard let prefix = characters.first else { throw .empty }
        guard let base = Base(rawValue: prefix) else { throw .unknownBase(prefix: prefix) }
        return try decode(characters[1...], base)
    }

    /// The bytes of a text in a known base, without a prefix.
    public static func decodeWithoutPrefix(_ text: String, _ base: Base) throws(MultibaseError) -> [UInt8] {
        try decode(Array(text.utf8)[...], base)
    }

    static func encode(_ bytes: [UInt8], _ base: Base, into text: inout [UInt8]) {
        switch coding(of: base) {
        case .bits(let coding): coding.encode(bytes, into: &text)
        case .radix(let coding): coding.encode(bytes, into: &text)
        }
    }

    static func decode(_ text: ArraySlice<UInt8>, _ base: Base) throws(MultibaseError) -> [UInt8] {
        switch coding(of: base) {
        case .bits(let coding): return try coding.decode(text)
        case .radix(let coding): return try coding.decode(text)
        }
    }

    private enum Coding: Sendable {
        case bits(BitCoding)
        case radix(RadixCoding)
    }

    private static func coding(of base: Base) -> Coding {
        codings[Int(base.rawValue)] ?? .bits(BitCoding(alphabet: Alphabet("01"), bitsPerCharacter: 1, paddedGroup: 0))
    }

    /// Indexed by the prefix, so that the way from a prefix to its coding is one load.
    private static let codings: [Coding?] = {
        var table = [Coding?](repeating: nil, count: 256)
        for base in Base.allCases { table[Int(base.rawValue)] = makeCoding(of: base) }
        return table
    }()

    private static func makeCoding(of base: Base) -> Coding {
        let lower = "abcdefghijklmnopqrstuvwxyz"
        let upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
        let digits = "0123456789"
        func bits(_ bits: UInt32, _ text: String, foldsCase: Bool = false, group: Int = 0) -> Coding {
            let alphabet = Alphabet(String(text.prefix(1 << Int(bits))), foldsCase: foldsCase)
            return .bits(BitCoding(alphabet: alphabet, bitsPerCharacter: bits, paddedGroup: group))
        }
        func radix(_ radix: UInt32, _ text: String, _ charactersPerLimb: Int, foldsCase: Bool = false) -> Coding {
            let alphabet = Alphabet(text, foldsCase: foldsCase)
            return .radix(RadixCoding(alphabet: alphabet, radix: radix, charactersPerLimb: charactersPerLimb))
        }
        switch base {
        case .base2: return bits(1, digits)
        case .base8: return bits(3, digits)
        case .base10: return radix(10, digits, 9)
        case .base16: return bits(4, digits + lower, foldsCase: true)
        case .base16upper: return bits(4, digits + upper, foldsCase: true)
        case .base32: return bits(5, lower + "234567", foldsCase: true)
        case .base32upper: return bits(5, upper + "234567", foldsCase: true)
        case .base32pad: return bits(5, lower + "234567", foldsCase: true, group: 8)
        case .base32padupper: return bits(5, upper + "234567", foldsCase: true, group: 8)
        case .base32hex: return bits(5, digits + lower, foldsCase: true)
        case .base32hexupper: return bits(5, digits + upper, foldsCase: true)
        case .base32hexpad: return bits(5, digits + lower, foldsCase: true, group: 8)
        case .base32hexpadupper: return bits(5, digits + upper, foldsCase: true, group: 8)
        case .base32z: return bits(5, "ybndrfg8ejkmcpqxot1uwisza345h769")
        case .base36: return radix(36, digits + lower, 6, foldsCase: true)
        case .base36upper: return radix(36, digits + upper, 6, foldsCase: true)
        case .base58btc: return radix(58, "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", 5)
        case .base58flickr: return radix(58, "123456789abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ", 5)
        case .base64: return bits(6, upper + lower + digits + "+/")
        case .base64pad: return bits(6, upper + lower + digits + "+/", group: 4)
        case .base64url: return bits(6, upper + lower + digits + "-_")
        case .base64urlpad: return bits(6, upper + lower + digits + "-_", group: 4)
        }
    }
}
