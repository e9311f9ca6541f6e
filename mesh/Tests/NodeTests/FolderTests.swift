import IPLD
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// Folders: what an originator takes in of outputs, and what a job may mount.
@Suite("Folders", .serialized)
struct FolderTests {
    /// A folder with a file of two chunks and `count` small ones, and its blocks.
    private struct Made {
        let root: CID
        let file: CID
        var blocks: [CID: [UInt8]] = [:]

        var bytes: Int { blocks.values.reduce(0) { $0 + $1.count } }

        init(small count: Int) throws {
            var builder = UnixFSFileBuilder(profile: .v1in2025)
            var made = builder.append([UInt8](repeating: 7, count: (1 << 20) + 5))
            let (large, rest) = builder.finish()
            made += rest
            var entries = [UnixFSEntry(name: Array("large".utf8), cid: large.cid, totalBytes: large.treeBytes)]
            for index in 0..<count {
                let bytes = Array("file \(index)".utf8)
                let cid = CID.hashing(bytes, codec: .raw)
                blocks[cid] = bytes
                entries.append(UnixFSEntry(name: Array("f\(index)".utf8), cid: cid, totalBytes: UInt64(bytes.count)))
            }
            let folder = try UnixFSDirectoryBuilder.directory(entries, profile: .v1in2025)
            for block in made + folder.blocks { blocks[block.cid] = block.bytes }
            (root, file) = (folder.directory.cid, large.cid)
        }

        func store(at node: MeshNode, without gone: CID? = nil) async throws {
            try await node.store.commit(
                blocks.filter { $0.key != gone }.map { StoreWrite.block(cid: $0.key, bytes: $0.value) })
        }
    }

