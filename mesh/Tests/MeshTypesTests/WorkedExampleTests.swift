import Foundation
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// The signed manifest that PROTOCOL.md shows to whoever writes a node: an encoder in another language made it.
@Suite("The worked example of PROTOCOL.md")
struct WorkedExampleTests {
    private let identity: Identity
    private let page: String
    private let block: [UInt8]

    init() throws {
        identity = try Identity(seed: Array(0..<32))
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../../PROTOCOL.md")
        page = try String(contentsOf: file.standardized, encoding: .utf8)
        let example = try #require(page.split(separator: "```hex\n").dropFirst().first?.split(separator: "```").first)
        block = try Multibase.decodeWithoutPrefix(example.filter { !$0.isNewline }, .base16)
    }

    @Test func itVerifiesAndSaysWhatThePageSays() throws {
        let signed = try SignedObject<JobManifest>(verifying: block)
        #expect(signed.did == identity.did)
        #expect(signed.body.params.limits == .standard)
        #expect(signed.body.params.wasmCID == CID.hashing(Array("\0asm\u{1}\0\0\0".utf8), codec: .raw))
        #expect(signed.body.nonce == Array(0..<16))
        #expect(JobRules().refusal(of: signed.body, wallClock: signed.body.submittedAt) == nil)
        let message = SignedObjectFormat.message(JobManifest.typeName, signed.bodyCID)
        let told = [
            signed.did.text, signed.body.originatorPeerID.text, signed.body.params.wasmCID.text, signed.bodyCID.text,
            signed.cid.text, Multibase.encodeWithoutPrefix(message, .base16),
            Multibase.encodeWithoutPrefix(identity.publicKey.rawBytes, .base16),
        ]
        for text in told { #expect(page.contains(text), "\(text)") }
    }

    @Test func signingItAgainGivesTheSameBytes() throws {
        let body = try SignedObject<JobManifest>(verifying: block).body
        #expect(try SignedObject.sign(body, with: identity).bytes == block)
    }
}
