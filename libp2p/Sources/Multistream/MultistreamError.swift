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
