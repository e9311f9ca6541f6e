/// The name of a directory entry: 1 to `bytesMax` bytes without `/` and NUL, and neither `.` nor `..`.
///
/// A name is bytes and nothing more: no encoding is asked for, nothing is folded, and the order is that of the bytes.
package struct FileName: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// `NAME_MAX` of POSIX systems.
    package static let bytesMax = 255

    /// The bytes as they were given.
    package let bytes: [UInt8]

    /// Throws why the bytes are no name.
    package init(_ bytes: [UInt8]) throws(Fault) {
        if let fault = Self.fault(in: bytes) { throw fault }
        self.bytes = bytes
    }

    /// Why bytes are no name.
    package enum Fault: Error, Hashable, Sendable, CustomStringConvertible {
        /// No bytes at all.
        case empty
        /// More than `FileName.bytesMax` bytes.
        case tooLong
        /// A `/`.
        case slash
        /// A NUL.
        case zeroByte
        /// `.` or `..`, which every directory has already.
        case dots

        /// What is wrong, as the end of a sentence about the name.
        package var description: String {
            switch self {
            case .empty: "is empty"
            case .tooLong: "has more than \(FileName.bytesMax) bytes"
            case .slash: "holds a slash"
            case .zeroByte: "holds a zero byte"
            case .dots: "is . or .."
            }
        }
    }

    private static func fault(in bytes: [UInt8]) -> Fault? {
        if bytes.isEmpty { return .empty }
        if bytes.count > bytesMax { return .tooLong }
        if bytes.contains(UInt8(ascii: "/")) { return .slash }
        if bytes.contains(0) { return .zeroByte }
        return bytes == [UInt8(ascii: ".")] || bytes == [UInt8(ascii: "."), UInt8(ascii: ".")] ? .dots : nil
    }

    package static func < (left: Self, right: Self) -> Bool { left.bytes.lexicographicallyPrecedes(right.bytes) }

    /// The name for a person to read; bytes that are no UTF-8 are replaced.
    package var description: String { String(decoding: bytes, as: UTF8.self) }
}
