/// A number modulo p = 2^255 - 19, to answer what the system's Ed25519 does not: whether a public key is a point of the
/// curve.
///
/// It sees only public values, so it need not run in constant time. Five limbs of 51 bits, lowest first.
struct FieldElement25519 {
    private var limb0: UInt64
    private var limb1: UInt64
    private var limb2: UInt64
    private var limb3: UInt64
    private var limb4: UInt64

    private static let mask: UInt64 = (1 << 51) - 1

    static let one = FieldElement25519(1, 0, 0, 0, 0)

    /// The constant of the curve, -121665/121666.
    static let curveD = FieldElement25519(
        0x3_4DCA_1359_78A3, 0x1_A828_3B15_6EBD, 0x5_E7A2_6001_C029, 0x7_39C6_63A0_3CBB, 0x5_2036_CEE2_B6FF)

    private init(_ limb0: UInt64, _ limb1: UInt64, _ limb2: UInt64, _ limb3: UInt64, _ limb4: UInt64) {
        self.limb0 = limb0
        self.limb1 = limb1
        self.limb2 = limb2
        self.limb3 = limb3
        self.limb4 = limb4
    }

    /// The number in 32 little-endian bytes; the highest bit is ignored.
    init(littleEndian bytes: [UInt8]) {
        precondition(bytes.count == 32, "a field element of \(bytes.count) bytes")
        var words: [UInt64] = [0, 0, 0, 0]
        for (index, byte) in bytes.enumerated() {
            words[index / 8] |= UInt64(byte) << UInt64(index % 8 * 8)
        }
        self.init(
            words[0] & Self.mask,
            (words[0] >> 51 | words[1] << 13) & Self.mask,
            (words[1] >> 38 | words[2] << 26) & Self.mask,
            (words[2] >> 25 | words[3] << 39) & Self.mask,
            (words[3] >> 12) & Self.mask)
    }

    static func + (left: Self, right: Self) -> Self {
        Self(
            left.limb0 &+ right.limb0, left.limb1 &+ right.limb1, left.limb2 &+ right.limb2,
            left.limb3 &+ right.limb3, left.limb4 &+ right.limb4
        ).carried()
    }

    /// Adds twice p before it subtracts, so that no limb falls below zero.
    static func - (left: Self, right: Self) -> Self {
        let low: UInt64 = 0xF_FFFF_FFFF_FFDA
        let high: UInt64 = 0xF_FFFF_FFFF_FFFE
        return Self(
            left.limb0 &+ low &- right.limb0, left.limb1 &+ high &- right.limb1, left.limb2 &+ high &- right.limb2,
            left.limb3 &+ high &- right.limb3, left.limb4 &+ high &- right.limb4
        ).carried()
    }

    static func * (left: Self, right: Self) -> Self {
        let (a0, a1, a2, a3, a4) = (left.limb0, left.limb1, left.limb2, left.limb3, left.limb4)
        let (b0, b1, b2, b3, b4) = (right.limb0, right.limb1, right.limb2, right.limb3, right.limb4)
        let (c1, c2, c3, c4) = (19 &* b1, 19 &* b2, 19 &* b3, 19 &* b4)
        return reduced(
            wide(a0, b0) &+ wide(a1, c4) &+ wide(a2, c3) &+ wide(a3, c2) &+ wide(a4, c1),
            wide(a0, b1) &+ wide(a1, b0) &+ wide(a2, c4) &+ wide(a3, c3) &+ wide(a4, c2),
            wide(a0, b2) &+ wide(a1, b1) &+ wide(a2, b0) &+ wide(a3, c4) &+ wide(a4, c3),
            wide(a0, b3) &+ wide(a1, b2) &+ wide(a2, b1) &+ wide(a3, b0) &+ wide(a4, c4),
            wide(a0, b4) &+ wide(a1, b3) &+ wide(a2, b2) &+ wide(a3, b1) &+ wide(a4, b0))
    }

