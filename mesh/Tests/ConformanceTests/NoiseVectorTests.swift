import Crypto
import NIOCore
import Noise
import Testing

private struct NoiseVectors: Decodable {
    struct Message: Decodable {
        let payload: String
        let ciphertext: String
    }

    struct Vector: Decodable {
        let origin: String
        let initPrologue: String
        let initStatic: String
        let initEphemeral: String
        let respPrologue: String
        let respStatic: String
        let respEphemeral: String
        let handshakeHashComputed: String
        let messages: [Message]
    }

    let vectors: [Vector]
}

private func handshake(
    _ role: NoiseHandshake.Role, _ prologue: String, _ fixed: String, _ ephemeral: String
) throws -> NoiseHandshake {
    NoiseHandshake(
        role: role, staticKey: try .init(rawRepresentation: hex(fixed)),
        ephemeralKey: try .init(rawRepresentation: hex(ephemeral)), prologue: try hex(prologue))
}

@Suite("Noise XX vectors of cacophony and snow")
struct NoiseVectorTests {
    @Test("Every message is produced and read byte for byte")
    func vectors() throws {
        let vectors = try Fixtures.json("xx_25519_chachapoly_sha256", as: NoiseVectors.self).vectors
        #expect(vectors.count == 2)
        for vector in vectors {
            var sides = [
                try handshake(.initiator, vector.initPrologue, vector.initStatic, vector.initEphemeral),
                try handshake(.responder, vector.respPrologue, vector.respStatic, vector.respEphemeral),
            ]
            for (number, message) in vector.messages.prefix(3).enumerated() {
                let from = number % 2
                let written = try sides[from].writeMessage(payload: hex(message.payload))
                #expect(written == (try hex(message.ciphertext)), "\(vector.origin) message \(number)")
                #expect(try sides[1 - from].readMessage(written) == hex(message.payload))
            }
            #expect(sides[0].handshakeHash == (try hex(vector.handshakeHashComputed)))
            #expect(sides[0].handshakeHash == sides[1].handshakeHash)
            var ciphers = try sides.map { try $0.split() }
            for (number, message) in vector.messages.enumerated().dropFirst(3) {
                let from = number % 2
                var sealed = ByteBuffer()
                try ciphers[from].sending.seal(ByteBuffer(bytes: hex(message.payload)), into: &sealed)
                #expect(Array(sealed.readableBytesView) == (try hex(message.ciphertext)), "message \(number)")
                let opened = try ciphers[1 - from].receiving.open(sealed)
                #expect(Array(opened.readableBytesView) == (try hex(message.payload)))
            }
        }
    }
}
