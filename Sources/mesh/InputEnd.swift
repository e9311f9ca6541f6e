import Dispatch
import Foundation

/// Waits for the end of standard input, which comes when the program that holds its other side ends, however it ends.
struct InputEnd: Sendable {
    /// Returns at the end of standard input, or when the task is cancelled; what was written to it is thrown away.
    func wait() async {
        let (bytes, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let source = DispatchSource.makeReadSource(fileDescriptor: STDIN_FILENO, queue: .global())
        source.setEventHandler {
            var buffer = [UInt8](repeating: 0, count: 4_096)
            let count = read(STDIN_FILENO, &buffer, buffer.count)
            if count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR) { continuation.finish() }
        }
        source.resume()
        for await _ in bytes {}
        source.cancel()
    }
}
