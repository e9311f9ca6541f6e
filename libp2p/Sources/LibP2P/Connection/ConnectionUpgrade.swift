import Crypto
import Multiformats
import Multistream
import NIOCore
import Noise
import PeerIdentity

/// Why an upgrade failed.
enum UpgradeError: Error, Hashable, Sendable {
    case negotiation(MultistreamError)
    case noise(NoiseError)
}

extension UpgradeError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    var description: String {
        switch self {
        case .negotiation(let error): "no agreement on a protocol: \(error)"
        case .noise(let error): "no secure connection: \(error)"
        }
    }
}

/// Turns a raw connection into a secured and multiplexed one: multistream-select, Noise, and multistream-select again
/// for the muxer unless both offered one within the handshake. It holds no socket, so it also runs in memory.
///
/// The dialer sends its first handshake message right after proposing Noise: no node here speaks anything else, so
/// there is nothing to wait for.
struct ConnectionUpgrade: Sendable {
    static let securityProtocol = "/noise"
    static let muxerProtocol = "/yamux/1.0.0"

    enum Role: Hashable, Sendable {
        case dialer
        case listener
    }

    /// A finished upgrade.
    struct Upgraded: Sendable {
        let remoteKey: PublicKey
        let remoteStaticKey: [UInt8]
        var transport: NoiseTransport
        /// Decrypted bytes for the muxer.
        var leftover: ByteBuffer
    }

    /// What to do after bytes arrived; send `send` first.
    struct Progress: Sendable {
        var send = ByteBuffer()
        var upgraded: Upgraded?
    }

    private enum Negotiation: Sendable {
        case dialer(MultistreamDialer)
        case listener(MultistreamListener)
    }

    private enum Phase: Sendable {
        case securing(Negotiation)
        case handshaking
        case muxing(Negotiation, PublicKey, staticKey: [UInt8], NoiseTransport)
        case finished
    }

    private let role: Role
    private var phase: Phase
    private var noise: NoiseUpgrade
    private var input = ByteBuffer()
    private var plaintext = ByteBuffer()

    /// An upgrade with the proof of the node's identity; `expectedPeer` is the peer dialed, if known.
    init(role: Role, credentials: NoiseCredentials, expectedPeer: PeerID?) {
        self.role = role
        noise = NoiseUpgrade(
            role: role == .dialer ? .initiator : .responder, credentials: credentials,
            ephemeralKey: Curve25519.KeyAgreement.PrivateKey(), expectedPeer: expectedPeer)
        phase = .securing(Self.negotiation(role, Self.securityProtocol))
    }

    /// What proves an identity in the upgrades of a node, with a Noise key of its own.
    static func credentials(of identity: Identity) throws(NoiseError) -> NoiseCredentials {
        try NoiseCredentials(
            identity: identity, staticKey: Curve25519.KeyAgreement.PrivateKey(), streamMuxers: [muxerProtocol])
    }

    private static func negotiation(_ role: Role, _ name: String) -> Negotiation {
        switch role {
        case .dialer: .dialer(MultistreamDialer(protocols: [name]))
        case .listener: .listener(MultistreamListener(protocols: [name]))
        }
    }

    /// The dialer's first bytes.
    mutating func start() throws(UpgradeError) -> ByteBuffer {
        guard case .securing(.dialer(let dialer)) = phase else { return ByteBuffer() }
        do throws(NoiseError) {
            return ByteBuffer(bytes: dialer.start() + (try noise.start()))
        } catch {
            throw .noise(error)
        }
    }

    /// Takes bytes from the wire. Once it returns `upgraded`, all further bytes belong to its transport.
    mutating func received(_ bytes: ByteBuffer) throws(UpgradeError) -> Progress {
        input.writeImmutableBuffer(bytes)
        var progress = Progress()
        var goesOn = true
        while goesOn {
            switch phase {
            case .securing(let negotiation):
                goesOn = try secure(negotiation, &progress)
            case .handshaking:
                goesOn = try handshake(&progress)
            case .muxing(let negotiation, let key, let staticKey, let transport):
                try mux(negotiation, key, staticKey, transport, &progress)
                goesOn = false
            case .finished:
                goesOn = false
            }
        }
        return progress
    }

