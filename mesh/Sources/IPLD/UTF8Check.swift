/// Whether bytes are UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
enum UTF8Check {
    static func isValid(_ bytes: [UInt8], _ range: Range<Int>) -> Bool {
        var index = range.lowerBound
        while index < range.upperBound {
            let first = bytes[index]
            index += 1
            if first < 0x80 { continue }
            let following: Int
            // The second byte's range depends on the first: that is where overlong forms and surrogates show.
            var second: ClosedRange<UInt8> = 0x80...0xBF
            switch first {
            case 0xC2...0xDF: following = 1
            case 0xE0: (following, second) = (2, 0xA0...0xBF)
            case 0xED: (following, second) = (2, 0x80...0x9F)
            case 0xE1...0xEF: following = 2
            case 0xF0: (following, second) = (3, 0x90...0xBF)
            case 0xF4: (following, second) = (3, 0x80...0x8F)
            case 0xF1...0xF3: following = 3
            default: return false
            }
            if range.upperBound - index < following { return false }
            if !second.contains(bytes[index]) { return false }
            for offset in stride(from: 1, to: following, by: 1) where bytes[index + offset] & 0xC0 != 0x80 {
                return false
            }
            index += following
        }
        return true
    }
}
