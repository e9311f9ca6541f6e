import Determinism
import Identify
import Multiformats
import P2PTesting
import PeerIdentity
import Testing

@Suite("Identify messages")
struct IdentifyTests {
    private func sample(_ identity: Identity) throws -> IdentifyMessage {
        var message = IdentifyMessage()
        message.publicKey = identity.publicKey.protobuf
        message.listenAddresses = [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/4001")]
        message.protocols = ["/ipfs/ping/1.0.0", "/ipfs/id/1.0.0"]
        message.observedAddress = try Multiaddr(parsing: "/ip6/::1/tcp/9")
        message.protocolVersion = "ipfs/0.1.0"
        message.agentVersion = "mesh/1"
        return message
    }

    @Test("Encoding and decoding give the same message back")
    func roundTrip() throws {
        let identity = Identity.generate()
        let message = try sample(identity)
        #expect(try IdentifyMessage.decode(message.encode()) == message)
        try message.checkKey(of: identity.peerID)
        #expect(throws: IdentifyError.wrongKey) { try message.checkKey(of: Identity.generate().peerID) }
    }

    @Test("Lists are cut at their bounds, and too many fields are an error (CVE-2026-57497)")
    func caps() throws {
        var writer = ProtobufWriter()
        for number in 0..<500 { writer.text(3, "/p/\(number)") }
        for port in 1...40 { writer.bytes(2, try Multiaddr(parsing: "/ip4/1.2.3.4/tcp/\(port)").bytes) }
        writer.text(3, String(repeating: "x", count: 300))
        let message = try IdentifyMessage.decode(writer.bytes)
        #expect(message.protocols.count == 256 && message.listenAddresses.count == 32)
        for number in 0..<600 { writer.text(3, "/q/\(number)") }
        #expect(throws: IdentifyError.malformed) { try IdentifyMessage.decode(writer.bytes) }
    }

    @Test("Invalid addresses and texts are left out, control characters and long versions are cut")
    func junk() throws {
        var writer = ProtobufWriter()
        writer.bytes(2, [0xFF, 0xFF, 0xFF])
        writer.bytes(3, [0xC3, 0x28])
        writer.text(3, "/" + String(repeating: "x", count: 256))
        writer.bytes(6, Array("a\u{1B}[31mb".utf8) + [UInt8](repeating: 0x41, count: 500))
        let message = try IdentifyMessage.decode(writer.bytes)
        #expect(message.listenAddresses.isEmpty && message.protocols.isEmpty)
        #expect(message.agentVersion.hasPrefix("a[31mbAAA") && message.agentVersion.utf8.count <= 128)
    }

    @Test("Mutations are refused, or read as a message that comes back the same")
    func fuzz() throws {
        let seed = UInt64.random(in: 0...(.max))
        print("identify fuzz seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        let original = try sample(.generate()).encode()
        var accepted = 0
        for _ in 0..<4_000 {
            guard let message = try? IdentifyMessage.decode(generator.mutated(original)) else { continue }
            accepted += 1
            #expect(try IdentifyMessage.decode(message.encode()) == message, "seed \(seed)")
        }
        #expect((1..<4_000).contains(accepted), "seed \(seed): \(accepted) accepted")
    }
}
