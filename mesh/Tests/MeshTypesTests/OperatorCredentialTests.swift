import IPLD
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@Suite("Credentials of operators")
struct OperatorCredentialTests {
    @Test("It holds for its executor only, within its bound, and as its operator signed it")
    func verified() throws {
        let key = try Identity(seed: Array(repeating: 1, count: 32))
        let executor = try Identity(seed: Array(repeating: 2, count: 32)).did
        let body = OperatorCredential(operatorDID: key.did, executorDID: executor, issuedAt: UnixMilliseconds(5))
        let block = try SignedObject.sign(body, with: key).bytes
        #expect(OperatorCredential.verified(block, about: executor) == body)
        #expect(OperatorCredential.verified(block, about: key.did) == nil)
        var limits = OperatorCredential.Limits()
        #expect(block.count < limits.bytesMax)
        limits.bytesMax = block.count
        #expect(OperatorCredential.verified(block, about: executor, limits: limits) == body)
        limits.bytesMax = block.count - 1
        #expect(OperatorCredential.verified(block, about: executor, limits: limits) == nil)
        for place in block.indices {
            var broken = block
            broken[place] ^= 1
            #expect(OperatorCredential.verified(broken, about: executor) == nil, "byte \(place)")
        }
        #expect(OperatorCredential.verified([], about: executor) == nil)
    }
}
