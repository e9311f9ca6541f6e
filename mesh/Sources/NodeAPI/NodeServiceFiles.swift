package import Multiformats

/// A file that a node keeps.
package struct AddedFile: Hashable, Sendable, Codable {
    /// Its CID.
    package var cid: String
    /// Its size in bytes.
    package var size: Int

    package init(cid: String, size: Int) {
        self.cid = cid
        self.size = size
    }
}

/// A module that a node has compiled, ready for jobs.
package struct WarmModule: Hashable, Sendable, Codable {
    /// Its CID.
    package var cid: String
    /// Its size in bytes.
    package var size: Int
    /// Its functions.
    package var functions: Int
    /// Features of WebAssembly beyond the first version that it uses.
    package var features: [String]
    /// Where its machine code came from: `compiled`, `disk` or `memory`.
    package var source: String
    /// How long that took, in milliseconds.
    package var milliseconds: UInt64

    package init(
        cid: String, size: Int, functions: Int, features: [String], source: String, milliseconds: UInt64
    ) {
        self.cid = cid
        self.size = size
        self.functions = functions
        self.features = features
        self.source = source
        self.milliseconds = milliseconds
    }
}

/// What a node's store removed.
package struct RemovedBlocks: Hashable, Sendable, Codable {
    /// Blocks.
    package var blocks: Int
    /// Their bytes.
    package var bytes: Int

    /// What went.
    package init(blocks: Int, bytes: Int) {
        self.blocks = blocks
        self.bytes = bytes
    }
}

/// A block to keep, with the CID that names it.
package struct ContentBlock: Hashable, Sendable {
    /// The most CIDs to ask for at once.
    package static let askedMax = 1_024
    /// The most blocks to send at once.
    package static let sentMax = 1_024

    /// The CID; the bytes hash to it.
    package var cid: CID
    /// The block.
    package var bytes: [UInt8]

    package init(cid: CID, bytes: [UInt8]) {
        self.cid = cid
        self.bytes = bytes
    }
}

/// A file or folder that a node keeps, or is about to.
package struct PinnedTree: Hashable, Sendable, Codable {
    /// The CID of the root.
    package var cid: String
    /// Whether the node has all of it and keeps it.
    package var isPinned: Bool
    /// Its blocks that are here, each counted once.
    package var blocks: Int
    /// Their bytes.
    package var bytes: Int
    /// Blocks that are known to be missing, at most some of them.
    package var missing: [String]

    package init(cid: String, isPinned: Bool, blocks: Int, bytes: Int, missing: [String] = []) {
        self.cid = cid
        self.isPinned = isPinned
        self.blocks = blocks
        self.bytes = bytes
        self.missing = missing
    }

    private enum CodingKeys: String, CodingKey {
        case cid, blocks, bytes, missing
        case isPinned = "pinned"
    }
}

/// A page of what a node keeps.
package struct PinPage: Hashable, Sendable, Codable {
    /// The CIDs of the roots, the newest first.
    package var pins: [String]
    /// Those of them that are public; nil from a node of an older version.
    package var publicPins: [String]?
    /// What to ask for the next page with; nil at the end.
    package var next: Int64?

    package init(pins: [String], publicPins: [String]? = nil, next: Int64? = nil) {
        self.pins = pins
        self.publicPins = publicPins
        self.next = next
    }

    private enum CodingKeys: String, CodingKey {
        case pins, next
        case publicPins = "public"
    }
}

/// Whether strangers may have a kept file or folder over a node's gateway.
package struct Publication: Hashable, Sendable, Codable {
    /// The CID of the root.
    package var cid: String
    /// Whether it is public.
    package var isPublic: Bool
    /// Whether this node has a gateway to serve it.
    package var isServed: Bool

    package init(cid: String, isPublic: Bool, isServed: Bool) {
        self.cid = cid
        self.isPublic = isPublic
        self.isServed = isServed
    }

    private enum CodingKeys: String, CodingKey {
        case cid
        case isPublic = "public"
        case isServed = "served"
    }
}

/// CIDs that are asked for.
package struct AskedBlocks: Hashable, Sendable, Codable {
    /// The CIDs, as texts.
    package var cids: [String]

    package init(cids: [String]) {
        self.cids = cids
    }
}
