package import SignedObjects

/// A question for a part of an author's log. Source: PROTOCOL.md, "Logs of others".
package struct LogRangeRequest: Hashable, Sendable, Codable {
    /// The most bytes of one.
    package static let bytesMax = 1_024

    /// Whose log.
    package var author: DID
    /// The name of the log as far as it is known here; nil asks for its newest.
    package var origin: String?
    /// The number of the first entry that is wanted.
    package var start: UInt64
    /// The most entries that are taken.
    package var entriesMax: UInt64
    /// The most bytes of entries that are taken.
    package var entryBytesMax: UInt64

    package init(author: DID, origin: String?, start: UInt64, entriesMax: UInt64, entryBytesMax: UInt64) {
        self.author = author
        self.origin = origin
        self.start = start
        self.entriesMax = entriesMax
        self.entryBytesMax = entryBytesMax
    }

    private enum CodingKeys: String, CodingKey {
        case author, origin, start
        case entriesMax = "entries_max"
        case entryBytesMax = "entry_bytes_max"
    }
}

/// Entries of a log that follow each other, with the proof that they are where the log's signed head has them.
///
/// Two proofs of inclusion say all that there is to say: that of the first entry shows the tree before it, so whoever
/// has the entries before compares; that of the last shows the tree with all of them. Without entries there is nothing
/// new under the head, or the head is of a log that the author began again. Source: PROTOCOL.md, "Logs of others".
package struct LogRange: Hashable, Sendable, Codable {
    /// The most bytes of one.
    package static let bytesMax = 1 << 20

    /// The signed head, with the cosignatures that the giver has.
    package var note: [UInt8]
    /// The number of the first entry.
    package var start: UInt64
    /// The blocks of the entries.
    package var entries: [[UInt8]]
    /// The hashes of the proof that the first entry is in the tree of the head, 32 bytes each.
    package var first: [UInt8]
    /// The same of the last entry.
    package var last: [UInt8]

    package init(
        note: [UInt8], start: UInt64, entries: [[UInt8]] = [], first: [UInt8] = [], last: [UInt8] = []
    ) {
        self.note = note
        self.start = start
        self.entries = entries
        self.first = first
        self.last = last
    }
}
