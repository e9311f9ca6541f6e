import Foundation

/// The memory of this process as the system counts it.
enum ProcessMemory {
    /// Resident bytes; zero if unknown.
    static var residentBytes: UInt64 {
        // The second number of statm is the resident set in pages (proc(5)).
        guard let data = FileManager.default.contents(atPath: "/proc/self/statm") else { return 0 }
        let fields = String(decoding: data, as: UTF8.self).split(separator: " ")
        guard fields.count > 1, let pages = UInt64(fields[1]) else { return 0 }
        return pages * UInt64(max(0, sysconf(Int32(_SC_PAGESIZE))))
    }
}
