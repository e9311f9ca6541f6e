import Foundation

/// The file descriptors that this process may still open.
public enum FreeDescriptors {
    /// The distance from the lowest free descriptor to the process's limit: at most this many can be opened.
    public static func count() -> Int {
        let lowest = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3)
        // With standard error closed nothing can be said, and with no free descriptor there is nothing to close.
        guard lowest >= 0 else { return errno == EBADF ? .max : 0 }
        close(lowest)
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return .max }
        return Int(clamping: limit.rlim_cur) - Int(lowest)
    }
}
