import Multiformats
package import NIOCore

/// The side that answers proposals. It answers `na` to `/libp2p/simultaneous-connect`, as to everything unknown.
package struct MultistreamListener: Sendable {
    /// Lines that a dialer may send before an agreement; `ls` counts too.
    package static let proposalsMax = 32
    /// Protocols that an answer to `ls` names at most.
    package static let listedMax = 128

    /// What to do after bytes were taken; `send` comes first.
    package struct Step: Hashable, Sendable {
        /// Bytes to send, possibly none.
        package var send: [UInt8] = []
        /// The protocol agreed on. Bytes not taken belong to it.
        package var agreed: String?
    }

    private let protocols: [String]
    private var sawHeader = false
    private var proposalCount = 0

    /// Negotiates one of `protocols`.
    package init(protocols: [String]) {
        self.protocols = protocols
    }

    /// Takes lines off the front of `bytes` until a protocol is agreed or more bytes are needed.
    package mutating func received(_ bytes: inout ByteBuffer) throws(MultistreamError) -> Step {
        var step = Step()
        while let line = try MultistreamMessage.decode(from: &bytes) {
            guard sawHeader else {
                guard line == MultistreamMessage.header else { throw .wrongHeader }
                sawHeader = true
                MultistreamMessage.append(MultistreamMessage.header, to: &step.send)
                continue
            }
            proposalCount += 1
            guard proposalCount <= Self.proposalsMax else { throw .tooManyProposals(limit: Self.proposalsMax) }
            if line == MultistreamMessage.list {
                appendList(to: &step.send)
            } else if protocols.contains(line) {
                MultistreamMessage.append(line, to: &step.send)
                step.agreed = line
                return step
            } else {
                MultistreamMessage.append(MultistreamMessage.notAvailable, to: &step.send)
            }
        }
        return step
    }

    /// One line that holds all the lines, and an empty last one.
    private func appendList(to bytes: inout [UInt8]) {
        var lines: [UInt8] = []
        for name in protocols.prefix(Self.listedMax) { MultistreamMessage.append(name, to: &lines) }
        lines.append(UInt8(ascii: "\n"))
        Varint.append(UInt64(lines.count), to: &bytes)
        bytes.append(contentsOf: lines)
    }
}
