import DequeModule
import Determinism
package import NIOCore

extension YamuxSession {
    /// Whether `nextOutput` would give anything.
    package var hasOutput: Bool { !control.isEmpty || !ready.isEmpty }

    /// Appends frames of at most `bytesMax` bytes to `output`, and returns the streams whose queued bytes are among
    /// them.
    ///
    /// Pings, pongs and resets go first; then every stream with something to send gets one frame in turn.
    /// `bytesMax` must leave room for a header and one byte.
    package mutating func nextOutput(bytesMax: Int, into output: inout ByteBuffer) -> [YamuxDrained] {
        precondition(bytesMax > YamuxHeader.byteCount, "no room for a frame in \(bytesMax) bytes")
        let end = output.writerIndex + bytesMax
        while output.writerIndex + YamuxHeader.byteCount <= end, let header = control.popFirst() {
            header.encode(into: &output)
        }
        var drained: [YamuxDrained] = []
        // A stream's turn takes at most three headers (flags, body, FIN) before its body.
        while output.writerIndex + 3 * YamuxHeader.byteCount < end, let id = ready.popFirst() {
            guard let index = streams.index(forKey: id) else { continue }
            streams.values[index].isReady = false
            let count = writeTurn(of: index, until: end, into: &output)
            if count > 0 { drained.append(YamuxDrained(streamID: id, byteCount: count)) }
            markReady(id)
            forgetIfFinished(id)
        }
        return drained
    }

    private mutating func writeTurn(
        of index: Dictionary<YamuxStreamID, YamuxStreamState>.Index, until end: Int, into output: inout ByteBuffer
    ) -> Int {
        let id = streams.values[index].id
        let credit = min(streams.values[index].owedCredit, Int(UInt32.max))
        let flags = streams.values[index].owedFlags
        if !flags.isEmpty || credit > 0 {
            streams.values[index].owedFlags = []
            streams.values[index].owedCredit -= credit
            YamuxHeader(kind: .windowUpdate, flags: flags, streamID: id, length: UInt32(clamping: credit))
                .encode(into: &output)
        }
        let room = end - output.writerIndex - 2 * YamuxHeader.byteCount
        let queued = streams.values[index].sendQueueBytes
        let count = max(0, min(queued, streams.values[index].sendWindow, limits.frameBytesMax, room))
        if count > 0 {
            YamuxHeader(kind: .data, flags: [], streamID: id, length: UInt32(clamping: count)).encode(into: &output)
            streams.values[index].moveQueuedBytes(count, into: &output)
            queuedBytes -= count
        }
        if streams.values[index].sendQueueBytes == 0, case .closing = streams.values[index].sendingSide {
            streams.values[index].sendingSide = .closed
            YamuxHeader(kind: .windowUpdate, flags: .fin, streamID: id, length: 0).encode(into: &output)
        }
        return count
    }
}
