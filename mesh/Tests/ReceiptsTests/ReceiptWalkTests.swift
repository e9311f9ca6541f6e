import IPLD
import MeshTypes
import Multiformats
import SignedObjects
import Testing

@testable import Receipts

@Suite struct ReceiptWalkTests {
    @Test func aWalkFindsWhatItNeedsFromTheCIDAlone() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign()
        var walk = ReceiptWalk(receiptCID: cid)
        var fetched: [CID] = []
        while let want = walk.nextWant() {
            fetched.append(want.cid)
            let block = try #require(chain.blocks[want.cid])
            #expect(throws: Never.self) { try walk.received(block, for: want.cid).get() }
        }
        let output = try #require(chain.receipt.outputs["result"])
        let stdout = try #require(chain.receipt.stdoutCID)
        let job = chain.receipt.jobID.cid
        #expect(fetched == [cid, chain.receipt.assignmentCID, job, output, stdout, chain.assignment.bidCID])
        #expect(walk.isComplete && walk.receipt == chain.receipt && walk.manifest == chain.manifest)
        #expect(walk.report().isVerified)
        #expect(walk.report().lines == chain.verify(cid).lines)
    }

    @Test func wrongBlocksAreRefusedAndStayWanted() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign()
        var walk = ReceiptWalk(receiptCID: cid)
        func refusal(_ block: [UInt8], _ cid: CID) -> ReceiptWalkRefusal? {
            if case .failure(let refusal) = walk.received(block, for: cid) { return refusal }
            return nil
        }
        #expect(refusal([1], cid) == .wrongHash)
        #expect(refusal([UInt8](repeating: 0, count: (1 << 20) + 1), cid) == .tooLarge(bytesMax: 1 << 20))
        #expect(refusal([], chain.receipt.assignmentCID) == .notWanted)
        #expect(walk.wants.map(\.cid) == [cid])
        let block = try #require(chain.blocks[cid])
        #expect(refusal(block, cid) == nil)
        #expect(refusal(block, cid) == .notWanted)
    }

    @Test func whatCannotBeHadIsNotCheckable() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign()
        var walk = ReceiptWalk(receiptCID: cid)
        _ = walk.received(try #require(chain.blocks[cid]), for: cid)
        #expect(walk.report().result == .notCheckable)
        for want in walk.wants { walk.unavailable(want.cid, reason: "no provider") }
        #expect(walk.isComplete)
        let report = walk.report()
        #expect(report.result == .notCheckable)
        #expect(report.lines.first { $0.code == "outputs" }?.detail.contains("no provider") == true)
        #expect(
            report.codes(.passed)
                == ["receipt_block", "receipt_signature", "content_identifiers", "status", "predecessor"])
        var nothing = ReceiptWalk(receiptCID: cid)
        nothing.unavailable(cid, reason: "offline")
        #expect(nothing.isComplete && nothing.report().codes(.notCheckable).count == ReceiptCheckName.allCases.count)
    }

    @Test func outputsAreBoundedByTheManifest() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign(ReceiptChain.Changes(manifest: { $0.params.maxOutputBytes = 5 }))
        var walk = ReceiptWalk(receiptCID: cid)
        _ = walk.received(try #require(chain.blocks[cid]), for: cid)
        #expect(walk.wants.filter(\.isOutput).map(\.bytesMax) == [64 << 20, 64 << 20])
        let job = chain.receipt.jobID.cid
        _ = walk.received(try #require(chain.blocks[job]), for: job)
        #expect(walk.wants.filter(\.isOutput).map(\.bytesMax) == [5, 5])
        let output = try #require(chain.receipt.outputs["result"])
        guard case .failure(.tooLarge(bytesMax: 5)) = walk.received(try #require(chain.blocks[output]), for: output)
        else {
            Issue.record("taken")
            return
        }
    }

    /// A chain whose output is a file of three chunks, of which two are equal.
    private func chainWithLongOutput() throws -> (chain: ReceiptChain, receipt: CID, file: UnixFSFile.Blocks) {
        var chain = try ReceiptChain()
        let chunk = [UInt8](repeating: 7, count: UnixFSFile.chunkBytes)
        let file = try UnixFSFile.blocks(of: chunk + chunk + [1, 2, 3])
        for block in file.blocks { chain.blocks[block.cid] = block.bytes }
        let cid = try chain.sign(ReceiptChain.Changes(receipt: { $0.outputs = ["result": file.root] }))
        return (chain, cid, file)
    }

    @Test func anOutputOfManyBlocksIsFollowedToItsChunks() throws {
        let (chain, cid, file) = try chainWithLongOutput()
        var walk = ReceiptWalk(receiptCID: cid)
        var fetched: Set<CID> = []
        while let want = walk.nextWant() {
            fetched.insert(want.cid)
            try walk.received(try #require(chain.blocks[want.cid]), for: want.cid).get()
        }
        #expect(fetched.isSuperset(of: file.blocks.map(\.cid)))
        let report = walk.report()
        #expect(report.isVerified, "\(report.failures)")
        let bytes = GroupedNumber.of(UInt64(2 * UnixFSFile.chunkBytes + 3 + Array("hello\n".utf8).count))
        #expect(report.lines.first { $0.code == "outputs" }?.detail == "5 blocks with \(bytes) bytes")
        #expect(chain.verify(cid).lines == report.lines)
    }

    /// A thousand tiny outputs: no step looks again at what the steps before it were about.
    @Test func aWalkLooksAtEveryBlockOnce() throws {
        var chain = try ReceiptChain()
        var outputs: [(String, CID)] = []
        for index in 0..<1_000 {
            let block = [UInt8(index & 0xFF), UInt8(index >> 8)]
            outputs.append(("\(index)", CID.hashing(block, codec: .raw)))
            chain.blocks[CID.hashing(block, codec: .raw)] = block
        }
        let cid = try chain.sign(ReceiptChain.Changes(receipt: { $0.outputs = CanonicalMap(outputs) }))
        var walk = ReceiptWalk(receiptCID: cid)
        var count = 0
        while let want = walk.nextWant() {
            #expect(walk.firstWanted == count && (count % 100 > 0 || walk.wants.first == want))
            try walk.received(try #require(chain.blocks[want.cid]), for: want.cid).get()
            count += 1
        }
        #expect(count == 1_005 && walk.isComplete && walk.report().isVerified)
    }

    @Test func aChunkThatIsMissingOrANodeThatIsNoneIsNamed() throws {
        let (chain, cid, file) = try chainWithLongOutput()
        var walk = ReceiptWalk(receiptCID: cid)
        let chunk = try #require(file.blocks.first?.cid)
        while let want = walk.nextWant() {
            if want.cid == chunk {
                walk.unavailable(chunk, reason: "nobody has it")
            } else {
                try walk.received(try #require(chain.blocks[want.cid]), for: want.cid).get()
            }
        }
        let line = walk.report().lines.first { $0.code == "outputs" }
        #expect(line?.result == .notCheckable)
        #expect(line?.detail.contains("\(chunk) is missing: nobody has it") == true)

        var other = try ReceiptChain()
        let junk = Array("no node".utf8)
        let root = CID.hashing(junk, codec: .dagPB)
        other.blocks[root] = junk
        let lie = try other.sign(ReceiptChain.Changes(receipt: { $0.outputs = ["result": root] }))
        #expect(other.verify(lie).codes(.failed) == ["outputs"])
    }

    @Test func outputsThatTogetherExceedTheJobsLimitAreNotFetchedOn() throws {
        var chain = try ReceiptChain()
        let allowed = UInt64(UnixFSFile.chunkBytes)
        let file = try UnixFSFile.blocks(
            of: (0..<4).flatMap { [UInt8](repeating: UInt8($0), count: UnixFSFile.chunkBytes) })
        for block in file.blocks { chain.blocks[block.cid] = block.bytes }
        let cid = try chain.sign(
            ReceiptChain.Changes(
                manifest: { $0.params.maxOutputBytes = allowed }, receipt: { $0.outputs = ["result": file.root] }))
        var walk = ReceiptWalk(receiptCID: cid)
        var taken = 0
        while let want = walk.nextWant() {
            switch walk.received(try #require(chain.blocks[want.cid]), for: want.cid) {
            case .success: taken += want.isOutput ? 1 : 0
            case .failure(let refusal): #expect(refusal == .tooLarge(bytesMax: Int(allowed)))
            }
        }
        #expect(taken < file.blocks.count)
        #expect(walk.report().lines.first { $0.code == "outputs" }?.detail.contains("more than") == true)
    }

    @Test func aReceiptWithTooManyOutputsFetchesNone() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign(
            ReceiptChain.Changes(receipt: { receipt in
                for index in 0..<1030 {
                    receipt.outputs["o\(index)"] = CID.hashing([UInt8(index & 0xFF), UInt8(index >> 8)], codec: .raw)
                }
            }))
        var walk = ReceiptWalk(receiptCID: cid)
        _ = walk.received(try #require(chain.blocks[cid]), for: cid)
        #expect(walk.wants.count == 2)
        #expect(chain.verify(cid).codes(.failed) == ["content_identifiers"])
    }

    @Test func forgedBlocksOfAnySortDoNotStopAWalk() throws {
        let junk: [UInt8] = [0xA0]
        let cid = CID.hashing(junk, codec: .dagCBOR)
        var walk = ReceiptWalk(receiptCID: cid)
        #expect(throws: Never.self) { try walk.received(junk, for: cid).get() }
        #expect(walk.isComplete)
        #expect(walk.report().codes(.failed) == ["receipt_signature"])
        let raw = ReceiptWalk(receiptCID: CID.hashing([], codec: .dagPB))
        #expect(raw.isComplete && raw.report().codes(.failed) == ["receipt_block"])
    }
}
