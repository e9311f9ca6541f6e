import GuestFiles

/// What a run wrote to one of its streams.
package struct OutputPart: Hashable, Sendable, Codable {
    /// Whether to standard error.
    package var isError: Bool
    /// The bytes.
    package var bytes: [UInt8]

    /// Bytes of standard error, or of standard output.
    package init(isError: Bool, bytes: [UInt8]) {
        self.isError = isError
        self.bytes = bytes
    }
}

/// Tells the host what a run writes while it lasts: what came in some milliseconds at once, so that a module that
/// writes byte by byte costs little more, and a short run nothing.
struct OutputTelling {
    /// The bounds of telling.
    enum Limits {
        /// Bytes that are told at once.
        static let bytesMax = 32 << 10
        /// Parts that are told at once: turns from one stream to the other.
        static let partsMax = 256
        /// How long output is gathered, in nanoseconds.
        static let gatheringNanoseconds: UInt64 = 20_000_000
    }

    private var untold: [OutputPart] = []
    private var untoldBytes = 0
    private var toldNanoseconds: UInt64

    /// Of a run that begins.
    init(now: UInt64) { toldNanoseconds = now }

    /// Takes what the run writes next.
    mutating func wrote(_ bytes: [UInt8], to stream: StreamWrite.Stream, now: UInt64, _ host: any ExecutionHost) {
        let isError = stream == .standardError
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = rest.prefix(Limits.bytesMax - untoldBytes)
            if untold.last?.isError == isError {
                untold[untold.count - 1].bytes += part
            } else {
                untold.append(OutputPart(isError: isError, bytes: Array(part)))
            }
            untoldBytes += part.count
            rest = rest.dropFirst(part.count)
            if untoldBytes == Limits.bytesMax || untold.count == Limits.partsMax { passOn(now: now, host) }
        }
        passOnIfDue(now: now, host)
    }

    /// Tells what was gathered long enough.
    mutating func passOnIfDue(now: UInt64, _ host: any ExecutionHost) {
        if now - min(now, toldNanoseconds) >= Limits.gatheringNanoseconds { passOn(now: now, host) }
    }

    /// Tells what was gathered.
    mutating func passOn(now: UInt64, _ host: any ExecutionHost) {
        guard !untold.isEmpty else { return }
        host.wrote(untold)
        (untold, untoldBytes, toldNanoseconds) = ([], 0, now)
    }
}
