import Kademlia
import MeshTypes
import Multiformats
import Testing

@testable import PlanetaryMesh

/// What a node remembers as checked, and for how long.
@Suite("What was checked before")
struct CheckedBeforeTests {
    private func cid(_ number: Int, _ codec: CID.Codec) -> CID {
        CID.hashing(Array("\(number)".utf8), codec: codec)
    }

    @Test("A module is inspected again for another entry, and when as many others came after it as are remembered")
    func modules() {
        let modules = InspectedModules()
        modules.insert(cid(0, .raw), entry: "_start")
        #expect(!modules.contains(cid(0, .raw), entry: "other"))
        for number in 1..<InspectedModules.countMax { modules.insert(cid(number, .raw), entry: "_start") }
        #expect(modules.contains(cid(0, .raw), entry: "_start"))
        modules.insert(cid(InspectedModules.countMax, .raw), entry: "_start")
        #expect(!modules.contains(cid(0, .raw), entry: "_start"))
        #expect(modules.contains(cid(1, .raw), entry: "_start"))
    }

    @Test("Bytes that are no receipt are refused unless their CID was checked, and again when it is forgotten")
    func receipts() {
        let (receipts, bytes) = (VerifiedReceipts(), Array("0".utf8))
        let key = MeshTopics.receiptKey(cid(0, .dagCBOR))
        let validator = receipts.validator
        #expect(validator.refusal(key, bytes) != nil)
        receipts.insert(cid(0, .dagCBOR))
        #expect(validator.refusal(key, bytes) == nil)
        #expect(validator.refusal(key, Array("1".utf8)) != nil, "other bytes under the CID of a checked receipt")
        for number in 1...VerifiedReceipts.countMax { receipts.insert(cid(number, .dagCBOR)) }
        #expect(validator.refusal(key, bytes) != nil)
    }
}
