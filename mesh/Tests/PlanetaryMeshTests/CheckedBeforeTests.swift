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
        func insert(_ number: Int) { modules.insert(cid(number, .raw), entry: "_start", .init()) }
        func isKnown(_ number: Int, entry: String = "_start", isCalled: Bool = false) -> Bool {
            modules.found(cid(number, .raw), entry: entry, isCalled: isCalled) != nil
        }
        insert(0)
        #expect(!isKnown(0, entry: "other"))
        #expect(!isKnown(0, isCalled: true), "what is called with numbers is looked at for its types")
        for number in 1..<InspectedModules.countMax { insert(number) }
        #expect(isKnown(0))
        insert(InspectedModules.countMax)
        #expect(!isKnown(0))
        #expect(isKnown(1))
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
