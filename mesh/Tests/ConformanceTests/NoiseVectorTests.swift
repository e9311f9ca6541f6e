import Crypto
import Foundation
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

    static let url = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../../../shared/fixtures/vectors/xx_25519_chachapoly_sha256.json").standardized

    static func load() throws -> [Vector] {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        return try decoder.decode(NoiseVectors.self, from: Data(contentsOf: url)).vectors
    }

    static var isThere: Bool { FileManager.default.fileExists(atPath: url.path) }
}

private func unhex(_ text: String) throws -> [UInt8] {
    let digits = Array(text)
    return try stride(from: 0, to: digits.count, by: 2).map {
        try #require(UInt8(String(digits[$0...($0 + 1)]), radix: 16))
    }
}

private func handshake(
    _ role: NoiseHandshake.Role, _ prologue: String, _ fixed: String, _ ephemeral: String
) throws -> NoiseHandshake {
    NoiseHandshake(
        role: role, staticKey: try .init(rawRepresentation: unhex(fixed)),
        ephemeralKey: try .init(rawRepresentation: unhex(ephemeral)), prologue: try unhex(prologue))
}

@Suite("Noise XX vectors of cacophony and snow")
struct NoiseVectorTests {
    @Test("Every message is produced and read byte for byte", .enabled(if: NoiseVectors.isThere, "no fixtures"))
    func vectors() throws {
        let vectors = try NoiseVectors.load()
        #expect(vectors.count == 2)
        for vector in vectors {
            var sides = [
                try handshake(.initiator, vector.initPrologue, vector.initStatic, vector.initEphemeral),
                try handshake(.responder, vector.respPrologue, vector.respStatic, vector.respEphemeral),
            ]
            for (number, message) in vector.messages.prefix(3).enumerated() {
                let from = number % 2
                let written = try sides[from].writeMessage(payload: unhex(message.payload))
                #expect(written == (try unhex(message.ciphertext)), "\(vector.origin) message \(number)")
                #expect(try sides[1 - from].readMessage(written) == unhex(message.payload))
            }
            #expect(sides[0].handshakeHash == (try unhex(vector.handshakeHashComputed)))
            #expect(sides[0].handshakeHash == sides[1].handshakeHash)
            var ciphers = try sides.map { try $0.split() }
            for (number, message) in vector.messages.enumerated().dropFirst(3) {
                let from = number % 2
                var sealed = ByteBuffer()
                try ciphers[from].sending.seal(ByteBuffer(bytes: unhex(message.payload)), into: &sealed)
                #expect(Array(sealed.readableBytesView) == (try unhex(message.ciphertext)), "message \(number)")
                let opened = try ciphers[1 - from].receiving.open(sealed)
                #expect(Array(opened.readableBytesView) == (try unhex(message.payload)))
            }
        }
    }
}
