import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeSetup

@Suite("Credentials of operators as text")
struct OperatorTextTests {
    @Test("What is signed reads back; what is cut, changed or too long does not")
    func texts() throws {
        let key = try Identity(seed: Array(repeating: 1, count: 32))
        let executor = try Identity(seed: Array(repeating: 2, count: 32)).did
        let signed = try OperatorText(of: executor, signedBy: key, atMilliseconds: 1_700_000_000_000)
        let read = try #require(OperatorText(signed.text))
        #expect(read == signed)
        #expect(read.operatorDID == key.did && read.executorDID == executor)
        #expect(read.issuedAt == 1_700_000_000_000)
        var broken = signed.block
        broken[broken.count - 1] ^= 1
        for text in [
            "", "b", "hello", String(signed.text.dropLast(4)), Multibase.encode(broken, .base32),
            String(repeating: "b", count: 10_000), Multibase.encode([UInt8](repeating: 0, count: 513), .base32),
        ] {
            #expect(OperatorText(text) == nil, "\(text.prefix(40))")
        }
    }
}
