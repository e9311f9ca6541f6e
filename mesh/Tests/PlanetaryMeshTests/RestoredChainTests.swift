import Logging
import MeshStore
import MeshTypes
import Multiformats
import P2PTesting
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// The first start of a home that came from a backup.
@Suite("The chain of a restored home")
struct RestoredChainTests {
    private let identity = Identity.generate()
    private let logger = Logger(label: "test")

    private func opening(_ cid: CID?, _ store: MeshStore) async throws -> ChainOpening {
        let cid = try #require(cid)
        let block = try #require(try await store.block(cid))
        return try SignedObject<ChainOpening>(verifying: block).body
    }

    @Test("A start that is cut off before the jobs of the backup end does all of it again, and then never more")
    func cutOff() async throws {
        let folder = try TestFolder()
        let store = try MeshStore(path: folder.path + "/mesh.sqlite", owner: identity.did.text)
        let tip = CID.hashing([1], codec: .dagCBOR)
        let unmarked = try await RestoredChain.open(after: tip, identity, store, logger)
        #expect(unmarked.lastReceipt == nil && unmarked.openedAt == nil)
        try await store.commit([.setting(key: StoreCopy.restoredKey, value: Array("1".utf8))])
        let first = try await RestoredChain.open(after: tip, identity, store, logger)
        #expect(try await opening(first.lastReceipt, store).afterCID == tip)
        #expect(try await RestoredChain.isPending(in: store))

        // Cut off here: the next start finds the opening in the place of the last receipt.
        let second = try await RestoredChain.open(after: first.lastReceipt, identity, store, logger)
        let again = try await opening(second.lastReceipt, store)
        #expect(again.afterCID == first.lastReceipt && again.openedAt == second.openedAt)
        try await store.commit(try await RestoredChain.ending(in: store))
        #expect(try await RestoredChain.isPending(in: store) == false)

        let third = try await RestoredChain.open(after: second.lastReceipt, identity, store, logger)
        #expect(third.lastReceipt == nil && third.openedAt == second.openedAt)
        // Whoever checks the next receipt is to have it.
        let room = RemovalTally()
        try await store.commit([.makeRoom(cachedTo: 0, evidenceTo: 0, room)])
        #expect(try await opening(second.lastReceipt, store) == again)
        try store.close()
    }

    /// Dates say nothing: the clock may have been set back since.
    @Test("Which workflows began before the restoration is known for good, by no clock")
    func workflows() async throws {
        let folder = try TestFolder()
        let store = try MeshStore(path: folder.path + "/mesh.sqlite", owner: identity.did.text)
        func workflow(_ number: UInt8, isOver: Bool) -> WorkflowRow {
            WorkflowRow(
                id: CID.hashing([number], codec: .dagCBOR), key: "\(number)", manifest: [number], status: "running",
                isOver: isOver, submittedAt: 5)
        }
        // One is over, one is under way, and of one nothing has happened yet.
        let (over, open, fresh) = (workflow(1, isOver: true), workflow(2, isOver: false), workflow(3, isOver: false))
        try await store.commit([over, open, fresh].map { .workflow($0) })
        try await store.commit([over, open].map { .workflowEvent(id: $0.id, bytes: [1]) })
        for row in [over, open, fresh] { #expect(try await RestoredChain.isOfThisHome(row.id, in: store)) }
        try await store.commit([.setting(key: StoreCopy.restoredKey, value: Array("1".utf8))])
        _ = try await RestoredChain.open(after: nil, identity, store, logger)
        try await store.commit(try await RestoredChain.ending(in: store))
        for row in [over, open, fresh] { #expect(try await !RestoredChain.isOfThisHome(row.id, in: store)) }
        let later = workflow(4, isOver: false)
        try await store.commit([.workflow(later), .workflowEvent(id: later.id, bytes: [1])])
        #expect(try await RestoredChain.isOfThisHome(later.id, in: store))
        try store.close()
    }
}
