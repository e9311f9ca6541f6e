import NodeAPI

/// What was shown of a job's output while it ran, to be held against what its receipt names.
struct ShownOutput: Sendable {
    /// The bounds of what is remembered.
    enum Limits {
        /// Ranges of a stream with something left out between them; with more, nothing is compared.
        static let rangesMax = 4_096
    }

    /// How what was shown compares with what the receipt names.
    enum Verdict: String, Encodable {
        /// Nothing was shown.
        case none
        /// It is the same, as far as it goes.
        case same
        /// It is not.
        case differs
        /// It cannot be told.
        case unknown
    }

    /// Of one stream, within what the job may write.
    private struct Stream: Sendable {
        var ranges: [Range<UInt64>] = []
        /// The bytes of all ranges.
        var shown: [UInt8] = []

        var end: UInt64 { ranges.last?.upperBound ?? 0 }

        mutating func add(_ position: UInt64, _ bytes: [UInt8]) {
            let end = position + UInt64(bytes.count)
            if let last = ranges.last, last.upperBound == position {
                ranges[ranges.count - 1] = last.lowerBound..<end
            } else {
                ranges.append(position..<end)
            }
            shown += bytes
        }

        func verdict(_ final: [UInt8]) -> Verdict {
            guard !ranges.isEmpty else { return .none }
            guard ranges.count <= Limits.rangesMax else { return .unknown }
            guard end <= UInt64(final.count) else { return .differs }
            let expected = ranges.lazy.flatMap { final[Int($0.lowerBound)..<Int($0.upperBound)] }
            return expected.elementsEqual(shown) ? .same : .differs
        }
    }

    private var output = Stream()
    private var error = Stream()
    private var isCounted = true
    private(set) var attempt: UInt64 = 0
    /// Bytes that came too fast to be shown.
    private(set) var leftOut: UInt64 = 0

    /// Notes what is shown next; whether it is of another attempt than what was shown before.
    mutating func add(_ news: OutputNews) -> Bool {
        let isAnother = !news.pieces.isEmpty && attempt != 0 && news.place.attempt != attempt
        if isAnother { self = ShownOutput() }
        if !news.pieces.isEmpty { attempt = news.place.attempt }
        isCounted = isCounted && news.isCounted
        for piece in news.pieces {
            let end = piece.isError ? error.end : output.end
            leftOut += piece.position - min(piece.position, end)
            if piece.isError {
                error.add(piece.position, piece.bytes)
            } else {
                output.add(piece.position, piece.bytes)
            }
        }
        return isAnother
    }

    /// Whether it is what another executor wrote than the one whose receipt counts.
    func isOfAnother(than counted: UInt64?) -> Bool { attempt != 0 && counted != nil && counted != attempt }

    /// How it compares with the whole of both streams.
    func verdict(output final: [UInt8], error finalError: [UInt8]) -> Verdict {
        guard isCounted else { return .unknown }
        let verdicts = [output.verdict(final), error.verdict(finalError)]
        return [.differs, .unknown, .same].first(where: verdicts.contains) ?? .none
    }

    /// What follows what was shown of a stream, and where.
    func rest(of final: [UInt8], isError: Bool) -> (bytes: [UInt8], position: UInt64) {
        let end = isError ? error.end : output.end
        return (Array(final.dropFirst(Int(clamping: end))), end)
    }
}
