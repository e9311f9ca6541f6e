/// What may be done with a descriptor (`rights`).
///
/// A descriptor gets every right that its kind of node can have and its directory passes on; of those asked for, only
/// `read` and `write` decide anything, as in other engines, on which programs rely. Rights that a guest gives up with
/// `fd_fdstat_set_rights` are gone.
package struct WASIRights: OptionSet, Hashable, Sendable {
    /// The bits as the guest gives them.
    package let rawValue: UInt64

    package init(rawValue: UInt64) { self.rawValue = rawValue }

    private init(bit: UInt64) { rawValue = 1 << bit }

    /// `fd_datasync`.
    package static let dataSync = WASIRights(bit: 0)
    /// `fd_read`.
    package static let read = WASIRights(bit: 1)
    /// `fd_seek`.
    package static let seek = WASIRights(bit: 2)
    /// `fd_fdstat_set_flags`.
    package static let setFlags = WASIRights(bit: 3)
    /// `fd_sync`.
    package static let sync = WASIRights(bit: 4)
    /// `fd_tell`.
    package static let tell = WASIRights(bit: 5)
    /// `fd_write`.
    package static let write = WASIRights(bit: 6)
    /// `fd_advise`.
    package static let advise = WASIRights(bit: 7)
    /// `fd_allocate`.
    package static let allocate = WASIRights(bit: 8)
    /// `path_create_directory`.
    package static let createDirectory = WASIRights(bit: 9)
    /// `path_open` that creates.
    package static let createFile = WASIRights(bit: 10)
    /// `path_link`, as where the file is.
    package static let linkSource = WASIRights(bit: 11)
    /// `path_link`, as where the new name goes.
    package static let linkTarget = WASIRights(bit: 12)
    /// `path_open`.
    package static let open = WASIRights(bit: 13)
    /// `fd_readdir`.
    package static let readDirectory = WASIRights(bit: 14)
    /// `path_readlink`.
    package static let readLink = WASIRights(bit: 15)
    /// `path_rename`, as where the old name is.
    package static let renameSource = WASIRights(bit: 16)
    /// `path_rename`, as where the new name goes.
    package static let renameTarget = WASIRights(bit: 17)
    /// `path_filestat_get`.
    package static let pathStatus = WASIRights(bit: 18)
    /// `path_open` that truncates.
    package static let pathSetSize = WASIRights(bit: 19)
    /// `path_filestat_set_times`.
    package static let pathSetTimes = WASIRights(bit: 20)
    /// `fd_filestat_get`.
    package static let status = WASIRights(bit: 21)
    /// `fd_filestat_set_size`.
    package static let setSize = WASIRights(bit: 22)
    /// `fd_filestat_set_times`.
    package static let setTimes = WASIRights(bit: 23)
    /// `path_symlink`.
    package static let symlink = WASIRights(bit: 24)
    /// `path_remove_directory`.
    package static let removeDirectory = WASIRights(bit: 25)
    /// `path_unlink_file`.
    package static let unlinkFile = WASIRights(bit: 26)
    /// `poll_oneoff`.
    package static let poll = WASIRights(bit: 27)

    /// What a directory can have.
    package static let directory: WASIRights = [
        .setFlags, .sync, .dataSync, .createDirectory, .createFile, .linkSource, .linkTarget, .open, .readDirectory,
        .readLink, .renameSource, .renameTarget, .pathStatus, .pathSetSize, .pathSetTimes, .status, .setTimes,
        .symlink, .removeDirectory, .unlinkFile, .poll,
    ]
    /// What a file can have.
    package static let file: WASIRights = [
        .dataSync, .read, .seek, .setFlags, .sync, .tell, .write, .advise, .allocate, .status, .setSize, .setTimes,
        .poll,
    ]
    /// What a stream can have. Without `seek` and `tell`, wasi-libc would take a character device for a terminal.
    package static let stream: WASIRights = [.read, .write, .setFlags, .status, .poll]
    /// What a preopened directory passes on: whatever there is.
    package static let inheriting = directory.union(file)
}
