import Foundation
import Logging

/// Writes log lines to a descriptor from its own thread, so that logging never waits for the log's readers.
///
/// A bounded number of bytes waits; beyond it lines are dropped, and their number is logged as soon as there is room
/// again. The descriptor stays as inherited: other processes may have it too.
// SAFETY: all state is used under the condition's lock; only the one thread writes to the descriptor.
final class LogWriter: @unchecked Sendable {
    /// The writer of this process's standard error.
    static let standardError = LogWriter(descriptor: STDERR_FILENO)
    /// The writer of this process's standard output, for a program that continues whether or not anybody reads it.
    static let standardOutput = LogWriter(descriptor: STDOUT_FILENO)

    /// How long the process waits at its end for the log to be read.
    static let goodbyeMilliseconds = 1_000

    private let descriptor: Int32
    private let waitingBytesMax: Int
    private let condition = NSCondition()
    private var lines: [String] = []
    private var waitingBytes = 0
    private var droppedLines: UInt64 = 0
    private var isWriting = false
    private var isStarted = false
    private var isBroken = false
    private var format = LogFormat.text

    /// A writer; its thread starts with the first line and stays.
    init(descriptor: Int32, waitingBytesMax: Int = 1024 * 1024) {
        self.descriptor = descriptor
        self.waitingBytesMax = waitingBytesMax
    }

    /// Has what the writer itself tells written in this way, as the lines that it is given are.
    func use(_ format: LogFormat) {
        condition.lock()
        defer { condition.unlock() }
        self.format = format
    }

    /// Accepts one line, without its end; returns at once.
    func write(_ line: String) {
        condition.lock()
        defer { condition.unlock() }
        guard !isBroken else { return }
        let count = line.utf8.count + 1
        guard waitingBytes + count <= waitingBytesMax else {
            droppedLines += 1
            return
        }
        waitingBytes += count
        lines.append(line)
        condition.broadcast()
        guard !isStarted else { return }
        isStarted = true
        Thread.detachNewThread { [self] in work() }
    }

    /// Waits until all lines are written, for at most this long; returns whether they are.
    @discardableResult
    func flush(milliseconds: Int) -> Bool {
        let end = Date().addingTimeInterval(Double(milliseconds) / 1_000)
        condition.lock()
        defer { condition.unlock() }
        while !isBroken, isWriting || !lines.isEmpty || droppedLines > 0 {
            guard condition.wait(until: end) else { return false }
        }
        return !isBroken
    }

    private func work() {
        while let batch = nextBatch() {
            let isWritten = Console().write(Array(batch.utf8), to: descriptor)
            finished(isWritten: isWritten)
        }
    }

    /// The waiting bytes, once there are any; nil once writing is impossible.
    private func nextBatch() -> String? {
        condition.lock()
        defer { condition.unlock() }
        while lines.isEmpty, droppedLines == 0 {
            if isBroken { return nil }
            condition.wait()
        }
        if isBroken { return nil }
        isWriting = true
        var batch = lines.map { $0 + "\n" }.joined()
        lines.removeAll()
        if droppedLines > 0 {
            batch +=
                format.line(
                    level: .warning, message: "Lines of this log were dropped, since nobody read it.",
                    metadata: ["dropped": "\(droppedLines)"]) + "\n"
            droppedLines = 0
        }
        return batch
    }

    private func finished(isWritten: Bool) {
        condition.lock()
        defer { condition.unlock() }
        isWriting = false
        waitingBytes = lines.reduce(0) { $0 + $1.utf8.count + 1 }
        isBroken = !isWritten
        condition.broadcast()
    }
}
