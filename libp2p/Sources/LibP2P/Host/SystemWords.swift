import Foundation
import NIOCore
import NIOPosix

/// What a failure of the system, of NIO or of this library means, in words for people: a clause without a full stop,
/// and without the names of functions and types.
package enum SystemWords {
    /// The clause for a failure.
    package static func of(_ error: any Error) -> String {
        switch error {
        case let error as IOError: system(error.errnoCode)
        case let error as NIOConnectionError: connection(error)
        case let error as ChannelError: channel(error)
        case is SocketAddressError: "it is no address of a machine"
        case is CancellationError: "it was given up"
        case let error as any CustomStringConvertible where !(error is NSError): error.description
        default: "something failed that should not"
        }
    }

    /// The system's own words for one of its errors, such as "connection refused".
    package static func system(_ code: CInt) -> String {
        let words = String(cString: strerror(code))
        // Only the first letter of a sentence, not of an acronym.
        guard let first = words.first, words.dropFirst().first?.isLowercase == true else { return words }
        return first.lowercased() + words.dropFirst()
    }

    private static func connection(_ error: NIOConnectionError) -> String {
        if let last = error.connectionErrors.last { return of(last.error) }
        return "no machine is called \(error.host)"
    }

    private static func channel(_ error: ChannelError) -> String {
        switch error {
        case .connectTimeout(let time): "no answer within \(time.nanoseconds / 1_000_000) ms"
        case .connectPending, .operationUnsupported: "something failed that should not"
        default: "the connection was closed"
        }
    }
}
