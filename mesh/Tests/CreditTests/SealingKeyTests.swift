import Credit
import MeshTypes
import Multiformats
import PeerIdentity
import Testing

@Suite struct SealingKeyTests {
    private func identity(_ number: UInt8) throws -> Identity {
        try Identity(seed: [UInt8](repeating: number, count: 32))
    }

    private func job(_ number: UInt8) -> JobID { JobID(CID.hashing([number], codec: .dagCBOR)) }

    @Test func eachAttemptHasAKeyOfItsOwnThatFollowsFromItsOriginators() throws {
        let keys = try [
            SealingKey(of: identity(1), job: job(1), attempt: 1), SealingKey(of: identity(1), job: job(1), attempt: 2),
            SealingKey(of: identity(1), job: job(2), attempt: 1), SealingKey(of: identity(2), job: job(1), attempt: 1),
        ]
        #expect(Set(keys.map(\.publicBytes)).count == 4 && Set(keys.map(\.secret)).count == 4)
        #expect(keys.allSatisfy { SealingKey.isUsable($0.publicBytes) })
        let again = try SealingKey(of: identity(1), job: job(1), attempt: 1)
        #expect(again.secret == keys[0].secret)
        #expect(SealingKey(secret: again.secret)?.publicBytes == keys[0].publicBytes)
        #expect(SealingKey(secret: Array(again.secret.dropLast())) == nil)
    }

    @Test func nothingIsSealedToPointsOfSmallOrder() {
        // The points of order 1, 2, 4 and 8 of curve25519 (RFC 7748, section 6.1: the shared secret is zero).
        let one: [UInt8] = [1] + [UInt8](repeating: 0, count: 31)
        let eight: [UInt8] = [
            0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
            0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
        ]
        for point in [[UInt8](repeating: 0, count: 32), one, eight] { #expect(!SealingKey.isUsable(point)) }
        #expect(!SealingKey.isUsable([]) && !SealingKey.isUsable([UInt8](repeating: 9, count: 33)))
        #expect(SealingKey.isUsable([9] + [UInt8](repeating: 0, count: 31)))
    }
}
