import Credit
import IPLD
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

@Suite struct SealedResultTests {
    private let key: SealingKey
    private let executor = Identity.generate()
    private let job = JobID(CID.hashing([1], codec: .dagCBOR))
    private let hold = CID.hashing([2], codec: .dagCBOR)
    private let receipt = CID.hashing([3], codec: .dagCBOR)

    init() throws {
        key = SealingKey(of: Identity.generate(), job: job, attempt: 1)
    }

    private func seal(_ archive: [UInt8]) throws -> [[UInt8]] {
        try #require(SealedResult.seal(archive, to: key.publicBytes, of: receipt, for: hold)).map(\.bytes)
    }

    @Test func whatIsSealedIsOpenedByItsKeyAlone() throws {
        let length = SealedPart.Limits.partBytes
        for count in [1, length, length + 1, 2 * length + 7] {
            let archive = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
            let parts = try #require(SealedResult.seal(archive, to: key.publicBytes, of: receipt, for: hold))
            #expect(parts.count == (count + length - 1) / length && parts.allSatisfy(\.isPossible))
            #expect(SealedResult.open(parts.map(\.bytes), with: key, of: receipt, for: hold) == archive)
            let other = SealingKey(of: Identity.generate(), job: job, attempt: 1)
            #expect(SealedResult.open(parts.map(\.bytes), with: other, of: receipt, for: hold) == nil)
        }
        #expect(SealedResult.seal([], to: key.publicBytes, of: receipt, for: hold) == nil)
        #expect(SealedResult.seal([1], to: [UInt8](repeating: 0, count: 32), of: receipt, for: hold) == nil)
    }

    @Test func partsThatAreMissingSwappedChangedOrOfAnotherHoldDoNotOpen() throws {
        let parts = try seal([UInt8](repeating: 5, count: 3 * SealedPart.Limits.partBytes))
        func opens(_ parts: [[UInt8]]) -> Bool {
            SealedResult.open(parts, with: key, of: receipt, for: hold) != nil
        }
        #expect(opens(parts))
        #expect(!opens([]) && !opens(Array(parts.dropLast())) && !opens(Array(parts.dropFirst())))
        #expect(!opens([parts[0], parts[2], parts[1]]) && !opens(parts + [parts[2]]))
        for (number, part) in parts.enumerated() {
            for place in [0, part.count / 2, part.count - 1] {
                var changed = parts
                changed[number][place] ^= 1
                #expect(!opens(changed), "part \(number), byte \(place)")
            }
        }
        #expect(SealedResult.open(parts, with: key, of: receipt, for: receipt) == nil)
        #expect(SealedResult.open(parts, with: key, of: hold, for: hold) == nil)
    }

    /// A receipt with an output of so many leaves, and its blocks.
    private func made(leaves: Int) throws -> (receipt: SignedObject<ExecutionReceipt>, blocks: [CID: [UInt8]]) {
        var blocks: [CID: [UInt8]] = [:]
        let content = (0..<leaves).flatMap { [UInt8](repeating: UInt8($0), count: UnixFSFile.chunkBytes) }
        let file = try UnixFSFile.blocks(of: content)
        for block in file.blocks { blocks[block.cid] = block.bytes }
        let root = file.root
        var body = ExecutionReceipt(
            jobID: job, assignmentCID: hold, originatorDID: executor.did, executorDID: executor.did, attempt: 1,
            moduleCID: hold, inputCIDs: [:], outcome: .exited(code: 0), resourceUsage: .none, price: .zero,
            engine: EngineDescription(name: "none", version: "0", configurationDigest: ""),
            determinism: .deterministic, executionStartedAt: .epoch, executionEndedAt: .epoch)
        body.stdoutCID = root
        // A list of what was read is a block of its own.
        let list: [UInt8] = [0x80]
        let read = CID.hashing(list, codec: .dagCBOR)
        (body.readCID, blocks[read]) = (read, list)
        return (try SignedObject.sign(body, with: executor), blocks)
    }

    @Test func anArchiveIsTheResultOnlyWithTheReceiptAndAllThatItOwes() async throws {
        let (receipt, blocks) = try made(leaves: 3)
        #expect(blocks.count == 5)
        let archive = try #require(await LodgedResult.archive(of: receipt) { blocks[$0] })
        let result = try #require(LodgedResult(archive, of: receipt))
        #expect(Set(result.blocks.map(\.cid)) == Set(blocks.keys))
        #expect(await LodgedResult.archive(of: receipt, { $0 == receipt.body.stdoutCID ? blocks[$0] : nil }) == nil)
        let car = try CAR(decoding: archive)
        for missing in car.blocks.indices {
            var fewer = car.blocks
            fewer.remove(at: missing)
            let roots = missing == 0 ? [] : car.roots
            #expect(LodgedResult(CAR(roots: roots, blocks: fewer).encoded, of: receipt) == nil, "block \(missing)")
        }
        let other = try made(leaves: 2).receipt
        #expect(LodgedResult(archive, of: other) == nil)
        #expect(LodgedResult(Array(archive.dropLast()), of: receipt) == nil && LodgedResult([], of: receipt) == nil)
    }
}
