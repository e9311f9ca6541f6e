/// What ends a negotiation of protocols. It closes the stream, or the connection while that is being upgraded.
package enum MultistreamError: Error, Hashable, Sendable {
    /// A message announced more than `MultistreamMessage.bytesMax` bytes, or a length that is no minimal varint.
    case messageTooLong
    /// A message without the line end, with bytes that are not UTF-8, or empty.
    case malformedMessage
    /// The peer did not begin with `/multistream/1.0.0`.
    case wrongHeader
    /// The dialer was answered with something that was neither its proposal nor `na`.
    case unexpectedAnswer
    /// The peer speaks none of the protocols that were proposed.
    case noneSupported
    /// More proposals than `MultistreamListener.proposalsMax`.
    case tooManyProposals(limit: Int)
}