    /// This number squared `count` times.
    func squared(_ count: Int = 1) -> Self {
        var result = self
        for _ in 0..<count {
            let (a0, a1, a2, a3, a4) = (result.limb0, result.limb1, result.limb2, result.limb3, result.limb4)
            let (d0, d1) = (2 &* a0, 2 &* a1)
            let (c3, c4) = (19 &* a3, 19 &* a4)
            result = Self.reduced(
                Self.wide(a0, a0) &+ Self.wide(d1, c4) &+ Self.wide(2 &* a2, c3),
                Self.wide(d0, a1) &+ Self.wide(2 &* a2, c4) &+ Self.wide(a3, c3),
                Self.wide(d0, a2) &+ Self.wide(a1, a1) &+ Self.wide(2 &* a3, c4),
                Self.wide(d0, a3) &+ Self.wide(d1, a2) &+ Self.wide(a4, c4),
                Self.wide(d0, a4) &+ Self.wide(d1, a3) &+ Self.wide(a2, a2))
        }
        return result
    }

    /// Whether this number is zero or has a square root: Euler's criterion, x^((p-1)/2) is zero or one.
    var isSquare: Bool {
        // The usual addition chain to 2^252 - 3, then (p-1)/2 = 4 (2^252 - 3) + 2.
        let x2 = squared()
        let x9 = x2.squared(2) * self
        let x11 = x9 * x2
        let low5 = x11.squared() * x9
        let low10 = low5.squared(5) * low5
        let low20 = low10.squared(10) * low10
        let low40 = low20.squared(20) * low20
        let low50 = low40.squared(10) * low10
        let low100 = low50.squared(50) * low50
        let low200 = low100.squared(100) * low100
        let low250 = low200.squared(50) * low50
        let power = (low250.squared(2) * self).squared(2) * x2
        return power.isZero || (power - .one).isZero
    }

    var isZero: Bool {
        let number = carried().carried()
        let isNought = number.limb0 | number.limb1 | number.limb2 | number.limb3 | number.limb4 == 0
        let isModulus =
            number.limb0 == Self.mask - 18 && number.limb1 == Self.mask && number.limb2 == Self.mask
            && number.limb3 == Self.mask && number.limb4 == Self.mask
        return isNought || isModulus
    }

    /// A product of two limbs, or a sum of such products, of 128 bits. Not `UInt128`, whose generic operations take ten
    /// times as long where nothing is optimised.
    private struct Wide {
        var high: UInt64
        var low: UInt64

        static func &+ (left: Wide, right: Wide) -> Wide {
            let (low, carries) = left.low.addingReportingOverflow(right.low)
            return Wide(high: left.high &+ right.high &+ (carries ? 1 : 0), low: low)
        }

        /// What is above the lowest 51 bits.
        var above51: Wide { Wide(high: high &>> 51, low: low &>> 51 | high &<< 13) }
    }

    private static func wide(_ left: UInt64, _ right: UInt64) -> Wide {
        let product = left.multipliedFullWidth(by: right)
        return Wide(high: product.high, low: product.low)
    }

    private static func reduced(_ r0: Wide, _ r1: Wide, _ r2: Wide, _ r3: Wide, _ r4: Wide) -> Self {
        let s1 = r1 &+ r0.above51
        let s2 = r2 &+ s1.above51
        let s3 = r3 &+ s2.above51
        let s4 = r4 &+ s3.above51
        let carry = s4.above51.low &* 19
        return Self(r0.low & mask &+ carry, s1.low & mask, s2.low & mask, s3.low & mask, s4.low & mask).carried()
    }

    /// Every limb below 2^51, except for a small excess in the lowest.
    private func carried() -> Self {
        let s1 = limb1 &+ limb0 >> 51
        let s2 = limb2 &+ s1 >> 51
        let s3 = limb3 &+ s2 >> 51
        let s4 = limb4 &+ s3 >> 51
        return Self(
            limb0 & Self.mask &+ 19 &* (s4 >> 51), s1 & Self.mask, s2 & Self.mask, s3 & Self.mask, s4 & Self.mask)
    }
}
