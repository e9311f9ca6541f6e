/// The texts of IP addresses: one spelling written (RFC 5952), the usual ones read; no zone, no hex or short IPv4.
enum IPAddressText {
    static func parse4(_ text: Substring) -> [UInt8]? {
        let parts = text.utf8.split(separator: UInt8(ascii: "."), maxSplits: 4, omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bytes: [UInt8] = []
        for part in parts {
            guard let value = decimal(part, digitsMax: 3), let byte = UInt8(exactly: value) else { return nil }
            bytes.append(byte)
        }
        return bytes
    }

    /// Digits only, without sign or leading zeros.
    static func decimal(_ text: some Collection<UInt8>, digitsMax: Int) -> UInt32? {
        guard let first = text.first, text.count <= digitsMax else { return nil }
        if first == UInt8(ascii: "0") && text.count > 1 { return nil }
        var value: UInt32 = 0
        for character in text {
            guard (0x30...0x39).contains(character) else { return nil }
            value = value * 10 + UInt32(character - 0x30)
        }
        return value
    }

    static func render4(_ bytes: [UInt8]) -> String {
        bytes.map { String($0) }.joined(separator: ".")
    }

    /// The longest text of an IPv6 address, whose last 32 bits may be written as IPv4.
    private static let charactersMax = 45

    static func parse6(_ text: Substring) -> [UInt8]? {
        guard text.utf8.count <= charactersMax else { return nil }
        let halves = splitAtDoubleColon(Array(text.utf8))
        guard let head = groups(halves.head, allowsIPv4: halves.tail == nil) else { return nil }
        guard let tailText = halves.tail else { return head.count == 16 ? head : nil }
        guard let tail = groups(tailText, allowsIPv4: true), head.count + tail.count <= 14 else { return nil }
        return head + [UInt8](repeating: 0, count: 16 - head.count - tail.count) + tail
    }

    private static func splitAtDoubleColon(_ text: [UInt8]) -> (head: ArraySlice<UInt8>, tail: ArraySlice<UInt8>?) {
        let colon = UInt8(ascii: ":")
        for index in text.indices.dropLast() where text[index] == colon && text[index + 1] == colon {
            return (text[..<index], text[(index + 2)...])
        }
        return (text[...], nil)
    }

    /// The bytes of groups between single colons; a second `::` shows as an empty group and is refused.
    private static func groups(_ text: ArraySlice<UInt8>, allowsIPv4: Bool) -> [UInt8]? {
        if text.isEmpty { return [] }
        let parts = text.split(separator: UInt8(ascii: ":"), maxSplits: 8, omittingEmptySubsequences: false)
        guard parts.count <= 8 else { return nil }
        var bytes: [UInt8] = []
        for (index, part) in parts.enumerated() {
            if allowsIPv4 && index == parts.count - 1 && part.contains(UInt8(ascii: ".")) {
                guard let embedded = parse4(Substring(decoding: part, as: UTF8.self)) else { return nil }
                bytes.append(contentsOf: embedded)
            } else {
                guard let group = hexGroup(part) else { return nil }
                bytes.append(UInt8(truncatingIfNeeded: group >> 8))
                bytes.append(UInt8(truncatingIfNeeded: group))
            }
        }
        return bytes.count <= 16 ? bytes : nil
    }

    private static func hexGroup(_ text: ArraySlice<UInt8>) -> UInt16? {
        guard (1...4).contains(text.count) else { return nil }
        var value: UInt16 = 0
        for character in text {
            let digit: UInt8
            switch character {
            case 0x30...0x39: digit = character - 0x30
            case 0x41...0x46: digit = character - 0x41 + 10
            case 0x61...0x66: digit = character - 0x61 + 10
            default: return nil
            }
            value = value << 4 | UInt16(digit)
        }
        return value
    }

    static func render6(_ bytes: [UInt8]) -> String {
        let groups = stride(from: 0, to: 16, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
        if groups[0..<5].allSatisfy({ $0 == 0 }) && groups[5] == 0xFFFF {
            return "::ffff:" + render4(Array(bytes[12...]))
        }
        let zeros = longestZeroRun(groups)
        let hex = groups.map { String($0, radix: 16) }
        guard zeros.count > 1 else { return hex.joined(separator: ":") }
        return hex[..<zeros.lowerBound].joined(separator: ":") + "::" + hex[zeros.upperBound...].joined(separator: ":")
    }

    /// The first of the longest runs of zero groups.
    private static func longestZeroRun(_ groups: [UInt16]) -> Range<Int> {
        var longest = 0..<0
        var start = 0
        for index in 0...groups.count where index == groups.count || groups[index] != 0 {
            if index - start > longest.count { longest = start..<index }
            start = index + 1
        }
        return longest
    }
}
