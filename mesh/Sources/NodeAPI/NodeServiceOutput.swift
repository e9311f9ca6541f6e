/// Where somebody is in what a job writes while it runs.
package struct OutputPlace: Hashable, Sendable, Codable {
    /// The attempt that the position is of; 0 while none is known.
    package var attempt: UInt64
    /// How many bytes of both streams together came before, in this attempt.
    package var position: UInt64

    /// A place; by default the beginning.
    package init(attempt: UInt64 = 0, position: UInt64 = 0) {
        self.attempt = attempt
        self.position = position
    }
}

/// What came of a job's output while it runs: its executor's word, which no receipt bears out yet.
package struct OutputNews: Hashable, Sendable, Codable {
    /// Bytes of one stream that follow each other.
    package struct Piece: Hashable, Sendable, Codable {
        /// Whether of standard error.
        package var isError: Bool
        /// The position of the first byte in its stream.
        package var position: UInt64
        /// The bytes.
        package var bytes: [UInt8]

        /// Bytes of a stream.
        package init(isError: Bool, position: UInt64, bytes: [UInt8]) {
            self.isError = isError
            self.position = position
            self.bytes = bytes
        }

        private enum CodingKeys: String, CodingKey {
            case position, bytes
            case isError = "error"
        }
    }

    /// What may follow.
    package enum Prospect: String, Hashable, Sendable, Codable {
        /// There may be more.
        case more
        /// The executor sends nothing before the end: it is of a version that cannot.
        case unsupported
        /// The job is over.
        case over
    }

    /// Where the pieces begin; later than asked where what came before is not kept.
    package var place: OutputPlace
    /// What came from there on, in order.
    package var pieces: [Piece]
    /// Whether the positions are those in the streams: not in a session of which this node has missed the beginning.
    package var isCounted: Bool
    /// What may follow.
    package var prospect: Prospect

    /// What is new from a place on; by default nothing.
    package init(
        place: OutputPlace, pieces: [Piece] = [], isCounted: Bool = true, prospect: Prospect = .more
    ) {
        self.isCounted = isCounted
        self.place = place
        self.pieces = pieces
        self.prospect = prospect
    }

    private enum CodingKeys: String, CodingKey {
        case place, pieces, prospect
        case isCounted = "counted"
    }

    /// The place behind the pieces.
    package var end: OutputPlace {
        OutputPlace(
            attempt: place.attempt, position: place.position + UInt64(pieces.reduce(0) { $0 + $1.bytes.count }))
    }
}
