import IPLD
import MeshTypes
import Multiformats
import Synchronization

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// What an executor writes down of a session while it lasts, so that its run can begin again where a killed node was:
/// what came of the user before that is acknowledged, and what came of each call before the module goes on.
///
/// It is written, and not forced onto the disk, which would cost each key some milliseconds: a node that is killed
/// loses nothing, a machine that stops may. A record that was written in part is as good as none: nobody relied on it.
// SAFETY: pointers are to arrays that live through the system call, with their lengths; the descriptor is closed once,
// when nobody has this any more.
final class SessionLog: Sendable {
    /// The bounds of a log.
    enum Limits {
        /// Bytes of a file; the session of a longer one cannot begin again.
        static let bytesMax = 2 << 20
    }

    /// What was written.
    struct Record: Hashable, Sendable, Codable {
        /// Input that came.
        var data: [UInt8]?
        /// Whether that was its end.
        var isLast: Bool?
        /// The originator's word for it.
        var statement: [UInt8]?
        /// What came of a call of the run.
        var event: SessionEvent?
        /// When the run began, in milliseconds since 1970.
        var startedAt: UInt64?
    }

    private struct State: Sendable {
        var bytes: Int
        var isGivenUp = false
    }

    private let path: String
    private let descriptor: Int32
    private let state: Mutex<State>

    private init(path: String, descriptor: Int32, bytes: Int) {
        self.path = path
        self.descriptor = descriptor
        state = Mutex(State(bytes: bytes))
    }

    deinit { close(descriptor) }

    /// Begins a log, in a folder that is made where it is missing; nil if it cannot be.
    static func begin(_ name: String, in folder: String) -> SessionLog? {
        _ = mkdir(folder, 0o700)
        let path = "\(folder)/\(name)"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { return nil }
        let log = SessionLog(path: path, descriptor: descriptor, bytes: 0)
        // A file without a record is one that was given up.
        log.append(Record())
        return log.isGivenUp ? nil : log
    }

    /// Whether there is one already.
    static func exists(_ name: String, in folder: String) -> Bool { access("\(folder)/\(name)", F_OK) == 0 }

    /// Goes on with a log, and tells what was written; nil if it was given up or cannot be read.
    static func goOn(_ name: String, in folder: String) -> (log: SessionLog, records: [Record])? {
        let path = "\(folder)/\(name)"
        let descriptor = open(path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return nil }
        var bytes = [UInt8](repeating: 0, count: Limits.bytesMax + 1)
        var count = 0
        while count < bytes.count {
            let got = bytes.withUnsafeMutableBytes { raw in
                pread(descriptor, raw.baseAddress.map { $0 + count }, raw.count - count, off_t(count))
            }
            guard got > 0 else { break }
            count += got
        }
        let (records, whole) = records(in: bytes[..<count])
        guard !records.isEmpty, count <= Limits.bytesMax, ftruncate(descriptor, off_t(whole)) == 0 else {
            close(descriptor)
            return nil
        }
        return (SessionLog(path: path, descriptor: descriptor, bytes: whole), records)
    }

    /// The whole records at the begin of a file, and how many bytes they have.
    static func records(in bytes: ArraySlice<UInt8>) -> (records: [Record], bytes: Int) {
        var records: [Record] = []
        var rest = bytes
        while rest.count >= headBytes {
            let count = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            let body = rest.dropFirst(headBytes).prefix(count)
            guard body.count == count, rest.dropFirst(4).prefix(8).elementsEqual(mark(of: body)),
                let record = try? DAGCBORDecoder().decode(Record.self, from: Array(body))
            else { break }
            records.append(record)
            rest = rest.dropFirst(headBytes + count)
        }
        return (records, bytes.count - rest.count)
    }

    /// The length of a record, and a mark of its bytes.
    private static let headBytes = 12

    private static func mark(of body: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        CID.hashing(body, codec: .raw).bytes.suffix(8)
    }

    /// Writes a record before whatever relies on it; where that cannot be, the session cannot begin again.
    func append(_ record: Record) {
        state.withLock { state in
            guard !state.isGivenUp else { return }
            guard let body = try? DAGCBOREncoder().encode(record),
                state.bytes + headBytes(with: body) <= Limits.bytesMax
            else {
                return giveUp(&state)
            }
            let head = (0..<4).map { UInt8(truncatingIfNeeded: body.count >> (24 - 8 * $0)) } + Self.mark(of: body[...])
            guard put(head + body) else { return giveUp(&state) }
            state.bytes += headBytes(with: body)
        }
    }

    private func headBytes(with body: [UInt8]) -> Int { Self.headBytes + body.count }

    private func put(_ bytes: [UInt8]) -> Bool {
        var offset = 0
        while offset < bytes.count {
            let put = bytes.withUnsafeBytes { raw in
                write(descriptor, raw.baseAddress.map { $0 + offset }, raw.count - offset)
            }
            guard put > 0 else { return false }
            offset += put
        }
        return true
    }

    /// Has the session never begin again.
    func giveUp() {
        state.withLock { state in if !state.isGivenUp { giveUp(&state) } }
    }

    private func giveUp(_ state: inout State) {
        state.isGivenUp = true
        _ = ftruncate(descriptor, 0)
    }

    /// Whether it is no use any more.
    var isGivenUp: Bool { state.withLock { $0.isGivenUp } }

    /// Deletes the file.
    func remove() { unlink(path) }

    /// Deletes the logs of a folder whose runs are over.
    static func clean(_ folder: String, keeping names: Set<String>) {
        guard let stream = opendir(folder) else { return }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix("."), !names.contains(name) { unlink("\(folder)/\(name)") }
        }
    }
}
