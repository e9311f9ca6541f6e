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

    /// Whether whoever started this process wants it to outlive its terminal (`nohup`); read before it is changed.
    private static let outlivesTerminal: Bool = {
        var inherited = sigaction()
        guard sigaction(SIGHUP, nil, &inherited) == 0 else { return false }
        // SAFETY: both are one pointer wide, and only compared.
        let handler = unsafeBitCast(inherited.__sigaction_handler.sa_handler, to: Int.self)
        return handler == unsafeBitCast(SIG_IGN, to: Int.self)
    }()

    /// Whether this process has a terminal to be interrupted from, now: one that was closed is none.
    static var hasTerminal: Bool {
        let descriptor = open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC)
        if descriptor >= 0 { close(descriptor) }
        return descriptor >= 0
    }

    /// Listens for an interrupt from the keyboard, a request to terminate, and a closed terminal, unless the process
    /// was started to ignore that.
    init(_ numbers: [Int32] = [SIGINT, SIGTERM, SIGHUP]) {
        let (signals, continuation) = AsyncStream.makeStream(of: Int32.self, bufferingPolicy: .bufferingNewest(8))
        self.signals = signals
        sources = numbers.filter { $0 != SIGHUP || !Self.outlivesTerminal }.map { number in
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
