import IPLD
import MeshTypes
import Multiformats
import SignedObjects
import Testing

@testable import Receipts

/// Receipts of jobs with files: folders among the outputs, and the list of what was read.
@Suite struct FolderOutputTests {
    /// A chain whose run left a folder of two files, one of them twice and of two chunks, and a link.
    private struct Scene {
        var chain: ReceiptChain
        var folder: CID
        var blocks: [CID: [UInt8]] = [:]
        let file: CID
        let list: CID

        init() throws {
            chain = try ReceiptChain()
            var builder = UnixFSFileBuilder(profile: .v1in2025)
            var made = builder.append([UInt8](repeating: 7, count: (1 << 20) + 5))
            let (large, rest) = builder.finish()
            made += rest
            let small = Array("small".utf8)
            let smallCID = CID.hashing(small, codec: .raw)
            let link = UnixFSDirectoryBuilder.symbolicLink(to: Array("large".utf8))
            let below = try UnixFSDirectoryBuilder.directory(
                [UnixFSEntry(name: Array("again".utf8), cid: large.cid, totalBytes: large.treeBytes)],
                profile: .v1in2025)
            let root = try UnixFSDirectoryBuilder.directory(
                [
                    UnixFSEntry(name: Array("below".utf8), cid: below.directory.cid, totalBytes: 1),
                    UnixFSEntry(name: Array("large".utf8), cid: large.cid, totalBytes: large.treeBytes),
                    UnixFSEntry(name: Array("link".utf8), cid: link.link.cid, totalBytes: 1),
                    UnixFSEntry(name: Array("small".utf8), cid: smallCID, totalBytes: 5),
                ], profile: .v1in2025)
            for block in made + below.blocks + root.blocks + link.blocks { blocks[block.cid] = block.bytes }
            blocks[smallCID] = small
            let read = try DAGCBOR.encode(
                .map(["entries": .list([]), "omitted_entries": .unsigned(0), "grain": .unsigned(4_096)]))
            list = CID.hashing(read, codec: .dagCBOR)
            blocks[list] = read
            (folder, file) = (root.directory.cid, large.cid)
            chain.blocks.merge(blocks) { first, _ in first }
        }

        mutating func sign(
            _ change: @escaping (inout ExecutionReceipt) -> Void = { _ in },
            manifest: @escaping (inout JobManifest) -> Void = { _ in }
        ) throws -> CID {
            let (folder, list) = (folder, list)
            return try chain.sign(
                ReceiptChain.Changes(
                    manifest: { signed in
                        signed.params.files = JobFiles(mounts: [JobFiles.Mount(emptyFolderAt: "/job")])
                        manifest(&signed)
                    },
                    receipt: { receipt in
                        receipt.outputs["folder"] = folder
                        receipt.readCID = list
                        change(&receipt)
                    }))
        }
    }

    private func detail(_ report: VerificationReport, _ code: String) -> String {
        report.lines.first { $0.code == code }?.detail ?? ""
    }

    @Test func aFolderIsVerifiedWithAllThatIsInIt() throws {
        var scene = try Scene()
        let cid = try scene.sign()
        var walk = ReceiptWalk(receiptCID: cid)
        var wanted: Set<CID> = []
        while let want = walk.nextWant() {
            wanted.insert(want.cid)
            let block = try #require(scene.chain.blocks[want.cid])
            #expect(throws: Never.self) { try walk.received(block, for: want.cid).get() }
        }
        #expect(wanted.isSuperset(of: scene.blocks.keys))
        let report = walk.report()
        #expect(report.isVerified)
        // The folders, the link, two files in four blocks; the output and the line of the chain.
        #expect(detail(report, "outputs") == "9 blocks with 1,048,598 bytes, and the list of what was read")
        #expect(report.lines == scene.chain.verify(cid).lines)
    }

    @Test(arguments: Array(0..<10)) func everyBlockOfAFolderIsNeeded(_ seed: Int) throws {
        var scene = try Scene()
        let cid = try scene.sign()
        let all = scene.blocks.keys.sorted()
        let gone = all[seed % all.count]
        scene.chain.blocks[gone] = nil
        let report = scene.chain.verify(cid)
        #expect(report.result == .notCheckable)
        #expect(detail(report, "outputs").contains(gone.text))
        scene.chain.blocks[gone] = [1, 2, 3]
        #expect(scene.chain.verify(cid).codes(.failed) == ["outputs"])
    }

    @Test func aFolderWithMoreBlocksThanMayBeIsRefused() throws {
        var scene = try Scene()
        let cid = try scene.sign()
        var limits = ReceiptVerifier.Limits()
        for most in 1..<9 {
            limits.outputBlocksMax = most
            let report = ReceiptVerifier(limits: limits).verify(cid, evidence: scene.chain.evidence)
            #expect(report.codes(.failed) == ["outputs"] && detail(report, "outputs").contains("too many blocks"))
        }
        limits.outputBlocksMax = 9
        #expect(ReceiptVerifier(limits: limits).verify(cid, evidence: scene.chain.evidence).isVerified)
    }

    @Test func filesInFoldersCountToTheLimitOfOutputs() throws {
        var scene = try Scene()
        let exact = try scene.sign { _ in
        } manifest: {
            $0.params.maxOutputBytes = 1_048_598
        }
        #expect(scene.chain.verify(exact).isVerified)
        let over = try scene.sign { _ in
        } manifest: {
            $0.params.maxOutputBytes = 1_048_597
        }
        #expect(scene.chain.verify(over).codes(.failed) == ["output_limit"])
    }

