import Foundation
import Synchronization

/// The memory of this process as the system counts it.
enum ProcessMemory {
    /// Open for good once it could be opened: each read from its beginning gives the numbers of that moment.
    private static let descriptor = Mutex<Int32>(-1)

    /// Resident bytes; zero if unknown.
    static var residentBytes: UInt64 {
        // The second number of statm is the resident set in pages (proc(5)).
        var text = [UInt8](repeating: 0, count: 128)
        let file = descriptor.withLock { descriptor in
            if descriptor < 0 { descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC) }
            return descriptor
        }
        let count = pread(file, &text, text.count, 0)
        let fields = String(decoding: text.prefix(max(0, count)), as: UTF8.self).split(separator: " ")
        guard fields.count > 1, let pages = UInt64(fields[1]) else { return 0 }
        return pages * UInt64(max(0, sysconf(Int32(_SC_PAGESIZE))))
    }
}
