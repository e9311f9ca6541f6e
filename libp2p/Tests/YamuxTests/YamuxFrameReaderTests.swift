import Determinism
import NIOCore
import Testing

@testable import Yamux

@Suite("Cutting bytes into frames")
struct YamuxFrameReaderTests {
    /// A header, or a body with what it belongs to; pieces of one body are joined.
    private enum Part: Equatable {
        case header(YamuxHeader)
        case body(YamuxStreamID?, [UInt8], isEnd: Bool)
    }

    /// What a reader makes of pieces; every data frame has a body, FIN ends the stream behind it.
    private static func read(_ pieces: [ByteBuffer]) throws -> [Part] {
        var reader = YamuxFrameReader()
        var parts: [Part] = []
        var open: (id: YamuxStreamID?, bytes: [UInt8], remaining: Int)?
        for var piece in pieces {
            while piece.readableBytes > 0, let part = try reader.next(from: &piece) {
                switch part {
                case .header(let header):
                    parts.append(.header(header))
                    guard header.kind == .data, header.length > 0 else { continue }
                    let id = header.flags.contains(.rst) ? nil : header.streamID
                    open = (id, [], Int(header.length))
                    reader.expectBody(
                        of: id, byteCount: Int(header.length), finishes: header.flags.contains(.fin))
                case .body(let id, let bytes, let isEnd):
                    let body = try #require(open)
                    #expect(id == body.id)
                    let joined = body.bytes + Array(bytes.readableBytesView)
                    open = joined.count < body.remaining ? (body.id, joined, body.remaining) : nil
                    if open == nil { parts.append(.body(id, joined, isEnd: isEnd)) } else { #expect(!isEnd) }
                }
                reader.checkInvariants()
            }
            #expect(piece.readableBytes == 0, "bytes are left, and nobody waits for more")
        }
        #expect(open == nil)
        return parts
    }

    private static func frames(_ generator: inout SeededGenerator) -> (bytes: ByteBuffer, parts: [Part]) {
        var bytes = ByteBuffer()
        var parts: [Part] = []
        for number in 0..<Int.random(in: 1...12, using: &generator) {
            let kind: YamuxFrameKind = [.data, .data, .windowUpdate, .ping, .goAway].randomElement(using: &generator)!
            let flags: YamuxFlags = [[], .syn, .ack, .fin, .rst].randomElement(using: &generator)!
            let length = kind == .data ? UInt32.random(in: 0...40, using: &generator) : UInt32(number)
            let id = YamuxStreamID(UInt32.random(in: 0...9, using: &generator))
            let header = YamuxHeader(kind: kind, flags: flags, streamID: id, length: length)
            header.encode(into: &bytes)
            parts.append(.header(header))
            guard kind == .data, length > 0 else { continue }
            let body = (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
            bytes.writeBytes(body)
            parts.append(.body(flags.contains(.rst) ? nil : id, body, isEnd: flags.contains(.fin)))
        }
        return (bytes, parts)
    }

    @Test("Frames read the same however their bytes are cut")
    func cuts() throws {
        let seed = UInt64.random(in: 0...(.max))
        print("yamux frame reader seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        for round in 0..<500 {
            let (bytes, parts) = Self.frames(&generator)
            var rest = bytes
            var pieces: [ByteBuffer] = []
            let longest = [1, 3, 12, 13, 100].randomElement(using: &generator)!
            while rest.readableBytes > 0 {
                let count = min(rest.readableBytes, Int.random(in: 1...longest, using: &generator))
                pieces.append(rest.readSlice(length: count)!)
            }
            #expect(try Self.read(pieces) == parts, "seed \(seed), round \(round)")
            #expect(try Self.read([bytes]) == parts, "seed \(seed), round \(round)")
        }
    }

    @Test("A malformed header is refused at its twelfth byte, whole or cut, and not before")
    func malformed() throws {
        let malformed: [(at: Int, value: UInt8, YamuxViolation)] = [
            (0, 1, .unknownVersion(1)), (1, 4, .unknownFrameKind(4)), (3, 0x10, .unknownFlags(0x10)),
            (2, 0x80, .unknownFlags(0x8000)),
        ]
        for (index, value, violation) in malformed {
            var bytes = frame(.data, [], 1, 0)
            bytes.setInteger(value, at: index)
            for cut in 0..<YamuxHeader.byteCount {
                var reader = YamuxFrameReader()
                var (first, second) = (bytes.getSlice(at: 0, length: cut)!, bytes.getSlice(at: cut, length: 12 - cut)!)
                #expect(try reader.next(from: &first) == nil)
                #expect(throws: violation) { try reader.next(from: &second) }
            }
        }
    }

    @Test("A partial header is at most eleven bytes, and completing it takes none of the next")
    func partialHeader() throws {
        var reader = YamuxFrameReader()
        let bytes = frame(.ping, .syn, 0, 9)
        var eleven = bytes.getSlice(at: 0, length: 11)!
        #expect(try reader.next(from: &eleven) == nil)
        #expect(eleven.readableBytes == 0)
        reader.checkInvariants()
        var rest = bytes.getSlice(at: 11, length: 1)!
        rest.writeImmutableBuffer(bytes)
        guard case .header(let header) = try reader.next(from: &rest) else {
            Issue.record("no header")
            return
        }
        #expect(header == YamuxHeader(kind: .ping, flags: .syn, streamID: YamuxStreamID(0), length: 9))
        #expect(rest.readableBytes == YamuxHeader.byteCount)
    }
}
