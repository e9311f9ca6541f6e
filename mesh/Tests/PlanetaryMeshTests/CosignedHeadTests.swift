import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import P2PTesting
import PeerIdentity
import Receipts
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// What a node keeps of the cosignatures on its log, and shows of them.
@Suite struct CosignedHeadTests {
    private let identity: Identity
    private let witness: Identity
    private let key: NoteKey

    init() throws {
        identity = try Identity(seed: [UInt8](repeating: 7, count: 32))
        witness = try Identity(seed: [UInt8](repeating: 8, count: 32))
        key = try #require(NoteKey(name: "w", kind: .cosignature, publicKey: witness.publicKey))
    }

    /// Runs `body` with the desk of a log with entries, and what they anchor.
    private func withLog(
        _ count: UInt8, fillers: UInt8 = 0, _ body: (LogDesk, [CID]) async throws -> Void
    ) async throws {
        let folder = try TestFolder()
        let store = try MeshStore(path: folder.path + "/mesh.sqlite", owner: identity.did.text)
        var (tree, anchored) = (MerkleTree(), [CID]())
        for number in 0..<UInt64(count) {
            let payload = CID.hashing([UInt8(number)], codec: .dagCBOR)
            let more = (0..<fillers).map { CID.hashing([UInt8(number), $0], codec: .dagCBOR) }
            let entry = try SignedObject.sign(
                AnchorEntry(
                    nodeDID: identity.did, parents: [], payload: [payload] + more, scope: AnchorEntry.globalScope,
                    height: number, recordedAt: UnixMilliseconds(number), size: number, root: tree.root.bytes),
                with: identity)
            let hashes = tree.append(.leaf(entry.cid.bytes)).map(\.bytes)
            try await store.commit([
                .anchored(
                    AnchoredRow(
                        number: number, entry: entry.cid, bytes: entry.bytes, payload: [payload], hashes: hashes))
            ])
            anchored.append(payload)
        }
        let desk = LogDesk(
            identity: identity, store: store, witness: WitnessDesk(identity: identity, store: store, authors: []))
        try await body(desk, anchored)
        try store.close()
    }

    /// What a witness answers about a head.
    private func lines(
        on head: LogHeadView, at seconds: UInt64, by signer: Identity? = nil
    ) throws -> [UInt8] {
        let note = try #require(LogGrowth(bytes: Array(head.text.utf8))?.note)
        let cosignature = try Cosignature.sign(note.text, at: seconds, with: signer ?? witness)
        return Array(SignedNote.Signature(by: key, cosignature.bytes).line.utf8)
    }

    @Test func aHeadOfBeforeIsHandedOutWithTheProofThatItGrew() async throws {
        try await withLog(5) { desk, _ in
            let head = try await desk.head(of: 3, since: 2)
            let evidence = try LogEvidence(verifying: Array(head.text.utf8))
            #expect(head.size == 3 && evidence.head.size == 3)
            let two = try LogEvidence(verifying: Array(try await desk.head(of: 2, since: nil).text.utf8))
            #expect(evidence.compared(with: two) == .consistent)
        }
    }

    @Test func onlyACosignatureByTheKeyOverTheHeadOfAboutNowIsKept() async throws {
        try await withLog(3) { desk, _ in
            let (head, earlier) = (try await desk.head(of: 3, since: 0), try await desk.head(of: 2, since: 0))
            var other = head
            other.root = earlier.root
            for (lines, head) in [
                (try lines(on: head, at: 1_000, by: identity), head), (try lines(on: earlier, at: 1_000), head),
                (try lines(on: head, at: 1_301), head), (try lines(on: head, at: 699), head), ([], head),
                (Array("no line\n".utf8), head), (try lines(on: head, at: 1_000), other),
            ] {
                await #expect(throws: NodeServiceError.self) {
                    try await desk.keep(lines, by: key.text, of: head, now: 1_000)
                }
            }
            #expect(try await desk.headCosigned(by: key.text, now: 1_000) == CosignedHead(size: 0, isFresh: false))
            try await desk.keep(try lines(on: head, at: 1_300), by: key.text, of: head, now: 1_000)
            #expect(try await desk.headCosigned(by: key.text, now: 1_000) == CosignedHead(size: 3, isFresh: true))
        }
    }

    @Test func aHeadThatDoesNotGrowIsCosignedAgainAndKeepsItsFirstDate() async throws {
        try await withLog(2) { desk, anchored in
            let head = try await desk.head(of: 2, since: 0)
            try await desk.keep(try lines(on: head, at: 1_000), by: key.text, of: head, now: 1_000)
            #expect(try await desk.headCosigned(by: key.text, now: 22_599).isFresh)
            #expect(try await desk.headCosigned(by: key.text, now: 22_600).isFresh == false)
            try await desk.keep(try lines(on: head, at: 22_600), by: key.text, of: head, now: 22_600)
            #expect(try await desk.headCosigned(by: key.text, now: 22_600).isFresh)
            let proof = try await desk.proof(of: anchored[0])
            #expect(try LogEvidence(verifying: Array(proof.text.utf8)).cosignedAt(by: [key]) == [22_600])
            let entry = try #require(try await desk.entry(anchoring: anchored[0]))
            #expect(entry.cosignatures == [CosignatureView(witness: "w", size: 2, seconds: 1_000)])
        }
    }

    @Test func aProofHasAsManyCosignaturesAsThereIsRoomFor() async throws {
        try await withLog(20, fillers: UInt8(AnchorEntry.payloadMax - 1)) { desk, anchored in
            let head = try await desk.head(of: 20, since: 0)
            var keys: [NoteKey] = []
            for number in 0..<UInt8(WitnessEntry.countMax) {
                let signer = try Identity(seed: [UInt8](repeating: 100 + number, count: 32))
                let name = String(repeating: "w", count: NoteKey.nameBytesMax)
                let key = try #require(NoteKey(name: name, kind: .cosignature, publicKey: signer.publicKey))
                let note = try #require(LogGrowth(bytes: Array(head.text.utf8))?.note)
                let line = SignedNote.Signature(by: key, try Cosignature.sign(note.text, at: 1_000, with: signer).bytes)
                try await desk.keep(Array(line.line.utf8), by: key.text, of: head, now: 1_000)
                keys.append(key)
            }
            let proof = Array(try await desk.proof(of: anchored[0]).text.utf8)
            let times = try LogEvidence(verifying: proof).cosignedAt(by: keys).compactMap(\.self)
            #expect(proof.count <= LogProof.bytesMax && (1..<WitnessEntry.countMax).contains(times.count))
        }
    }

    @Test func aProofIsOfTheHeadThatWitnessesCosigned() async throws {
        try await withLog(4) { desk, anchored in
            let head = try await desk.head(of: 3, since: 0)
            try await desk.keep(try lines(on: head, at: 1_000), by: key.text, of: head, now: 1_000)
            for (cid, size, times) in [(anchored[0], 3, [1_000]), (anchored[3], 4, [nil])] as [(CID, UInt64, [UInt64?])]
            {
                let evidence = try LogEvidence(verifying: Array(try await desk.proof(of: cid).text.utf8))
                #expect(evidence.head.size == size && evidence.cosignedAt(by: [key]) == times)
            }
        }
    }
}
