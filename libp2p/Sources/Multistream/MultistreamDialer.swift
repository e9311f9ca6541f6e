package import NIOCore

/// The side that proposes protocols one after the other, the first one together with the header.
package struct MultistreamDialer: Sendable {
    /// What to do after bytes were taken.
    package enum Step: Hashable, Sendable {
        /// More bytes are needed.
        case needsMore
        /// Bytes to send; the negotiation goes on.
        case send([UInt8])
        /// The peer agreed. Bytes that were not taken belong to the protocol.
        case agreed(String)
    }

    private var proposals: ArraySlice<String>
    private var sawHeader = false

    /// Negotiates the first of `protocols` that the peer supports.
    package init(protocols: [String]) {
        proposals = protocols[...]
    }

    /// The header and the first proposal.
    package func start() -> [UInt8] {
        var bytes: [UInt8] = []
        MultistreamMessage.append(MultistreamMessage.header, to: &bytes)
        if let first = proposals.first { MultistreamMessage.append(first, to: &bytes) }
        return bytes
    }

    /// Takes lines off the front of `bytes` until there is something to do.
    package mutating func received(_ bytes: inout ByteBuffer) throws(MultistreamError) -> Step {
        while let line = try MultistreamMessage.decode(from: &bytes) {
            guard sawHeader else {
                guard line == MultistreamMessage.header else { throw .wrongHeader }
                sawHeader = true
                continue
            }
            guard let proposal = proposals.first else { throw .noneSupported }
            if line == proposal { return .agreed(proposal) }
            guard line == MultistreamMessage.notAvailable else { throw .unexpectedAnswer }
            proposals = proposals.dropFirst()
            guard let next = proposals.first else { throw .noneSupported }
            var answer: [UInt8] = []
            MultistreamMessage.append(next, to: &answer)
            return .send(answer)
        }
        return .needsMore
    }
}
