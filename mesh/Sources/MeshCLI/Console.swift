import Foundation
import MeshHTTP
import NodeAPI
import Synchronization

/// Standard output and standard error of this process.
struct Console: Sendable {
    /// The home folder that the user named on the command line, which advice keeps.
    var home: String?

    /// Why standard output did not accept everything; nil if it did.
    private static let lost = Mutex<String?>(nil)

    /// What to say if standard output did not accept everything; nil if it did.
    static var lostOutput: String? {
        lost.withLock { reason in reason.map { "mesh: Standard output could not be written: \($0)." } }
    }

    /// Writes text, made safe, to standard output.
    func out(_ text: String) {
        write(Array(text.utf8), to: STDOUT_FILENO)
    }

    /// Writes one safe line to standard error; on a terminal it is broken where it has to be.
    func note(_ line: String) {
        noteAsItIs(home.map { KeptHome($0).kept(in: line) } ?? line)
    }

    private func noteAsItIs(_ line: String) {
        let isTerminal = isatty(STDERR_FILENO) == 1
        let text = isTerminal ? TextLayout.text(line, columns: Terminal.columns(STDERR_FILENO)) : line
        write(Array((text + "\n").utf8), to: STDERR_FILENO)
    }

    /// Writes a value as JSON over several lines to standard output.
    func json(_ value: some Encodable) throws {
        out(Terminal.safeJSON(try MeshJSON.render(value)) + "\n")
    }

    /// Writes a value as JSON on one line to standard output.
    func jsonLine(_ value: some Encodable) throws {
        out(try Self.line(value) + "\n")
    }

    /// Writes a value as JSON on one line to standard error.
    func noteLine(_ value: some Encodable) throws {
        write(Array((try Self.line(value) + "\n").utf8), to: STDERR_FILENO)
    }

    /// A value as JSON on one line, without its end.
    static func line(_ value: some Encodable) throws -> String {
        Terminal.safeJSON(String(decoding: try MeshJSON.encode(value), as: UTF8.self))
    }

    /// Writes foreign bytes to a descriptor: unchanged to a file or pipe, made safe to a terminal.
    func data(_ bytes: [UInt8], to descriptor: Int32 = STDOUT_FILENO) {
        guard isatty(descriptor) == 1 else {
            write(bytes, to: descriptor)
            return
        }
        write(Array(Terminal.safeLines(String(decoding: bytes, as: UTF8.self)).utf8), to: descriptor)
    }

    /// Reports a failure on standard error, as a sentence or as JSON with the command's exit code.
    func failure(_ error: NodeServiceError, status: ExitStatus, json: Bool) {
        noteAsItIs(failureLine(error, status: status, json: json))
    }

    /// What is reported about a failure.
    func failureLine(_ error: NodeServiceError, status: ExitStatus, json: Bool) -> String {
        var error = error
        if let home { error.hint = error.hint.map(KeptHome(home).kept) }
        guard json, let bytes = try? MeshJSON.encode(CommandFailure(error: error, exitStatus: status.rawValue)) else {
            return "mesh: \(Terminal.safe(error.description))"
        }
        return Terminal.safeJSON(String(decoding: bytes, as: UTF8.self))
    }

    /// Writes everything, however long the reader takes; a reader that is gone ends the process by the usual signal.
    /// Returns whether everything was written.
    // SAFETY: the system reads the bytes within each call, and `rest` never leaves the closure.
    @discardableResult
    func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        bytes.withUnsafeBytes { buffer in
            var rest = buffer[...]
            while !rest.isEmpty {
                let count = Foundation.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
                if count < 0 {
                    if errno == EINTR { continue }
                    // Another process that has the descriptor made it non-blocking.
                    guard errno == EAGAIN else {
                        let reason = String(cString: strerror(errno))
                        if descriptor == STDOUT_FILENO { Self.lost.withLock { $0 = reason } }
                        return false
                    }
                    var room = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = poll(&room, 1, -1)
                    continue
                }
                rest = rest.dropFirst(count)
            }
            return true
        }
    }
}

/// A failure of a command, as JSON.
struct CommandFailure: Codable {
    let error: NodeServiceError
    let exitStatus: Int32

    private enum CodingKeys: String, CodingKey {
        case error
        case exitStatus = "exit_status"
    }
}
