import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// Who is named as having a receipt or an output.
@Suite("Named holders")
struct HolderBookTests {
    private static func identity(_ number: UInt8) throws -> Identity {
        try Identity(seed: Array(repeating: number, count: 32))
    }

    private static func cid(_ number: Int) -> CID { CID.hashing(Array("\(number)".utf8), codec: .dagCBOR) }

    private static func address(_ port: UInt16) -> Multiaddr { Multiaddr([.ip4([127, 0, 0, 1]), .tcp(port)]) }

    private static func notice(
        _ receipt: Int, by executor: Identity, at addresses: [Multiaddr] = []
    ) -> ExecutionReceiptAvailableV1 {
        ExecutionReceiptAvailableV1(
            jobID: JobID(cid(0)), receiptCID: cid(receipt), executorDID: executor.did,
            status: .completedSuccessfully, providerAddresses: addresses)
    }

    @Test("The first to be named stays, and is where it said last")
    func order() throws {
        let (first, second, third) = (try Self.identity(1), try Self.identity(2), try Self.identity(3))
        var book = HolderBook()
        book.heard(Self.notice(1, by: first, at: [Self.address(1)]))
        book.heard(Self.notice(1, by: first, at: [Self.address(2)]))
        book.heard(Self.notice(1, by: second))
        book.heard(Self.notice(1, by: third))
        #expect(book.holders(of: Self.cid(1)).map(\.peer) == [first.peerID, second.peerID])
        #expect(book.holders(of: Self.cid(1)).first?.addresses == [Self.address(2)])
        #expect(book.addresses(of: first.peerID) == [Self.address(2)] && book.addresses(of: third.peerID) == [])
        #expect(book.holders(of: Self.cid(2)).isEmpty)
    }

    @Test("A receipt names its two sides for what came out, the executor first, and for so many outputs")
    func receipt() throws {
        let (originator, executor) = (try Self.identity(1), try Self.identity(2))
        let date = UnixMilliseconds(1)
        var receipt = ExecutionReceipt(
            jobID: JobID(Self.cid(0)), assignmentCID: Self.cid(1), originatorDID: originator.did,
            executorDID: executor.did, attempt: 1, moduleCID: Self.cid(2), inputCIDs: [:], outcome: .exited(code: 0),
            resourceUsage: ResourceUsage(fuel: 1), price: .zero,
            engine: EngineDescription(name: "e", version: "1", configurationDigest: "d"),
            determinism: .deterministic, executionStartedAt: date, executionEndedAt: date)
        let most = HolderBook.Limits().outputsPerReceiptMax
        receipt.outputs = CanonicalMap((0...most).map { ("\($0 + 1_000)", Self.cid($0 + 1_000)) })
        var book = HolderBook()
        book.saw(receipt)
        let outputs = receipt.outputBlocks
        #expect(outputs.count == most + 1)
        #expect(book.holders(of: outputs[0]).map(\.peer) == [executor.peerID, originator.peerID])
        #expect(outputs.filter { !book.holders(of: $0).isEmpty }.count == most)
        book.saw(receipt)
        #expect(book.nameCount == 2 * most)
    }

    @Test("A flood of names puts out its own, and those of who has most, and never a stranger's few")
    func names() throws {
        var limits = HolderBook.Limits()
        (limits.namesMax, limits.namesPerPeerMax) = (10, 6)
        var book = HolderBook(limits: limits)
        let (honest, flooder, other) = (try Self.identity(1), try Self.identity(2), try Self.identity(3))
        for receipt in 0..<3 { book.heard(Self.notice(receipt, by: honest)) }
        for receipt in 100..<200 { book.heard(Self.notice(receipt, by: flooder)) }
        #expect(book.nameCount == 9)
        #expect(book.holders(of: Self.cid(199)).count == 1 && book.holders(of: Self.cid(193)).isEmpty)
        for receipt in 200..<300 { book.heard(Self.notice(receipt, by: other)) }
        #expect(book.nameCount == 10)
        #expect((0..<3).allSatisfy { book.holders(of: Self.cid($0)).map(\.peer) == [honest.peerID] })
    }

    @Test("Addresses are those of so many peers, so many of each, and none that is longer")
    func addresses() throws {
        var limits = HolderBook.Limits()
        (limits.peersMax, limits.addressesPerPeerMax, limits.addressBytesMax) = (2, 2, 8)
        var book = HolderBook(limits: limits)
        let long = Multiaddr([.dns4("a-long-name.example"), .tcp(1)])
        let peers = try (1...3).map { try Self.identity($0) }
        for peer in peers {
            book.heard(Self.notice(1, by: peer, at: [long] + [1, 2, 3].map(Self.address)))
        }
        #expect(book.peerCount == 2 && book.addresses(of: peers[0].peerID).isEmpty)
        #expect(book.addresses(of: peers[2].peerID) == [Self.address(1), Self.address(2)])
    }
}
