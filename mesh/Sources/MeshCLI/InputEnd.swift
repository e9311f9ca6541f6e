import Foundation

/// Waits for the end of standard input, which comes when the program at its other side ends, in whatever way.
///
/// Its own thread waits: a Dispatch read source may crash the process if a pipe's other side closes while the source is
/// cancelled.
struct InputEnd: Sendable {
    /// Whether a device that is not a terminal, such as /dev/null, counts as endless: what runs in the background, and
    /// was not asked to end with its input, would stop at once.
    var isDeviceEndless = true

    /// Returns at the end of standard input, or when the task is cancelled; discards what was written to it.
    func wait() async {
        let isDeviceEndless = isDeviceEndless
        let wakeUp = WakeUp()
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                Thread.detachNewThread {
                    Self.readToEnd(orUntil: wakeUp, isDeviceEndless: isDeviceEndless)
                    continuation.resume()
                }
            }
        } onCancel: {
            wakeUp.ring()
        }
    }

    private static func readToEnd(orUntil wakeUp: WakeUp, isDeviceEndless: Bool) {
        var information = stat()
        let isDevice = fstat(STDIN_FILENO, &information) == 0 && information.st_mode & S_IFMT == S_IFCHR
        let input: Int32 = isDevice && isDeviceEndless && isatty(STDIN_FILENO) == 0 ? -1 : STDIN_FILENO
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while true {
            // The system ignores a negative descriptor.
            var waiting = [
                pollfd(fd: input, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wakeUp.listening, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&waiting, 2, -1) > 0 else {
                if errno == EINTR { continue }
                return
            }
            if waiting[1].revents != 0 { return }
            let count = read(STDIN_FILENO, &buffer, buffer.count)
            if count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) { return }
        }
    }
}

/// A pipe of the process to itself, which wakes a waiting thread.
final class WakeUp: Sendable {
    /// The end to listen on.
    let listening: Int32
    private let ringing: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        _ = pipe(&ends)
        listening = ends[0]
        ringing = ends[1]
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    }

    deinit {
        close(listening)
        close(ringing)
    }

    /// Wakes the thread.
    func ring() {
        var byte: UInt8 = 1
        _ = write(ringing, &byte, 1)
    }
}
