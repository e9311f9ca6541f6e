import Determinism
import Multistream
import NIOCore
import Yamux

/// One stream of a connection, as its handler keeps it: unshared, and an object only so that access copies no
/// references.
final class StreamSlot {
    enum Negotiation {
        case dialer(MultistreamDialer)
        case listener(MultistreamListener)
    }

    let channel: StreamChannel
    let link: StreamLink
    let charge: StreamCharge
    /// Present until both sides agree on the protocol.
    var negotiation: Negotiation?
    /// The task that waits for the stream; none when it was opened lazily or by the peer.
    var request: StreamRequest?
    /// Bytes that arrived but form no whole line yet.
    var negotiationInput = ByteBuffer()
    /// Bytes of the negotiation among those queued, which the outbox has not counted.
    var uncountedBytes = 0
    /// Whether nobody holds the stream any more; its peer has some time to end its side.
    var isAbandoned = false
    /// When the negotiation, or the peer of an abandoned stream, has taken too long.
    var deadline: MonotonicInstant?

    init(channel: StreamChannel, link: StreamLink, charge: StreamCharge, negotiation: Negotiation?) {
        self.channel = channel
        self.link = link
        self.charge = charge
        self.negotiation = negotiation
    }

    /// Takes bytes of the negotiation; returns the answer, and the protocol once agreed.
    func negotiate(_ bytes: ByteBuffer) throws(MultistreamError) -> (answer: [UInt8], agreed: String?) {
        negotiationInput.writeImmutableBuffer(bytes)
        switch negotiation {
        case .dialer(var dialer):
            let step = try dialer.received(&negotiationInput)
            negotiation = .dialer(dialer)
            switch step {
            case .needsMore: return ([], nil)
            case .send(let answer): return (answer, nil)
            case .agreed(let name): return ([], name)
            }
        case .listener(var listener):
            let step = try listener.received(&negotiationInput)
            negotiation = .listener(listener)
            return (step.send, step.agreed)
        case nil: return ([], nil)
        }
    }
}
