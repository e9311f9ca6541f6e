import Multiformats

/// The major types of CBOR (RFC 8949) in the upper three bits of an item's first byte.
enum CBORMajor: UInt8 {
    case unsigned = 0x00
    case negative = 0x20
    case byteString = 0x40
    case text = 0x60
    case list = 0x80
    case map = 0xA0
    case tag = 0xC0
    case simple = 0xE0
}

/// Appends items of canonical CBOR to a buffer.
struct CBORWriter {
    private(set) var bytes: [UInt8] = []

    static let falseByte: UInt8 = 0xF4
    static let trueByte: UInt8 = 0xF5
    static let nullByte: UInt8 = 0xF6
    static let float64Byte: UInt8 = 0xFB
    /// Tag 42, which marks a link.
    static let linkTag: [UInt8] = [0xD8, 0x2A]

    mutating func reserve(_ count: Int) { bytes.reserveCapacity(count) }

    mutating func head(_ major: CBORMajor, _ argument: UInt64) {
        switch argument {
        case 0..<24:
            bytes.append(major.rawValue | UInt8(truncatingIfNeeded: argument))
        case 24...0xFF:
            bytes.append(major.rawValue | 24)
            bytes.append(UInt8(truncatingIfNeeded: argument))
        case 0x100...0xFFFF:
            bytes.append(major.rawValue | 25)
            bigEndian(argument, 2)
        case 0x1_0000...0xFFFF_FFFF:
            bytes.append(major.rawValue | 26)
            bigEndian(argument, 4)
        default:
            bytes.append(major.rawValue | 27)
            bigEndian(argument, 8)
        }
    }

    mutating func null() { bytes.append(Self.nullByte) }

    mutating func bool(_ value: Bool) { bytes.append(value ? Self.trueByte : Self.falseByte) }

    mutating func unsigned(_ value: UInt64) { head(.unsigned, value) }

    mutating func integer(_ value: Int64) {
        if value >= 0 {
            head(.unsigned, UInt64(value))
        } else {
            head(.negative, UInt64(bitPattern: ~value))
        }
    }

    mutating func float(_ value: Double) {
        bytes.append(Self.float64Byte)
        bigEndian(value.bitPattern, 8)
    }

    mutating func text(_ value: String) {
        let utf8 = value.utf8
        head(.text, UInt64(utf8.count))
        bytes.append(contentsOf: utf8)
    }

    mutating func byteString(_ value: ArraySlice<UInt8>) {
        head(.byteString, UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    mutating func link(_ cid: CID) {
        let binary = cid.bytes
        bytes.append(contentsOf: Self.linkTag)
        head(.byteString, UInt64(binary.count + 1))
        bytes.append(0)
        bytes.append(contentsOf: binary)
    }

    /// Appends an item that is already encoded.
    mutating func encoded(_ item: ArraySlice<UInt8>) { bytes.append(contentsOf: item) }

    /// Leaves room for the one-byte head of a container with a yet unknown count.
    mutating func placeholder() -> Int {
        bytes.append(0)
        return bytes.count - 1
    }

    /// Writes the head of a container over its placeholder; a head longer than one byte moves the content.
    mutating func fill(_ offset: Int, _ major: CBORMajor, _ count: Int) {
        if count < 24 {
            bytes[offset] = major.rawValue | UInt8(count)
            return
        }
        var head = CBORWriter()
        head.head(major, UInt64(count))
        bytes.replaceSubrange(offset...offset, with: head.bytes)
    }

    /// Replaces everything from an offset on.
    mutating func replace(from offset: Int, with content: [UInt8]) {
        bytes.removeSubrange(offset...)
        bytes.append(contentsOf: content)
    }

    private mutating func bigEndian(_ value: UInt64, _ count: Int) {
        var shift = UInt64(count) * 8
        while shift > 0 {
            shift -= 8
            bytes.append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }
}