    @Test("A folder comes with all that is in it, up to the bytes that it may have, and is kept for its job")
    func folderOutputs() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let (executor, originator) = (mesh.nodes[0], mesh.originator)
            let made = try Made(small: 40)
            try await made.store(at: executor, without: made.file)
            let job = JobID(CID.hashing(Array("job".utf8), codec: .dagCBOR))
            func answer(_ cid: CID, bytesMax: Int) async -> OutputAnswer {
                await originator.errands.output(
                    OutputRequest(
                        receipt: CID.hashing([], codec: .dagCBOR), cid: cid, peer: executor.identity.peerID,
                        bytesMax: bytesMax, job: job, mayBeFolder: true))
            }
            guard case .missing(mayPass: true) = await answer(made.root, bytesMax: made.bytes) else {
                Issue.record("a folder that lacks a block was taken in, or is given up")
                return
            }
            try await made.store(at: executor)
            guard case .missing(mayPass: false) = await answer(made.root, bytesMax: made.bytes - 1) else {
                Issue.record("a larger folder was taken in, or is asked for again")
                return
            }
            guard case .here(made.bytes, let held) = await answer(made.root, bytesMax: made.bytes) else {
                Issue.record("a folder that is there was not taken in")
                return
            }
            for cid in made.blocks.keys where !held.contains(where: { $0.cid == cid }) {
                #expect(try await originator.store.hasBlock(cid))
            }
            // The list of what was read is an object, not a file.
            let list: [UInt8] = [0xA0]
            let listCID = CID.hashing(list, codec: .dagCBOR)
            try await executor.store.commit([.block(cid: listCID, bytes: list)])
            guard case .here(1, let listed) = await answer(listCID, bytesMax: 1), listed.map(\.cid) == [listCID],
                case .missing(mayPass: false) = await answer(listCID, bytesMax: 0)
            else {
                Issue.record("the list of what was read was not taken in, or was with more bytes than it may have")
                return
            }
            // What is no file or folder is not asked for again.
            let none = CID.hashing([9], codec: .dagPB)
            try await executor.store.commit([.block(cid: none, bytes: [9])])
            guard case .missing(mayPass: false) = await answer(none, bytesMax: 100) else {
                Issue.record("a block that is no folder was taken in, or is asked for again")
                return
            }
        }
    }

    @Test("A folder is fetched from whoever has its root, and only what is not here")
    func fetchedTrees() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let (giver, node) = (mesh.nodes[0], mesh.originator)
            let made = try Made(small: 20)
            try await made.store(at: giver)
            try await made.store(at: node, without: made.file)
            // Nothing is asked for when nobody waits any more.
            await #expect(throws: FetchError.self) {
                _ = try await node.parts.fetcher.tree(made.root, from: [], until: NodeClock.now)
            }
            #expect(try await !node.store.hasBlock(made.file))
            let tree = try await node.parts.fetcher.tree(made.root, from: [], heldBytesMax: 1 << 20)
            #expect(tree.bytes == UInt64(made.bytes))
            #expect(tree.held.map(\.cid) == [made.file])
            // Held ones are not on the disk yet; without a bound they are.
            #expect(try await !node.store.hasBlock(made.file))
            _ = try await node.parts.fetcher.tree(made.root, from: [])
            #expect(try await node.store.hasBlock(made.file))
        }
    }

    @Test("What a job mounts is here and is what it says, before the job is announced")
    func mounts() async throws {
        try await NodeMesh.run(prices: []) { mesh in
            let node = mesh.originator
            let made = try Made(small: 3)
            try await made.store(at: node)
            let module = try await node.add(try Assembler.command("nop"))
            let lost = try Made(small: 4)
            func refusal(
                _ mounts: [JobSubmission.Files.Mount], _ change: (inout JobSubmission.Files) -> Void = { _ in }
            )
                async -> NodeServiceError?
            {
                var submission = JobSubmission(moduleCID: module.cid)
                submission.files = JobSubmission.Files(mounts: mounts)
                if var files = submission.files {
                    change(&files)
                    submission.files = files
                }
                do {
                    _ = try await node.submit(submission)
                    return nil
                } catch {
                    return error
                }
            }
            let rows: [(JobSubmission.Files.Mount, NodeServiceError.Code, String)] = [
                (.init(path: "/lib", cid: made.file.text), .invalidRequest, "--file"),
                (.init(path: "/x/y", cid: made.root.text, isFolder: false), .invalidRequest, "--dir"),
                (.init(path: "/lib", cid: lost.root.text), .blockNotFound, "mesh add"),
                (.init(path: "/lib", cid: "bafy"), .invalidRequest, "CID"),
                (.init(path: "lib", cid: made.root.text), .invalidRequest, "--help"),
            ]
            for (mount, code, hint) in rows {
                let refused = await refusal([mount])
                #expect(refused?.code == code, "\(mount)")
                #expect(refused?.hint?.contains(hint) == true, "\(mount)")
            }
            #expect(await refusal([]) { $0.collect = [NamedText(name: "stdout", text: "/x")] }?.code == .invalidRequest)
            #expect(await refusal([.init(path: "/lib", cid: made.root.text)]) == nil)
            // What a job mounts stays as long as its owner wants.
            #expect(try await node.store.isFile(made.root))
        }
    }

    @Test("A key that was used for a job with files stands for the same files only")
    func usedKeys() async throws {
        try await NodeMesh.run(prices: []) { mesh in
            let node = mesh.originator
            let made = try Made(small: 3)
            try await made.store(at: node)
            var submission = JobSubmission(moduleCID: try await node.add(try Assembler.command("nop")).cid)
            submission.idempotencyKey = "once"
            submission.files = JobSubmission.Files(
                mounts: [.init(path: "/lib", cid: made.root.text), .init(path: "/job", cid: nil, isWritable: true)],
                workingFolder: "/job")
            let first = try await node.submit(submission)
            #expect(try await node.submit(submission) == JobAccepted(jobID: first.jobID, isDuplicate: true))
            for change: (inout JobSubmission) -> Void in [
                { $0.files = nil }, { $0.files?.mounts[0].path = "/lib2" }, { $0.files?.maxBytes = 5 },
                { $0.files?.collect = [NamedText(name: "out", text: "out")] },
            ] {
                var other = submission
                change(&other)
                await #expect(throws: NodeServiceError.self) { _ = try await node.submit(other) }
            }
            let description = try await node.describe(try CID(parsing: first.jobID))
            #expect(description.request?.files?.mounts.map(\.path) == ["/lib", "/job"])
            #expect(description.request?.files?.maxEntries == 65_536)
            #expect(description.sizes?.first { $0.cid == made.root.text }.map { $0.bytes > 1 << 20 } == true)
            #expect(description.request?.policy.contains { $0.text == "files-v1" } == true)
        }
    }
}
