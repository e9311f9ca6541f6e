/// Where somebody is in the session of an interactive job: in what it wrote, or in what they typed.
package struct SessionPlace: Hashable, Sendable, Codable {
    /// The number that the node gave them; 0 to begin, which ends the turn of whoever was there before.
    package var client: UInt64
    /// The attempt that the position is of; 0 while none is known.
    package var attempt: UInt64
    /// A position, in bytes.
    package var position: UInt64

    /// A place; by default the beginning.
    package init(client: UInt64 = 0, attempt: UInt64 = 0, position: UInt64 = 0) {
        self.client = client
        self.attempt = attempt
        self.position = position
    }
}

/// What is new in a session.
package struct SessionNews: Hashable, Sendable, Codable {
    /// Bytes that the module wrote to one of its streams.
    package struct Piece: Hashable, Sendable, Codable {
        /// Whether to standard error.
        package var isError: Bool
        /// The bytes.
        package var bytes: [UInt8]

        /// Bytes of standard error, or of standard output.
        package init(isError: Bool, bytes: [UInt8]) {
            self.isError = isError
            self.bytes = bytes
        }

        private enum CodingKeys: String, CodingKey {
            case bytes
            case isError = "error"
        }
    }

    /// Where the pieces begin.
    package var place: SessionPlace
    /// What the module wrote from there, in order.
    package var pieces: [Piece]
    /// The position of the next byte to type; nil while the executor was not reached.
    package var inputPosition: UInt64?
    /// Whether the end of the input was typed.
    package var isInputOver: Bool
    /// Whether nothing more will come.
    package var isOver: Bool

    /// What is new from a place on; by default nothing.
    package init(
        place: SessionPlace, pieces: [Piece] = [], inputPosition: UInt64? = nil, isInputOver: Bool = false,
        isOver: Bool = false
    ) {
        self.place = place
        self.pieces = pieces
        self.inputPosition = inputPosition
        self.isInputOver = isInputOver
        self.isOver = isOver
    }

    /// The position behind the pieces.
    package var end: UInt64 { place.position + UInt64(pieces.reduce(0) { $0 + $1.bytes.count }) }

    private enum CodingKeys: String, CodingKey {
        case place, pieces
        case inputPosition = "input_position"
        case isInputOver = "input_over"
        case isOver = "over"
    }
}

/// Bounds of the calls of a session.
package enum SessionCalls {
    /// Milliseconds that a call waits for news or for room before it says that there is none.
    package static let waitMilliseconds: Int64 = 10_000
    /// Bytes of output in one answer.
    package static let heardBytesMax = 256 << 10
    /// Bytes of input in one call.
    package static let saidBytesMax = 64 << 10
}
