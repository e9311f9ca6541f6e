/// Tells which 32 bytes are a point of the Ed25519 curve that may be a key.
///
/// A key of small order has signatures that hold for many messages, and a non-canonical encoding gives one key two
/// names; RFC 8032 verification notices neither. Source: "Taming the Many EdDSAs" (Chalkias, Garillot, Nikolaenko).
enum EdwardsEncoding {
    /// The encodings, canonical or not, of the eight points of small order.
    static let smallOrder: [[UInt8]] = {
        let one: [UInt8] = [1] + [UInt8](repeating: 0, count: 31)
        let zero = [UInt8](repeating: 0, count: 32)
        func nearModulus(_ low: UInt8) -> [UInt8] { [low] + [UInt8](repeating: 0xFF, count: 30) + [0x7F] }
        let order8: [UInt8] = [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
            0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ]
        let otherOrder8: [UInt8] = [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
            0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ]
        let positive = [
            zero, one, order8, otherOrder8, nearModulus(0xEC), nearModulus(0xED), nearModulus(0xEE),
        ]
        return positive.flatMap { [$0, $0.dropLast() + [$0[31] | 0x80]] }
    }()

    static func isSmallOrder(_ bytes: some Sequence<UInt8>) -> Bool {
        smallOrder.contains { $0.elementsEqual(bytes) }
    }

    /// Whether the y coordinate is below p; the sign bit is not part of it.
    static func isCanonical(_ bytes: [UInt8]) -> Bool {
        if bytes[31] & 0x7F != 0x7F || bytes[0] < 0xED { return true }
        return bytes[1..<31].contains { $0 != 0xFF }
    }

    /// Whether some x fits the y coordinate: x^2 = (y^2 - 1) / (d y^2 + 1), whose divisor is never zero.
    static func isOnCurve(_ bytes: [UInt8]) -> Bool {
        let ySquared = FieldElement25519(littleEndian: bytes).squared()
        let numerator = ySquared - .one
        let denominator = .curveD * ySquared + .one
        // A quotient is a square exactly when the product is.
        return (numerator * denominator).isSquare
    }
}
