/// The bounds of reading and writing UnixFS: what hostile blocks may cost.
package struct UnixFSLimits: Hashable, Sendable {
    /// A block, in bytes.
    package var blockBytesMax = 2 << 20
    /// Links in a node of a file.
    package var fileLinksMax = DAGPBNode.linksMax
    /// Links in a directory of one block; a block of the largest size has no room for more.
    package var directoryLinksMax = 65_536
    /// Entries of one directory.
    package var entriesMax = 262_144
    /// The names in one directory, in bytes.
    package var namesBytesMax = 32 << 20
    /// Levels of nodes above the chunks of a file; a balanced file of 2^60 bytes has at most eight.
    package var fileDepthMax = 32
    /// Blocks to look at for one range of a file.
    package var rangeBlocksMax = 4_096
    /// Missing blocks to name at once.
    package var missingMax = 256
    /// Names in a path.
    package var pathNamesMax = 256

    /// The limits of this project.
    package init() {}
}
