/// An entry of a node's log of what it anchored.
package struct LogEntryView: Hashable, Sendable, Codable {
    /// From 0, in the order of anchoring.
    package var number: UInt64
    /// The CID of the signed entry, which is the leaf.
    package var entryCID: String
    /// What it anchors: receipts, settlements, and other blocks.
    package var anchors: [String]
    /// When, in milliseconds since the Unix epoch, as the node says.
    package var recordedAt: UInt64
    /// What witnesses said of it; nil where none is known to have said anything, and in lists.
    package var cosignatures: [CosignatureView]?

    package init(number: UInt64, entryCID: String, anchors: [String], recordedAt: UInt64) {
        self.number = number
        self.entryCID = entryCID
        self.anchors = anchors
        self.recordedAt = recordedAt
    }

    private enum CodingKeys: String, CodingKey {
        case number, anchors, cosignatures
        case entryCID = "entry_cid"
        case recordedAt = "recorded_at"
    }
}

/// The head of a node's log, signed.
package struct LogHeadView: Hashable, Sendable, Codable {
    /// The name of the log, which has its author's DID.
    package var origin: String
    /// How many entries it has.
    package var size: UInt64
    /// The root of the tree over them, in base64.
    package var root: String
    /// The signed head as a text (C2SP's tlog-checkpoint); behind the proof that it continues the head that was asked
    /// for, if one was (tlog-witness).
    package var text: String

    package init(origin: String, size: UInt64, root: String, text: String) {
        self.origin = origin
        self.size = size
        self.root = root
        self.text = text
    }
}

/// The proof that a node's log has an entry.
package struct LogProofView: Hashable, Sendable, Codable {
    /// What the entry anchors, as it was asked for.
    package var cid: String
    /// The entry.
    package var entry: LogEntryView
    /// The proof as a text (C2SP's tlog-proof), which a stranger checks without a network.
    package var text: String

    package init(cid: String, entry: LogEntryView, text: String) {
        self.cid = cid
        self.entry = entry
        self.text = text
    }
}

/// What a node keeps of another's log, or of its own.
package struct FollowedLogView: Hashable, Sendable, Codable {
    /// The DID of its author.
    package var author: String
    /// The name of the log; nil before anything was heard of it.
    package var origin: String?
    /// How many entries are here, from the first on.
    package var entries: UInt64
    /// How many bytes they have.
    package var bytes: UInt64
    /// How many entries the newest signed head has that is known here; nil where none is.
    package var headEntries: UInt64?
    /// Whether it is followed now.
    package var isFollowed: Bool
    /// What keeps it from being fetched, a clause; nil if nothing does.
    package var obstacle: String?
    /// Whether its author told two histories of it, so that nothing more of it is taken.
    package var hasForked: Bool

    package init(author: String) {
        self.author = author
        (entries, bytes, isFollowed, hasForked) = (0, 0, false, false)
    }

    private enum CodingKeys: String, CodingKey {
        case author, origin, entries, bytes, obstacle
        case headEntries = "head_entries"
        case isFollowed = "is_followed"
        case hasForked = "has_forked"
    }
}

/// What fetching an author's log brought.
package struct LogSyncView: Hashable, Sendable, Codable {
    /// The log as it is now.
    package var log: FollowedLogView
    /// Entries that are new.
    package var newEntries: UInt64
    /// Bytes of them.
    package var newBytes: UInt64
    /// How long it took, in milliseconds.
    package var milliseconds: UInt64

    package init(log: FollowedLogView, newEntries: UInt64, newBytes: UInt64, milliseconds: UInt64) {
        self.log = log
        self.newEntries = newEntries
        self.newBytes = newBytes
        self.milliseconds = milliseconds
    }

    private enum CodingKeys: String, CodingKey {
        case log, milliseconds
        case newEntries = "new_entries"
        case newBytes = "new_bytes"
    }
}

/// What was kept of an author's logs and is no more.
package struct ForgottenLog: Hashable, Sendable, Codable {
    /// The DID of the author.
    package var author: String
    /// Entries of all its logs.
    package var entries: UInt64
    /// Bytes of them.
    package var bytes: UInt64

    package init(author: String, entries: UInt64, bytes: UInt64) {
        self.author = author
        self.entries = entries
        self.bytes = bytes
    }
}

/// The proof that an author told two histories of its log.
package struct LogForkView: Hashable, Sendable, Codable {
    /// The DID of the author.
    package var author: String
    /// The name of the log.
    package var origin: String
    /// Where the histories part, a clause.
    package var place: String
    /// The proof as a text, which `mesh dag verify` checks without a network.
    package var text: String

    package init(author: String, origin: String, place: String, text: String) {
        self.author = author
        self.origin = origin
        self.place = place
        self.text = text
    }
}

/// A signed entry of a log, as it is exported.
package struct LogBlockView: Hashable, Sendable, Codable {
    /// The DID of its author.
    package var author: String
    /// From 0, in the order of anchoring.
    package var number: UInt64
    /// The CID of the block.
    package var entryCID: String
    /// What it anchors.
    package var anchors: [String]
    /// When, in milliseconds since the Unix epoch, as its author says.
    package var recordedAt: UInt64
    /// The block, in base64.
    package var block: String

    package init(
        author: String, number: UInt64, entryCID: String, anchors: [String], recordedAt: UInt64, block: String
    ) {
        self.author = author
        self.number = number
        self.entryCID = entryCID
        self.anchors = anchors
        self.recordedAt = recordedAt
        self.block = block
    }

    private enum CodingKeys: String, CodingKey {
        case author, number, anchors, block
        case entryCID = "entry_cid"
        case recordedAt = "recorded_at"
    }
}