    @Test func whatIsNoFileOrFolderIsRefusedInAFolder() throws {
        var scene = try Scene()
        let object = CID.hashing([0xA0], codec: .dagCBOR)
        let folder = try UnixFSDirectoryBuilder.directory(
            [UnixFSEntry(name: [0x61], cid: object, totalBytes: 1)], profile: .v1in2025)
        scene.chain.blocks[object] = [0xA0]
        for block in folder.blocks { scene.chain.blocks[block.cid] = block.bytes }
        let cid = try scene.sign { $0.outputs["folder"] = folder.directory.cid }
        #expect(scene.chain.verify(cid).codes(.failed) == ["outputs"])
    }

    /// Nodes in each other above one byte, as deep as a mount may have them (and `ipfs add --trickle` makes them), and
    /// one deeper.
    @Test(arguments: [false, true]) func aFileIsAsDeepAsThatOfAMount(_ isAlone: Bool) throws {
        var scene = try Scene()
        let chunk: [UInt8] = [1]
        var below = (cid: CID.hashing(chunk, codec: .raw), treeBytes: UInt64(1))
        scene.chain.blocks[below.cid] = chunk
        let deepest = UnixFSLimits().fileDepthMax
        for depth in 1...deepest + 1 {
            let links = [DAGPBNode.Link(cid: below.cid, totalBytes: below.treeBytes)]
            let node = DAGPBNode(links: links, data: [0x08, 2, 0x18, 1, 0x20, 1]).encoded()
            below = (CID.hashing(node, codec: .dagPB), below.treeBytes + UInt64(node.count))
            scene.chain.blocks[below.cid] = node
            guard depth >= deepest || depth == UnixFSFile.depthMax + 1 else { continue }
            var root = below.cid
            if !isAlone {
                let folder = try UnixFSDirectoryBuilder.directory(
                    [UnixFSEntry(name: [0x61], cid: root, totalBytes: 1)], profile: .v1in2025)
                for block in folder.blocks { scene.chain.blocks[block.cid] = block.bytes }
                root = folder.directory.cid
            }
            let cid = try scene.sign { $0.outputs["folder"] = root }
            let report = scene.chain.verify(cid)
            #expect(report.codes(.failed) == (depth > deepest ? ["outputs"] : []))
            #expect(depth <= deepest || detail(report, "outputs").contains("a file of too many levels"))
        }
    }

    @Test func onlyTheReceiptOfAJobWithFilesSaysWhatWasRead() throws {
        var scene = try Scene()
        let rules = ReceiptRules()
        _ = try scene.sign()
        func fault(_ change: (inout ExecutionReceipt) -> Void) -> ReceiptFault? {
            var receipt = scene.chain.receipt
            change(&receipt)
            return rules.fault(of: receipt, assignment: scene.chain.assignment, manifest: scene.chain.manifest)
        }
        #expect(fault { _ in } == nil)
        #expect(fault { $0.readCID = nil } == .differs(.readCID))
        // A run that was stopped may have read nothing that it can name.
        #expect(
            fault { receipt in
                receipt.readCID = nil
                receipt.outcome = .limitExceeded(.memory)
                receipt.status = receipt.outcome.standardStatus
            } == nil)
        scene.chain.manifest.params.files = nil
        #expect(fault { _ in } == .differs(.readCID))
        #expect(fault { $0.readCID = nil } == nil)
    }

    @Test func theListOfWhatWasReadMustBeOne() throws {
        var scene = try Scene()
        let none = CID.hashing([0xA0], codec: .dagCBOR)
        scene.chain.blocks[none] = [0xA0]
        let cid = try scene.sign { $0.readCID = none }
        let report = scene.chain.verify(cid)
        #expect(report.codes(.failed) == ["outputs"])
        #expect(detail(report, "outputs").contains("no list of what was read"))
        scene.chain.blocks[none] = nil
        #expect(scene.chain.verify(cid).result == .notCheckable)
    }

    @Test func aFileOfReceiptsHoldsAFolderOrLeavesItOut() throws {
        var scene = try Scene()
        let cid = try scene.sign()
        func archive(_ keep: (CID) -> Bool) -> VerificationReport {
            let blocks = scene.chain.blocks.filter { keep($0.key) }
                .map { CAR.Block(cid: $0.key, bytes: $0.value) }
            return ReceiptArchive(CAR(roots: [cid], blocks: blocks)).verify(cid)
        }
        #expect(archive { _ in true }.isVerified)
        let outputs = Set(scene.blocks.keys).union(scene.chain.receipt.outputBlocks)
        let without = archive { !outputs.contains($0) }
        #expect(without.isVerified && detail(without, "outputs").contains("left out"))
        #expect(archive { $0 != scene.file }.result == .notCheckable)
    }

    @Test func aReplayMustReadTheSame() throws {
        var scene = try Scene()
        let cid = try scene.sign()
        let receipt = scene.chain.receipt
        func compare(_ read: CID?) -> VerificationReport {
            var again = ReplayedRun(
                outcome: receipt.outcome, outputs: receipt.outputs, stdoutCID: receipt.stdoutCID,
                stderrCID: receipt.stderrCID, logCID: receipt.logCID, fuel: receipt.resourceUsage.fuel,
                engine: receipt.engine)
            again.readCID = read
            return ReplayComparison.compare(
                receipt, receiptCID: cid, of: scene.chain.manifest, under: scene.chain.assignment.terms, with: again)
        }
        #expect(compare(receipt.readCID).isVerified)
        #expect(compare(nil).codes(.failed) == ["replay_read"])
        #expect(compare(scene.folder).codes(.failed) == ["replay_read"])
    }
}
