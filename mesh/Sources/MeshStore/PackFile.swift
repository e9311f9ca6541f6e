import CFiles
import Foundation

/// One file of packed blocks, open for as long as somebody reads or writes it.
final class PackFile: Sendable {
    let path: String
    private let descriptor: CInt

    /// Opens the file, and makes it if that is asked for.
    init(path: String, creating: Bool) throws {
        self.path = path
        descriptor = open(path, O_RDWR | O_CLOEXEC | (creating ? O_CREAT : 0), 0o600)
        guard descriptor >= 0 else { throw Self.failure(path) }
    }

    deinit { close(descriptor) }

    /// Writes all bytes at an offset.
    func write(_ bytes: [UInt8], at offset: Int) throws {
        var done = 0
        while done < bytes.count {
            // SAFETY: the rebased part of the buffer is valid for its count during the call.
            let count = bytes.withUnsafeBytes { buffer in
                let rest = UnsafeRawBufferPointer(rebasing: buffer[done...])
                return pwrite(descriptor, rest.baseAddress, rest.count, off_t(offset + done))
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Self.failure(path) }
            done += count
        }
    }

    /// The bytes at an offset; `nil` if the file ends before, or does not read.
    func read(_ count: Int, at offset: Int) -> [UInt8]? {
        var isWhole = true
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                // SAFETY: the rebased part of the buffer has room for its count during the call.
                let rest = UnsafeMutableBufferPointer(rebasing: buffer[filled..<count])
                let got = pread(descriptor, rest.baseAddress, rest.count, off_t(offset + filled))
                if got < 0, errno == EINTR { continue }
                guard got > 0 else {
                    isWhole = false
                    return
                }
                filled += got
            }
        }
        return isWhole ? bytes : nil
    }

    /// Waits until everything written is on the disk.
    func sync() throws {
        guard fdatasync(descriptor) == 0 else { throw Self.failure(path) }
    }

    /// Has the system begin to write a part to the disk.
    func startWriting(_ count: Int, at offset: Int) {
        // It is a hint: what it does not write now, `sync` does.
        _ = files_start_writing(descriptor, Int64(offset), Int64(count))
    }

    /// Gives the room of a part back. Where the file system cannot, the room stays taken until the file goes.
    func punch(_ count: Int, at offset: Int) {
        _ = files_punch(descriptor, Int64(offset), Int64(count))
    }

    /// Cuts off what lies behind an offset.
    func cut(at offset: Int) throws {
        guard ftruncate(descriptor, off_t(offset)) == 0 else { throw Self.failure(path) }
    }

    /// The error for the last call that failed.
    static func failure(_ path: String) -> MeshStoreError {
        switch errno {
        case ENOSPC, EDQUOT, EFBIG: .full(path: path)
        case let code: .unreadable(path: path, detail: String(cString: strerror(code)))
        }
    }
}
