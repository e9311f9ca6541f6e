import Dispatch
import Foundation

/// The signals by which a user or the system asks the program to stop, as a stream.
///
/// While it exists, they do not end the process by themselves.
// SAFETY: the sources are made before anybody else sees this object, and touched again only once nobody does.
final class Interrupts: @unchecked Sendable {
    /// One element per signal.
    let signals: AsyncStream<Int32>
    private let sources: [any DispatchSourceSignal]

    /// Listens for an interrupt from the keyboard, a request to terminate, and a closed terminal.
    init(_ numbers: [Int32] = [SIGINT, SIGTERM, SIGHUP]) {
        let (signals, continuation) = AsyncStream.makeStream(of: Int32.self, bufferingPolicy: .bufferingNewest(8))
        self.signals = signals
        sources = numbers.map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { continuation.yield(number) }
            source.resume()
            return source
        }
    }

    deinit {
        for source in sources { source.cancel() }
    }
}
