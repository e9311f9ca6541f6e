package import Multiformats

/// Why a file or directory could not be cut into blocks or read from them.
package enum UnixFSError: Error, Hashable, Sendable {
    /// More bytes than this node handles in one file.
    case fileTooLarge(bytesMax: Int)
    /// The block is not a file: a folder, another format, or broken.
    case notAFile(CID)
    /// The block is no directory: a file, a link, another format, or broken.
    case notADirectory(CID)
    /// The block is neither a file nor a directory nor a symbolic link.
    case notUnixFS(CID)
    /// The tree of blocks is deeper than files are.
    case tooDeep(depthMax: Int)
    /// More blocks than a file of the largest size has.
    case tooManyBlocks
    /// More bytes than a block has.
    case blockTooLarge(CID, bytesMax: Int)
    /// A node's statement about the bytes in or below it is false; names the node or the chunk.
    case falseSizes(CID)
    /// A part of a large directory contradicts itself, or holds a name that does not belong there.
    case falseShard(CID)
    /// A directory with more entries than are read or written.
    case tooManyEntries(entriesMax: Int)
    /// The names of a directory have more bytes in all than are read.
    case namesTooLong(bytesMax: Int)
    /// Two entries of a directory that is to be written have one name.
    case duplicateName([UInt8])
    /// Names whose hashes are the same, as nobody finds by chance.
    case equalHashes
}

extension UnixFSError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .fileTooLarge(let bytesMax): "the file has more than \(bytesMax) bytes"
        case .notAFile(let cid): "\(cid) is not a file"
        case .notADirectory(let cid): "\(cid) is not a directory"
        case .notUnixFS(let cid): "\(cid) is neither a file nor a directory nor a symbolic link"
        case .tooDeep(let depthMax): "its blocks are nested deeper than \(depthMax)"
        case .tooManyBlocks: "it has too many blocks"
        case .blockTooLarge(let cid, let bytesMax): "the block \(cid) has more than \(bytesMax) bytes"
        case .falseSizes(let cid): "the sizes in \(cid) are false"
        case .falseShard(let cid): "the part \(cid) of the directory contradicts itself"
        case .tooManyEntries(let entriesMax): "the directory has more than \(entriesMax) entries"
        case .namesTooLong(let bytesMax): "the names in the directory have more than \(bytesMax) bytes"
        case .duplicateName(let name): "the name \(String(decoding: name, as: UTF8.self)) occurs twice"
        case .equalHashes: "the hashes of two names are the same"
        }
    }
}
