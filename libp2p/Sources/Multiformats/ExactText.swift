/// Text by its bytes.
///
/// Swift counts, cuts, compares and hashes text by what a reader sees: one letter may be a megabyte of accents, and two
/// spellings of a letter are equal. Use this for whatever a peer can influence: it cuts and compares by UTF-8.
extension String {
    /// The longest beginning of at most `bytesMax` bytes of UTF-8 that ends between two characters of Unicode
    /// (scalars); the cost grows with `bytesMax` and not with the text.
    public func cut(bytesMax: Int) -> String {
        let bytes = utf8
        guard let end = bytes.index(bytes.startIndex, offsetBy: max(0, bytesMax), limitedBy: bytes.endIndex),
            end != bytes.endIndex
        else { return self }
        // The bytes within a character of Unicode are 10xxxxxx, at most three of them in a row.
        var last = end
        while last != bytes.startIndex, bytes[last] & 0xC0 == 0x80 { last = bytes.index(before: last) }
        return String(self[..<last])
    }

    /// Whether two texts are the same bytes.
    public func isSameBytes(as other: String) -> Bool {
        // Both know their lengths, and most texts that are compared differ in it.
        utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
    }
}

/// A text that equals another if their bytes are the same; for comparing and hashing what is signed.
public struct ExactText: Hashable, Sendable {
    /// The text.
    public let text: String

    /// A text to compare by its bytes.
    public init(_ text: String) {
        self.text = text
    }

    public static func == (left: ExactText, right: ExactText) -> Bool { left.text.isSameBytes(as: right.text) }

    /// Hashes the bytes and their end.
    public func hash(into hasher: inout Hasher) {
        // SAFETY: the bytes are read before the pointer ends.
        let isHashed: Void? = text.utf8.withContiguousStorageIfAvailable {
            hasher.combine(bytes: UnsafeRawBufferPointer($0))
        }
        if isHashed == nil {
            // SAFETY: the same.
            Array(text.utf8).withUnsafeBytes { hasher.combine(bytes: $0) }
        }
        hasher.combine(0xFF as UInt8)
    }
}

extension Hasher {
    /// Feeds all bytes at once; an array feeds them one by one, which takes four times as long for a CID.
    package mutating func combine(allOf bytes: [UInt8]) {
        combine(bytes.count)
        // SAFETY: the bytes are read before the pointer ends.
        bytes.withUnsafeBytes { combine(bytes: $0) }
    }
}
