package import Multiformats

/// Why an operation did not do what it was asked.
package enum FileStop: Error, Hashable, Sendable, CustomStringConvertible {
    /// The answer is an error number, and nothing has changed.
    case errno(WASIErrno)
    /// Content of a mount is not here yet, and nothing has changed: fetch these, and ask the same again. It may then
    /// need more.
    case needs([ContentWant])
    /// Content of a mount is not what a mount may hold: no call can be answered truly, so the run ends.
    case broken(MountFault)
    /// What is to be kept of folders needs more memory than the run has left; the run ends.
    case outOfMemory
    /// What is to be collected has too many entries.
    case tooManyCollected(entriesMax: Int)
    /// The caller asked to stop collecting.
    case stopped

    /// What happened, in a sentence.
    package var description: String {
        switch self {
        case .errno(let number): "the call was refused with error number \(number.rawValue) of WASI"
        case .needs: "content that a mount needs is not here yet"
        case .broken(let fault): "\(fault)"
        case .outOfMemory: "the entries of the folders that it has read need more memory than allowed"
        case .stopped: "it was stopped"
        case .tooManyCollected(let most): "more than \(most) files and folders are to be collected"
        }
    }
}

/// Something of a mount that an operation needs.
package enum ContentWant: Hashable, Sendable, Codable {
    /// What `MountSource.node` says of it.
    case node(CID)
    /// What `MountSource.listing` says of it.
    case listing(CID)
    /// These bytes of a file.
    case bytes(CID, Range<UInt64>)
    /// A block as it is.
    case block(CID)
}

/// Why content cannot be mounted.
package enum MountFault: Error, Hashable, Sendable, CustomStringConvertible {
    /// A block is not of a file, folder or symbolic link, or contradicts itself.
    case notFiles(CID)
    /// An entry of a folder has no proper name.
    case name(CID, FileName.Fault)
    /// Two entries of a folder have this name.
    case duplicateName(CID, FileName)
    /// A folder with more entries than a folder may have.
    case tooManyEntries(CID, entriesMax: Int)
    /// The folders that the run has read have more entries together than may be kept.
    case tooManyMountedEntries(entriesMax: Int)
    /// A symbolic link whose target is empty, too long, or holds a NUL.
    case target(CID)
    /// A file larger than files may be.
    case fileTooLarge(CID, bytesMax: UInt64)
    /// The source gave other bytes of this file than it was asked for.
    case wrongLength(CID)

    /// What is wrong, in a sentence.
    package var description: String {
        switch self {
        case .notFiles(let cid): "\(cid) is no file, folder or symbolic link that can be mounted"
        case .name(let cid, let fault): "the folder \(cid) has an entry whose name \(fault)"
        case .duplicateName(let cid, let name): "the folder \(cid) has two entries called \(name)"
        case .tooManyEntries(let cid, let most): "the folder \(cid) has more than \(most) entries"
        case .tooManyMountedEntries(let most): "the folders that the job has read have more than \(most) entries"
        case .target(let cid): "the symbolic link \(cid) leads to an empty or overlong path, or to one with a zero byte"
        case .fileTooLarge(let cid, let most): "the file \(cid) has more than \(most) bytes"
        case .wrongLength(let cid): "the file \(cid) has other bytes than it says"
        }
    }
}
