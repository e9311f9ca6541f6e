import Foundation
import NIOCore
import NIOPosix

/// Bytes that the system received for a socket and nobody has read.
enum SocketInput {
    /// Whether there are bytes, or the end; `false` for channels that are not sockets.
    static func isWaiting(in channel: any Channel) -> Bool {
        // SAFETY: the socket is open while the closure runs, and peeking takes nothing from it.
        let count = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self
        ) { socket in
            var byte: UInt8 = 0
            return recv(socket, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT))
        }
        return (count ?? -1) >= 0
    }
}