    private mutating func secure(_ negotiation: Negotiation, _ progress: inout Progress) throws(UpgradeError) -> Bool {
        let (next, isAgreed) = try Self.step(negotiation, &input, into: &progress.send)
        phase = isAgreed ? .handshaking : .securing(next)
        return isAgreed
    }

    private mutating func handshake(_ progress: inout Progress) throws(UpgradeError) -> Bool {
        do throws(NoiseError) {
            switch try noise.received(&input) {
            case .needsMore: return false
            case .send(let bytes):
                progress.send.writeBytes(bytes)
                return true
            case .finished(let bytes, let session):
                progress.send.writeBytes(bytes)
                try finish(session, &progress)
                return progress.upgraded == nil
            }
        } catch {
            throw .noise(error)
        }
    }

    private mutating func finish(_ session: NoiseSession, _ progress: inout Progress) throws(NoiseError) {
        if session.muxer == Self.muxerProtocol {
            var transport = session.transport
            let leftover = try Self.openAll(&input, with: &transport)
            phase = .finished
            progress.upgraded = Upgraded(
                remoteKey: session.remoteKey, remoteStaticKey: session.remoteStaticKey, transport: transport,
                leftover: leftover)
            return
        }
        var transport = session.transport
        let negotiation = Self.negotiation(role, Self.muxerProtocol)
        if case .dialer(let dialer) = negotiation {
            try transport.seal(ByteBuffer(bytes: dialer.start()), into: &progress.send)
        }
        phase = .muxing(negotiation, session.remoteKey, staticKey: session.remoteStaticKey, transport)
    }

    private mutating func mux(
        _ negotiation: Negotiation, _ key: PublicKey, _ staticKey: [UInt8], _ transport: NoiseTransport,
        _ progress: inout Progress
    ) throws(UpgradeError) {
        var transport = transport
        var answer = ByteBuffer()
        do throws(NoiseError) {
            plaintext.writeImmutableBuffer(try Self.openAll(&input, with: &transport))
        } catch {
            throw .noise(error)
        }
        let (next, isAgreed) = try Self.step(negotiation, &plaintext, into: &answer)
        do throws(NoiseError) {
            if answer.readableBytes > 0 { try transport.seal(answer, into: &progress.send) }
        } catch {
            throw .noise(error)
        }
        guard isAgreed else {
            phase = .muxing(next, key, staticKey: staticKey, transport)
            return
        }
        phase = .finished
        progress.upgraded = Upgraded(
            remoteKey: key, remoteStaticKey: staticKey, transport: transport, leftover: plaintext)
    }

    private static func openAll(
        _ bytes: inout ByteBuffer, with transport: inout NoiseTransport
    ) throws(NoiseError) -> ByteBuffer {
        var plaintext = ByteBuffer()
        while var message = try transport.open(&bytes) { plaintext.writeBuffer(&message) }
        return plaintext
    }

    private static func step(
        _ negotiation: Negotiation, _ bytes: inout ByteBuffer, into output: inout ByteBuffer
    ) throws(UpgradeError) -> (Negotiation, isAgreed: Bool) {
        do throws(MultistreamError) {
            switch negotiation {
            case .dialer(var dialer):
                switch try dialer.received(&bytes) {
                case .needsMore: return (.dialer(dialer), false)
                case .send(let answer):
                    output.writeBytes(answer)
                    return (.dialer(dialer), false)
                case .agreed: return (.dialer(dialer), true)
                }
            case .listener(var listener):
                let step = try listener.received(&bytes)
                output.writeBytes(step.send)
                return (.listener(listener), step.agreed != nil)
            }
        } catch {
            throw .negotiation(error)
        }
    }
}
