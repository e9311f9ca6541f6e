import Foundation
import IPLD
import Kademlia
import Multiformats
import Testing

/// Small inputs that failed once, in `cases/` of the vectors.
@Suite
struct CaseTests {
    private func bytes(_ name: String) throws -> [UInt8] {
        let file = Fixtures.directory.appending(path: "cases/\(name).hex")
        return try hex(try String(contentsOf: file, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines))
    }

    @Test(arguments: ["multiaddr-text-does-not-parse", "multiaddr-two-forms-one-text"])
    func textAndBytesOfAnAddressConvertBothWays(name: String) throws {
        let bytes = try bytes(name)
        guard let address = try? Multiaddr(bytes: bytes) else { return }
        let again = try Multiaddr(parsing: address.text)
        #expect(again.bytes == bytes)
        #expect(Array(again.text.utf8) == Array(address.text.utf8))
    }

    @Test func aFileOfFalseSizesIsRefused() throws {
        // A list of two blocks: the root, and the chunk of three bytes that it says 99 of.
        let root = try bytes("unixfs-false-sizes")
        var reader = UnixFSReader(root: CID.hashing(root, codec: .dagPB))
        try reader.received(root)
        let chunk = try #require(reader.next)
        #expect(throws: UnixFSError.falseSizes(chunk)) { try reader.received([1, 2, 3]) }
    }

    @Test func aMessageOfTheDHTIsStable() throws {
        let message = try KademliaMessageCoding.decode(bytes("kad-double-p2p"))
        #expect(try KademliaMessageCoding.decode(KademliaMessageCoding.encode(message)) == message)
    }
}
