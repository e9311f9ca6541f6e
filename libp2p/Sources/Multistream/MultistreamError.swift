/// What ends a negotiation. It closes the stream, or the connection during its upgrade.
package enum MultistreamError: Error, Hashable, Sendable {
    /// A message announced more than `MultistreamMessage.bytesMax` bytes, or its length is no minimal varint.
    case messageTooLong
    /// A message that is empty, not UTF-8, or without a line end.
    case malformedMessage
    /// The peer did not begin with `/multistream/1.0.0`.
    case wrongHeader
    /// The answer to the dialer was neither its proposal nor `na`.
    case unexpectedAnswer
    /// The peer speaks none of the protocols that were proposed.
    case noneSupported
    /// More proposals than `MultistreamListener.proposalsMax`.
    case tooManyProposals(limit: Int)
}

extension MultistreamError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .messageTooLong: "a message is too long"
        case .malformedMessage: "a message does not read"
        case .wrongHeader: "the other side does not begin as it must"
        case .unexpectedAnswer: "the other side answered something that was not proposed"
        case .noneSupported: "the other side speaks none of the protocols"
        case .tooManyProposals(let limit): "the other side proposed more than \(limit) protocols"
        }
    }
}
