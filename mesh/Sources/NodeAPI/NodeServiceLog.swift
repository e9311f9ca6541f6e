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
