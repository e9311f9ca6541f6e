import Determinism
import IPLD
import MeshTypes
import Multiformats
import SignedObjects
import Testing

@testable import Receipts

/// Receipts in a file: the same verdicts as with a node, from the file alone.
@Suite struct ReceiptArchiveTests {
    /// A file about receipts of a chain, with everything behind them that the chain has, or without some blocks.
    private func archive(_ chain: ReceiptChain, about receipts: [CID], without: [CID] = []) -> CAR {
        CAR(
            roots: receipts,
            blocks: chain.blocks.sorted { $0.key < $1.key }.filter { !without.contains($0.key) }
                .map { CAR.Block(cid: $0.key, bytes: $0.value) })
    }

    private func read(_ file: CAR) throws -> ReceiptArchive {
        ReceiptArchive(try CAR(decoding: file.encoded))
    }

    private func line(_ code: String, _ report: VerificationReport) throws -> VerificationReport.Line {
        try #require(report.lines.first { $0.code == code })
    }

    @Test func aFileWithOutputsGivesTheLinesOfANode() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign()
        let file = try read(archive(chain, about: [cid]))
        #expect(file.receipts == [cid])
        #expect(file.receipt(cid)?.body == chain.receipt)
        #expect(file.receipt(chain.receipt.assignmentCID) == nil)
        #expect(file.verify(cid).lines == chain.verify(cid).lines)
        #expect(file.verify(cid).isVerified)
    }

    @Test func outputsMayBeLeftOutAndTheReportSaysSo() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign()
        let outputs = chain.receipt.outputBlocks
        let report = try read(archive(chain, about: [cid], without: outputs)).verify(cid)
        #expect(report.isVerified)
        #expect(report.codes(.notCheckable) == ["outputs"])
        #expect(try line("outputs", report).detail == "the 2 outputs left out: only the CIDs are here")
        #expect(try line("output_limit", report).result == .passed, "by what the receipt says")
        // Some of them is neither the one nor the other.
        let some = try read(archive(chain, about: [cid], without: [outputs[0]])).verify(cid)
        #expect(some.result == .notCheckable)
        #expect(try line("outputs", some).detail.hasSuffix("is missing: it is not in the file"))
        var other = try ReceiptChain()
        let greedy = try other.sign(ReceiptChain.Changes(manifest: { $0.params.maxOutputBytes = 11 }))
        let over = try read(archive(other, about: [greedy], without: outputs)).verify(greedy)
        #expect(over.codes(.failed) == ["output_limit"])
    }

    @Test func whatIsMissingIsNotCheckedAndWhatIsWrongFails() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign()
        for missing in [chain.receipt.jobID.cid, chain.receipt.assignmentCID, chain.assignment.bidCID] {
            let report = try read(archive(chain, about: [cid], without: [missing])).verify(cid)
            #expect(report.result == .notCheckable, "\(missing)")
        }
        var other = try ReceiptChain()
        let greedy = try other.sign(ReceiptChain.Changes(receipt: { $0.price = TokenAmount(19) }))
        #expect(try read(archive(other, about: [greedy])).verify(greedy).codes(.failed) == ["price"])
        let noReceipt = try read(archive(chain, about: [chain.receipt.assignmentCID]))
        #expect(noReceipt.verify(chain.receipt.assignmentCID).result == .failed)
        // Unread files are not trusted either.
        let swapped = CAR(roots: [cid], blocks: [CAR.Block(cid: cid, bytes: [1, 2, 3])])
        #expect(ReceiptArchive(swapped).verify(cid).result == .notCheckable)
    }

    @Test func aPredecessorIsCheckedAndAForkInOneFileIsSeen() throws {
        var chain = try ReceiptChain()
        // Each answers an assignment of its own.
        func sign(attempt: UInt64, _ change: @escaping (inout ExecutionReceipt) -> Void) throws -> CID {
            try chain.sign(
                ReceiptChain.Changes(
                    assignment: { $0.attempt = attempt },
                    receipt: {
                        $0.attempt = attempt
                        change(&$0)
                    }))
        }
        let first = try sign(attempt: 1) { $0.executionStartedAt = $0.executionEndedAt }
        let second = try sign(attempt: 2) { $0.previousReceiptCID = first }
        let file = try read(archive(chain, about: [second]))
        #expect(try line("predecessor", file.verify(second)).detail == "after \(first)")
        #expect(try read(archive(chain, about: [second], without: [first])).verify(second).isVerified)
        let fork = second
        let other = try sign(attempt: 3) { $0.resourceUsage.wallMilliseconds = 8 }
        let both = try read(archive(chain, about: [fork, other]))
        #expect(both.verify(other).codes(.failed) == ["predecessor"])
        #expect(both.verify(fork).codes(.failed) == ["predecessor"])
        #expect(try read(archive(chain, about: [other], without: [fork])).verify(other).isVerified)
    }

    /// One run, two signed results, the second after the first: each fits all that lies behind it.
    @Test func twoReceiptsForOneAssignmentContradictEachOther() throws {
        var chain = try ReceiptChain()
        let first = try chain.sign()
        let outputs = chain.receipt.outputBlocks
        let second = try chain.sign(
            ReceiptChain.Changes(receipt: {
                $0.previousReceiptCID = first
                $0.outputs = [:]
            }))
        for (cid, twin) in [(first, second), (second, first)] {
            let report = try read(archive(chain, about: [first, second])).verify(cid)
            #expect(report.codes(.failed) == ["assignment_links"])
            let detail = try line("assignment_links", report).detail
            #expect(detail == "the executor signed \(twin) for the same assignment too")
            #expect(try read(archive(chain, about: [cid], without: [twin] + outputs)).verify(cid).isVerified)
        }
        // Even where the assignment itself is not in the file.
        let bare = try read(archive(chain, about: [first], without: [chain.receipt.assignmentCID]))
        #expect(bare.verify(first).codes(.failed) == ["assignment_links"])
    }

    /// One large output of a thousand receipts is walked through once, not once for each.
    @Test func anOutputThatManyReceiptsShareIsExaminedOnce() throws {
        var chain = try ReceiptChain()
        // A file of 1,000 blocks of its own size, each there once.
        let shared = Self.file(chunks: 1_000, of: 8, seed: 1)
        chain.blocks.merge(shared.blocks) { old, _ in old }
        var receipts: [CID] = []
        for attempt in 1...12 {
            let previous = receipts.last
            receipts.append(
                try chain.sign(
                    ReceiptChain.Changes(
                        assignment: { $0.attempt = UInt64(attempt) },
                        receipt: {
                            $0.previousReceiptCID = previous
                            $0.attempt = UInt64(attempt)
                            $0.outputs = ["result": shared.root, "again": shared.root]
                            $0.resourceUsage.bytesWritten = 8_006
                        })))
        }
        let file = try read(archive(chain, about: receipts))
        for cid in receipts {
            let report = file.verify(cid)
            #expect(report.isVerified, "\(report.lines.filter { $0.result != .passed })")
            #expect(try line("outputs", report).detail.hasPrefix("1002 blocks with 8"))
        }
        let nodeSteps = try #require(shared.blocks[shared.root]).count / 64
        // A root is looked at twice: for whether it is a file or a folder, and as a file.
        #expect(
            file.outputs.stepCount == 1_000 + 2 * (1 + nodeSteps + 1), "a thousand chunks, the root, standard output")

        // Past the bound the rest is unknown, and nothing takes longer.
        let small = FiledOutputs(limits: FiledOutputs.Limits(stepsMax: 500))
        let bounded = ReceiptArchive(try CAR(decoding: archive(chain, about: receipts).encoded), outputs: small)
        let report = bounded.verify(receipts[0])
        #expect(Set(report.codes(.notCheckable)) == ["outputs", "output_limit"] && report.codes(.failed).isEmpty)
        #expect(try line("outputs", report).detail.hasSuffix("take more than 500 steps to examine"))
    }

    /// Outputs that link to the same node cost the steps of the file, however many they are.
    @Test func outputsThatShareTheirBlocksCannotMakeAReaderWorkForEver() throws {
        var chain = try ReceiptChain()
        let shared = Self.file(chunks: 1_500, of: 1, seed: 2)
        chain.blocks.merge(shared.blocks) { old, _ in old }
        let node = try #require(chain.blocks[shared.root])
        var outputs = CanonicalMap<CID>()
        for number in 0..<400 {
            let tip = [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 1 + number / 256)
            let chunk = CID.hashing(tip, codec: .raw)
            chain.blocks[chunk] = tip
            let links = [
                DAGPBNode.Link(cid: shared.root, totalBytes: UInt64(node.count + 1_500)),
                DAGPBNode.Link(cid: chunk, totalBytes: UInt64(tip.count)),
            ]
            let root = DAGPBNode(links: links, data: Self.fileData([1_500, UInt64(tip.count)])).encoded()
            let cid = CID.hashing(root, codec: .dagPB)
            chain.blocks[cid] = root
            outputs["\(number)"] = cid
        }
        let cid = try chain.sign(ReceiptChain.Changes(receipt: { $0.outputs = outputs }))
        let file = try read(archive(chain, about: [cid]))
        #expect(!file.verify(cid).isVerified)
        let stepsMax = FiledOutputs.Limits().stepsMax
        // What is looked at after the bound is one block of each output.
        #expect(file.outputs.stepCount > stepsMax && file.outputs.stepCount < stepsMax + 3_000)
    }

    /// A file of chunks that differ, below one node.
    private static func file(chunks: Int, of bytes: Int, seed: UInt8) -> (root: CID, blocks: [CID: [UInt8]]) {
        var blocks: [CID: [UInt8]] = [:]
        var links: [DAGPBNode.Link] = []
        for number in 0..<chunks {
            let chunk = (0..<max(bytes, 2)).map { $0 < 2 ? UInt8(truncatingIfNeeded: number >> (8 * $0)) : seed }
            let kept = Array(chunk.prefix(bytes))
            let cid = CID.hashing(kept, codec: .raw)
            blocks[cid] = kept
            links.append(DAGPBNode.Link(cid: cid, totalBytes: UInt64(bytes)))
        }
        let node = DAGPBNode(links: links, data: fileData(Array(repeating: UInt64(bytes), count: chunks))).encoded()
        let root = CID.hashing(node, codec: .dagPB)
        blocks[root] = node
        return (root, blocks)
    }

    /// The UnixFS message of a file whose parts have these sizes.
    private static func fileData(_ sizes: [UInt64]) -> [UInt8] {
        var data = ProtobufWriter()
        data.varint(1, 2)
        data.varint(3, sizes.reduce(0, +))
        for size in sizes { data.varint(4, size) }
        return data.bytes
    }

    /// Whoever passes a file on may add the receipt's own bytes under an identity CID.
    @Test func aSecondNameOfAReceiptContradictsNothing() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign()
        let block = try #require(chain.blocks[cid])
        chain.blocks[CID(codec: .dagCBOR, multihash: .identity(of: block))] = block
        let file = try CAR(decoding: archive(chain, about: [cid]).encoded)
        #expect(file.blocks.count { $0.bytes == block } == 2)
        #expect(ReceiptArchive(file).verify(cid).isVerified)
    }

    @Test func theOriginatorsSettlementIsTold() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign()
        func settle(_ changes: ((inout Settlement) -> Void)...) throws -> VerificationReport {
            let blocks = try archive(chain, about: [cid]).blocks + changes.map(signed)
            return try read(CAR(roots: [cid], blocks: blocks)).verify(cid)
        }
        func signed(_ change: (inout Settlement) -> Void) throws -> CAR.Block {
            var settlement = Settlement(
                jobID: chain.receipt.jobID, receiptCID: cid, originatorDID: chain.originator.did,
                executorDID: chain.executor.did, amountPaid: chain.receipt.price, amountRefunded: .zero, verdict: .paid,
                settledAt: chain.receipt.executionEndedAt)
            change(&settlement)
            let signer = settlement.originatorDID == chain.originator.did ? chain.originator : ReceiptChain.stranger
            let signed = try SignedObject.sign(settlement, with: signer)
            return CAR.Block(cid: signed.cid, bytes: signed.bytes)
        }
        let paid = try settle { _ in }
        #expect(paid.isVerified)
        #expect(try line("settlement", paid).detail.hasPrefix("the originator says that it paid 18"))
        // Settlements of something else do nothing, alone or before the genuine one.
        for foreign: (inout Settlement) -> Void in [
            { $0.originatorDID = ReceiptChain.stranger.did }, { $0.receiptCID = chain.receipt.assignmentCID },
            { $0.executorDID = chain.originator.did }, { $0.jobID = JobID(chain.receipt.assignmentCID) },
        ] {
            let report = try settle(foreign)
            #expect(report.isVerified && !report.lines.contains { $0.code == "settlement" })
            #expect(try settle(foreign, { _ in }).lines == paid.lines)
        }
        // Of two that differ, neither counts.
        #expect(try settle({ _ in }, { $0.settledAt = .epoch }).lines == paid.lines)
        let torn = try settle({ $0.verdict = .late }, { _ in })
        #expect(torn.isVerified && torn.codes(.notCheckable) == ["settlement"])
        let words = try line("settlement", torn).detail
        #expect(words.hasPrefix("the originator contradicts itself: it paid nothing, "))
        #expect(words.contains("the receipt came too late, and it paid 18"))
    }

    /// Whatever a stranger makes of a file, a receipt holds only by blocks that hash to what it names.
    @Test func mutationsNeverMakeAnotherReceiptHold() throws {
        print("ReceiptArchiveTests.mutationsNeverMakeAnotherReceiptHold seed 0x72636172")
        var generator = SeededGenerator(seed: 0x7263_6172)
        var chain = try ReceiptChain()
        let cid = try chain.sign()
        let original = archive(chain, about: [cid]).encoded
        var read = 0
        for round in 0..<1_000 {
            var bytes = original
            let index = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: bytes[index] ^= 1 << UInt8.random(in: 0...7, using: &generator)
            case 1: bytes.remove(at: index)
            case 2: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: index)
            default: bytes = Array(bytes.prefix(index))
            }
            guard let file = try? CAR(decoding: bytes) else { continue }
            read += 1
            for root in file.roots.prefix(4) {
                #expect(!ReceiptArchive(file).verify(root).isVerified || root == cid, "round \(round)")
            }
        }
        // Blocks that are left out or come twice leave a file of the format.
        for round in 0..<60 {
            var blocks = archive(chain, about: [cid]).blocks
            blocks.shuffle(using: &generator)
            let kept = blocks.filter { $0.cid == cid || Bool.random(using: &generator) } + blocks.prefix(round % 3)
            let file = try CAR(decoding: CAR(roots: [cid], blocks: kept).encoded)
            let evidence = [cid, chain.receipt.assignmentCID, chain.receipt.jobID.cid, chain.assignment.bidCID]
            let outputs = chain.receipt.outputBlocks.count { output in kept.contains { $0.cid == output } }
            let isWhole = evidence.allSatisfy { part in kept.contains { $0.cid == part } } && outputs != 1
            #expect(ReceiptArchive(file).verify(cid).isVerified == isWhole, "round \(round)")
            read += 1
        }
        #expect(read >= 60)
    }
}
