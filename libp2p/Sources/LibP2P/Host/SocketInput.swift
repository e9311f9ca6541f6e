import Foundation
import NIOCore
import NIOPosix

/// What the system has received for a socket and nobody has read.
enum SocketInput {
    /// Whether there is anything, or the end; `false` for channels that are no sockets.
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
