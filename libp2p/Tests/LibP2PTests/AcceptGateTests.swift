import Foundation
import Logging
import NIOConcurrencyHelpers
import NIOCore
import NIOEmbedded
import Testing

@testable import LibP2P

/// When a server asks for its next connections, on a loop whose time the tests move.
@Suite("Accepting")
struct AcceptGateTests {
    /// Counts the reads that reach the socket.
    private final class Reads: ChannelOutboundHandler {
        typealias OutboundIn = NIOAny
        var count = 0
        func read(context: ChannelHandlerContext) { count += 1 }
    }

    private func gated(
        onPause: @escaping @Sendable () -> Void = {}, isOpen: @escaping @Sendable () -> Bool = { true },
        freeDescriptors: @escaping @Sendable () -> Int = { .max }
    ) throws -> (channel: EmbeddedChannel, reads: Reads) {
        let reads = Reads()
        let channel = EmbeddedChannel()
        try channel.pipeline.syncOperations.addHandler(reads)
        try channel.pipeline.syncOperations.addHandler(
            AcceptGate(
                pauseMilliseconds: 100, pauseMillisecondsMax: 300, what: "tests", logger: Logger(label: "test"),
                onPause: onPause, isOpen: isOpen, freeDescriptors: freeDescriptors))
        return (channel, reads)
    }

    @Test("A closed gate asks for nothing; an opened one asks once, however often it was wanted")
    func closedGate() throws {
        let isOpen = NIOLockedValueBox(false)
        let (channel, reads) = try gated(isOpen: { isOpen.withLockedValue { $0 } })
        for _ in 0..<3 { channel.read() }
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(50))
        #expect(reads.count == 0)
        isOpen.withLockedValue { $0 = true }
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(10))
        #expect(reads.count == 1)
        channel.read()
        #expect(reads.count == 2)
        _ = try? channel.finish()
    }

    @Test("Accepting pauses before the last descriptors, counts each pause, and goes on when there are more")
    func reserve() throws {
        let (free, pauses) = (NIOLockedValueBox(AcceptGate.descriptorsReserved), NIOLockedValueBox(0))
        let (channel, reads) = try gated(
            onPause: { pauses.withLockedValue { $0 += 1 } }, freeDescriptors: { free.withLockedValue { $0 } })
        channel.read()
        #expect(reads.count == 0 && pauses.withLockedValue { $0 } == 1)
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(100))
        #expect(reads.count == 0 && pauses.withLockedValue { $0 } == 2)
        free.withLockedValue { $0 += 1 }
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(199))
        #expect(reads.count == 0)
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
        #expect(reads.count == 1 && pauses.withLockedValue { $0 } == 2)
        #expect(FreeDescriptors.count() > 0)
        _ = try? channel.finish()
    }

    /// The changes of whether the socket is read, in order.
    private func looks(_ channel: EmbeddedChannel) -> [Bool] {
        channel.options.compactMap { $0.option is ChannelOptions.Types.AutoReadOption ? $0.value as? Bool : nil }
    }

    @Test("Without descriptors accepting pauses longer each time, up to the longest pause, and counts each")
    func pauses() throws {
        let pauses = NIOLockedValueBox(0)
        let (channel, _) = try gated(onPause: { pauses.withLockedValue { $0 += 1 } })
        for (number, milliseconds) in [100, 200, 300, 300].enumerated() {
            channel.pipeline.fireErrorCaught(IOError(errnoCode: EMFILE, reason: "accept"))
            #expect(looks(channel).last == false)
            channel.embeddedEventLoop.advanceTime(by: .milliseconds(Int64(milliseconds) - 1))
            #expect(looks(channel).last == false)
            channel.embeddedEventLoop.advanceTime(by: .milliseconds(1))
            #expect(looks(channel).last == true)
            #expect(pauses.withLockedValue { $0 } == number + 1)
        }
        // After a connection the next pause is short again.
        channel.pipeline.syncOperations.fireChannelRead(NIOAny(1))
        channel.pipeline.fireErrorCaught(IOError(errnoCode: ENFILE, reason: "accept"))
        channel.embeddedEventLoop.advanceTime(by: .milliseconds(100))
        #expect(looks(channel).last == true)
        // An error of a single connection causes no pause.
        channel.pipeline.fireErrorCaught(IOError(errnoCode: ECONNABORTED, reason: "accept"))
        #expect(looks(channel).last == true && pauses.withLockedValue { $0 } == 5)
        #expect(throws: IOError.self) { try channel.throwIfErrorCaught() }
    }
}
