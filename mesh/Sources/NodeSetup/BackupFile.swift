import NodeAPI

/// The names and the bounds of a backup: a tar file (POSIX ustar) of a node's home, whose last member has the SHA-256
/// of each other one, as `sha256sum` writes and checks them. Source: docs/data.md.
package enum BackupFile {
    /// What bounds a backup that is read.
    package struct Limits: Sendable {
        /// Files in it.
        package var membersMax = 100_000
        /// The bytes of a member that is read whole: the note, the key and the settings.
        package var smallBytesMax = 1 << 20
        /// The bytes of the list of sums.
        package var sumsBytesMax = 16 << 20
        /// The number of a pack.
        static let packNumberMax = Int(UInt32.max)
        /// The bytes that are read, hashed or written at once.
        package var chunkBytes = 1 << 20

        package init() {}
    }

    /// A file in a backup.
    package struct Member: Hashable, Sendable {
        /// Its name.
        package let name: String
        /// Where its bytes begin.
        package let offset: Int
        /// How many there are.
        package let bytes: Int
    }

    /// What the backup says of itself.
    package static let note = "backup.json"
    /// The node's key.
    package static let key = "identity.key"
    /// The settings.
    package static let configuration = "config.json"
    /// The database.
    package static let database = "mesh.sqlite"
    /// The folder of the packs of blocks.
    package static let packs = "mesh.sqlite-blocks"
    /// The sums.
    package static let sums = "SHA256SUMS"

    static let blockBytes = 512

    /// Whether a backup may have a member of this name.
    static func allows(_ name: String) -> Bool {
        if [note, key, configuration, database, sums].contains(name) { return true }
        guard name.hasPrefix(packs + "/") else { return false }
        let number = name.dropFirst(packs.count + 1)
        return Int(number).map { $0 > 0 && $0 <= Limits.packNumberMax && String($0) == number } ?? false
    }

    /// The header of a member.
    static func header(_ name: String, bytes: Int) -> [UInt8] {
        var block = [UInt8](repeating: 0, count: blockBytes)
        func put(_ text: String, at place: Int) {
            for (index, byte) in text.utf8.enumerated() { block[place + index] = byte }
        }
        put(name, at: 0)
        put("0000600\0", at: 100)
        put("0000000\0", at: 108)
        put("0000000\0", at: 116)
        block.replaceSubrange(124..<136, with: size(bytes))
        put("00000000000\0", at: 136)
        put("        ", at: 148)
        put("0", at: 156)
        put("ustar\0", at: 257)
        put("00", at: 263)
        put(octal(block.reduce(0) { $0 + Int($1) }, digits: 6) + "\0 ", at: 148)
        return block
    }

    /// A size of 8 GiB or more does not fit into eleven octal digits, and is written as tar writes it then: a first
    /// byte of 0x80, and the number to the base of 256. Source: GNU tar's manual, "Extensions to the archive format".
    private static func size(_ bytes: Int) -> [UInt8] {
        if bytes < 1 << 33 { return Array((octal(bytes, digits: 11) + "\0").utf8) }
        return [0x80, 0, 0, 0] + (0..<8).reversed().map { UInt8(truncatingIfNeeded: bytes >> (8 * $0)) }
    }

    private static func octal(_ number: Int, digits: Int) -> String {
        let text = String(number, radix: 8)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }

    /// Name and size in a header; nil if it is not one of a file that a backup may have.
    static func member(_ block: [UInt8]) -> (name: String, bytes: Int)? {
        guard block.count == blockBytes, block[257..<262].elementsEqual("ustar".utf8), block[156] == UInt8(ascii: "0"),
            block[345] == 0
        else { return nil }
        var summed = block
        for index in 148..<156 { summed[index] = UInt8(ascii: " ") }
        guard let sum = number(block[148..<156]), sum == summed.reduce(0, { $0 + Int($1) }) else { return nil }
        let name = String(decoding: block[0..<100].prefix { $0 != 0 }, as: UTF8.self)
        guard allows(name), let bytes = size(block[124..<136]) else { return nil }
        return (name, bytes)
    }

    private static func size(_ field: ArraySlice<UInt8>) -> Int? {
        guard field.first == 0x80 else { return number(field) }
        let large = field.dropFirst()
        guard large.prefix(3).allSatisfy({ $0 == 0 }) else { return nil }
        return Int(exactly: large.dropFirst(3).reduce(0) { $0 << 8 | UInt64($1) })
    }

    private static func number(_ field: ArraySlice<UInt8>) -> Int? {
        let digits = field.prefix { $0 != 0 && $0 != UInt8(ascii: " ") }
        guard !digits.isEmpty else { return nil }
        return Int(String(decoding: digits, as: UTF8.self), radix: 8).flatMap { $0 < 0 ? nil : $0 }
    }

    /// A failure of a file, in the system's words.
    static func refusal(_ path: String, _ reason: String, hint: String) -> NodeServiceError {
        NodeServiceError(.storageFailed, "The backup \(path) \(reason).", hint: hint)
    }
}
