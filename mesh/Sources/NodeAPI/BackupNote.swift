import Foundation

/// What a backup says of itself: the member `backup.json`, and what the commands answer.
package struct BackupNote: Hashable, Sendable, Codable {
    /// What the file is; always `formatName`.
    package let format: String
    /// The version of the file's format.
    package let version: Int
    /// When the copy was made, in milliseconds since the Unix epoch.
    package let madeAt: UInt64
    /// The DID of the node.
    package let did: String
    /// The version of the program that made it.
    package let nodeVersion: String
    /// The version of the database's tables.
    package let databaseVersion: Int
    /// How many blocks are in it.
    package let blocks: Int
    /// How many of them do not hash to their CIDs, as in the home itself.
    package let damagedBlocks: Int

    /// The name of the format.
    package static let formatName = "planetary-mesh-backup"
    /// The newest version of the format that this program reads, and the one that it writes.
    package static let formatVersion = 1

    package init(madeAt: UInt64, did: String, databaseVersion: Int, blocks: Int, damagedBlocks: Int) {
        format = Self.formatName
        version = Self.formatVersion
        self.madeAt = madeAt
        self.did = did
        nodeVersion = NodeVersion.current
        self.databaseVersion = databaseVersion
        self.blocks = blocks
        self.damagedBlocks = damagedBlocks
    }

    enum CodingKeys: String, CodingKey {
        case format
        case version
        case madeAt = "made_at"
        case did
        case nodeVersion = "node_version"
        case databaseVersion = "database_version"
        case blocks
        case damagedBlocks = "damaged_blocks"
    }
}

/// How far a backup or its restoration is.
package struct BackupProgress: Hashable, Sendable {
    /// What is being done, such as `Copying`.
    package let step: String
    /// Bytes that are done.
    package let done: Int
    /// Bytes in all.
    package let total: Int

    package init(_ step: String, done: Int, total: Int) {
        (self.step, self.done, self.total) = (step, done, total)
    }
}
