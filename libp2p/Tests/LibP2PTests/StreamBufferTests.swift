import NIOConcurrencyHelpers
import NIOCore
import P2PTesting
import Testing

@testable import LibP2P

@Suite("Stream buffers", .timeLimit(.minutes(1)))
struct StreamBufferTests {
    @Test("Small pieces are copied together, so that no byte keeps a read buffer alive")
    func coalescing() async throws {
        let consumed = NIOLockedValueBox(0)
        let inbox = StreamInbox { count in consumed.withLockedValue { $0 += count } }
        let large = ByteBuffer(repeating: 1, count: 65_536)
        for index in 0..<10_000 {
            inbox.deliver(try #require(large.getSlice(at: index, length: 1)))
        }
        #expect(inbox.byteCount == 10_000 && consumed.withLockedValue { $0 } == 0)
        let chunk = try #require(try await inbox.next())
        #expect(chunk.readableBytes == 10_000 && chunk.storageCapacity <= 2 * StreamInbox.coalescedBytesMax)
        #expect(consumed.withLockedValue { $0 } == 10_000)
        inbox.deliver(large)
        #expect(try await inbox.next()?.storageCapacity == large.storageCapacity, "a whole buffer is not copied")
    }

    @Test("A frame needs a minimal varint, and is bounded before its body is read")
    func frames() async throws {
        func frame(_ bytes: [UInt8], bytesMax: Int = 1_000) async throws -> ByteBuffer? {
            let inbox = StreamInbox { _ in }
            inbox.deliver(ByteBuffer(bytes: bytes))
            inbox.finish()
            return try await inbox.frame(bytesMax: bytesMax)
        }
        #expect(try await frame([2, 7, 8])?.readableBytesView.elementsEqual([7, 8]) == true)
        #expect(try await frame([0])?.readableBytes == 0)
        #expect(try await frame([]) == nil)
        await #expect(throws: StreamError.endOfStream) { try await frame([0x80]) }
        await #expect(throws: StreamError.endOfStream) { try await frame([3, 1]) }
        await #expect(throws: StreamError.malformedLength) { try await frame([0x80, 0x00]) }
        await #expect(throws: StreamError.malformedLength) { try await frame([UInt8](repeating: 0xFF, count: 10)) }
        await #expect(throws: StreamError.frameTooLarge(announced: 1_001, bytesMax: 1_000)) {
            try await frame([0xE9, 0x07])
        }
    }

    @Test("Cancelled readers and writers leave nothing behind")
    func cancellation() async throws {
        let inbox = StreamInbox { _ in }
        let outbox = StreamOutbox(bytesMax: 1) {}
        try await outbox.write(ByteBuffer(string: "full"))
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { _ = try await inbox.next() }
            group.addTask { try await outbox.write(ByteBuffer(string: "waits")) }
            group.cancelAll()
            while let result = await group.nextResult() {
                #expect(throws: CancellationError.self) { try result.get() }
            }
        }
        inbox.deliver(ByteBuffer(string: "still here"))
        #expect(try await inbox.next() == ByteBuffer(string: "still here"))
        outbox.drained(4)
        #expect(outbox.unsentBytes == 0)
    }

    @Test("Writers wait past the mark, and continue in order as bytes drain")
    func backpressure() async throws {
        let outbox = StreamOutbox(bytesMax: 10) {}
        try await outbox.write(ByteBuffer(repeating: 0, count: 10))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await outbox.write(ByteBuffer(repeating: 1, count: 10)) }
            try await eventually { outbox.hasWaitingWriters }
            group.addTask { try await outbox.write(ByteBuffer(repeating: 2, count: 1)) }
            #expect(outbox.take().chunks.count == 1)
            outbox.drained(10)
            outbox.drained(10)
            try await group.waitForAll()
        }
        #expect(outbox.take().chunks.map(\.readableBytes) == [10, 1])
    }

    @Test("Both ends throw a failure; after an end the rest can be read")
    func ends() async throws {
        let inbox = StreamInbox { _ in }
        inbox.deliver(ByteBuffer(string: "rest"))
        inbox.finish()
        #expect(try await inbox.next() == ByteBuffer(string: "rest"))
        #expect(try await inbox.next() == nil)
        inbox.fail(.reset)
        #expect(try await inbox.next() == nil, "a clean end stays one")
        let outbox = StreamOutbox(bytesMax: 10) {}
        outbox.close()
        await #expect(throws: StreamError.closedForWriting) { try await outbox.write(ByteBuffer(string: "x")) }
        let failed = StreamOutbox(bytesMax: 10) {}
        failed.fail(.reset)
        await #expect(throws: StreamError.reset) { try await failed.write(ByteBuffer(string: "x")) }
    }
}
