import Foundation
import NIOCore
import NIOPosix

/// JSON lines on standard input and output.
struct LineChannel: Sendable {
    /// The longest line that is read: a gossip message of 1 MiB as hex, with its JSON around it.
    static let lineBytesMax = 8 << 20

    private let output = LineOutput()

    /// Writes one line.
    func send(_ message: some Encodable & Sendable) async {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = .withoutEscapingSlashes
        guard let line = try? encoder.encode(message) else { return }
        await output.write(line + [0x0A])
    }

    /// Calls `body` with every request until the input ends, "quit" comes or `body` says that it is enough.
    func requests(_ body: (PeerRequest) -> Void) async throws {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let channel = try await NIOPipeBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .takingOwnershipOfDescriptor(input: dup(STDIN_FILENO)) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, Never>(wrappingChannelSynchronously: channel)
                }
            }
        try await channel.executeThenClose { input in
            var waiting = ByteBuffer()
            for try await chunk in input {
                waiting.writeImmutableBuffer(chunk)
                while let end = waiting.readableBytesView.firstIndex(of: 0x0A) {
                    let line = waiting.readBytes(length: end - waiting.readerIndex) ?? []
                    waiting.moveReaderIndex(forwardBy: 1)
                    if line.isEmpty { continue }
                    let request = try decoder.decode(PeerRequest.self, from: Data(line))
                    if request.cmd == "quit" { return }
                    body(request)
                }
                waiting.discardReadBytes()
                guard waiting.readableBytes <= Self.lineBytesMax else { throw LineTooLong() }
            }
        }
    }

    /// A line on standard input had no end within `lineBytesMax`.
    struct LineTooLong: Error {}
}

/// Standard output, one whole line at a time.
private actor LineOutput {
    func write(_ line: Data) {
        FileHandle.standardOutput.write(line)
    }
}
