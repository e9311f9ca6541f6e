/// The error numbers of WASI preview 1.
///
/// Source: `errno` in the witx files of `wasi_snapshot_preview1`.
package enum WASIErrno: UInt16, Hashable, Sendable, CaseIterable {
    /// No error.
    case success = 0
    /// The argument list is too long.
    case argumentListTooLong = 1
    /// Permission denied.
    case accessDenied = 2
    /// The address is in use.
    case addressInUse = 3
    /// The address is not available.
    case addressNotAvailable = 4
    /// The address family is not supported.
    case addressFamilyNotSupported = 5
    /// The resource is not available now.
    case again = 6
    /// A connection is already in progress.
    case alreadyInProgress = 7
    /// No such descriptor, or it is not open for this.
    case badDescriptor = 8
    /// A bad message.
    case badMessage = 9
    /// The device or resource is busy: a mount point, or `.` and `..` of a rename.
    case busy = 10
    /// The operation was cancelled.
    case cancelled = 11
    /// No child processes.
    case noChild = 12
    /// The connection was aborted.
    case connectionAborted = 13
    /// The connection was refused.
    case connectionRefused = 14
    /// The connection was reset.
    case connectionReset = 15
    /// A resource deadlock would occur.
    case deadlock = 16
    /// A destination address is required.
    case destinationRequired = 17
    /// A mathematics argument is out of the domain of the function.
    case outOfDomain = 18
    /// The quota of the mount is used up.
    case quotaExceeded = 19
    /// The file exists.
    case exists = 20
    /// A pointer outside the guest's memory.
    case fault = 21
    /// The file would be too large.
    case fileTooLarge = 22
    /// The host is unreachable.
    case hostUnreachable = 23
    /// The identifier was removed.
    case identifierRemoved = 24
    /// An illegal byte sequence.
    case illegalByteSequence = 25
    /// The operation is in progress.
    case inProgress = 26
    /// The function was interrupted.
    case interrupted = 27
    /// An argument is invalid.
    case invalid = 28
    /// An input or output error.
    case inputOutput = 29
    /// The socket is connected.
    case isConnected = 30
    /// The node is a directory.
    case isDirectory = 31
    /// Too many symbolic links, or one where none is followed.
    case loop = 32
    /// The run has too many open descriptors.
    case tooManyDescriptors = 33
    /// The file has too many links.
    case tooManyLinks = 34
    /// The message is too large.
    case messageSize = 35
    /// Reserved.
    case multihop = 36
    /// A name, a path or a target is too long, or a path too deep.
    case nameTooLong = 37
    /// The network is down.
    case networkDown = 38
    /// The connection was aborted by the network.
    case networkReset = 39
    /// The network is unreachable.
    case networkUnreachable = 40
    /// Too many files are open in the system.
    case tooManyFiles = 41
    /// There is no buffer space.
    case noBuffers = 42
    /// There is no such device, or it cannot do this.
    case noDevice = 43
    /// There is no such file or directory.
    case noEntry = 44
    /// An executable file format error.
    case executableFormat = 45
    /// No locks are available.
    case noLocks = 46
    /// Reserved.
    case noLink = 47
    /// Not enough space in memory.
    case outOfMemory = 48
    /// There is no message of the desired type.
    case noMessage = 49
    /// The protocol is not available.
    case noProtocolOption = 50
    /// The bytes or entries of the run are used up.
    case noSpace = 51
    /// The function is not supported.
    case noSystemCall = 52
    /// The socket is not connected.
    case notConnected = 53
    /// The node, or one on the way to it, is no directory.
    case notDirectory = 54
    /// The directory is not empty.
    case notEmpty = 55
    /// The state is not recoverable.
    case notRecoverable = 56
    /// The descriptor is no socket.
    case notSocket = 57
    /// Not supported.
    case notSupported = 58
    /// An inappropriate control operation.
    case notTerminal = 59
    /// There is no such device or address.
    case noSuchDeviceOrAddress = 60
    /// The value is too large for its type.
    case overflow = 61
    /// The previous owner died.
    case ownerDead = 62
    /// The operation is not permitted: a path out of the descriptor's tree, or a link to a directory.
    case notPermitted = 63
    /// The pipe is broken.
    case brokenPipe = 64
    /// A protocol error.
    case protocolError = 65
    /// The protocol is not supported.
    case protocolNotSupported = 66
    /// The protocol is of the wrong type for the socket.
    case wrongProtocolType = 67
    /// The result is too large.
    case outOfRange = 68
    /// The mount is read-only.
    case readOnly = 69
    /// The descriptor has no position.
    case illegalSeek = 70
    /// There is no such process.
    case noProcess = 71
    /// Reserved.
    case stale = 72
    /// The connection timed out.
    case timedOut = 73
    /// The text file is busy.
    case textBusy = 74
    /// The two paths are in different mounts.
    case crossDevice = 75
    /// The descriptor has not the right for this.
    case notCapable = 76
}
