import Determinism
import Foundation
import GuestFiles
import IPLD
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PTesting
import SignedObjects
import Synchronization
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// Jobs with files, on real nodes: what they mount is fetched while they run, and what they leave comes back.
@Suite("Jobs with files", .serialized)
struct MountedJobTests {
    /// The guest of `mesh/Tests/Guests/filer.c`.
    private static func filer() throws -> [UInt8] {
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let digits = try Data(contentsOf: tests.appendingPathComponent("Guests/filer.wasm.hex")).filter { $0 > 32 }
        let values = digits.map { $0 < 58 ? $0 - 48 : $0 - 87 }
        return stride(from: 0, to: values.count - 1, by: 2).map { values[$0] << 4 | values[$0 + 1] }
    }

    private static let large = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 9) }
    private static let unread = Array("nobody reads this".utf8)

    private static func file(_ bytes: [UInt8]) -> (built: UnixFSBuilt, blocks: [UnixFSBuiltBlock]) {
        var builder = UnixFSFileBuilder(profile: .v1in2025)
        let blocks = builder.append(bytes)
        let (built, rest) = builder.finish()
        return (built, blocks + rest)
    }

    /// A folder at the originator; with entries of other names, if asked.
    private static func folder(at node: MeshNode, _ names: [String] = []) async throws -> CID {
        var blocks: [UnixFSBuiltBlock] = []
        var entries: [UnixFSEntry] = []
        let files = [("large", large), ("small", Array("small file".utf8)), ("unread", unread)]
        for (name, bytes) in files + names.map({ ($0, [1]) }) {
            let (built, made) = file(bytes)
            blocks += made
            entries.append(UnixFSEntry(name: Array(name.utf8), cid: built.cid, totalBytes: built.treeBytes))
        }
        let folder = try UnixFSDirectoryBuilder.directory(entries, profile: .v1in2025)
        blocks += folder.blocks
        try await node.store.commit(blocks.map { .block(cid: $0.cid, bytes: $0.bytes) })
        return folder.directory.cid
    }

    private static func run(_ body: (NodeMesh) async throws -> Void) async throws {
        try await NodeMesh.run(
            prices: [10, 900], configure: { $1.executor.features = [JobFiles.feature] }, body)
    }

    private static func submit(
        _ script: String, mounting folder: CID, collect: [NamedText], _ mesh: NodeMesh
    ) async throws -> JobResult {
        let input = try await mesh.originator.add(Array(script.utf8))
        let job = try await mesh.submit(try filer()) { submission in
            submission.inputs = [NamedText(name: "stdin", text: input.cid)]
            var files = JobSubmission.Files(workingFolder: "/job")
            files.mounts = [
                .init(path: "/job", cid: folder.text, isFolder: true, isWritable: true)
            ]
            files.collect = collect
            submission.files = files
        }
        return try await mesh.result(of: job)
    }

    @Test("Only what is read is fetched, what is made comes back, and a third node replays it")
    func whole() async throws {
        try await Self.run { mesh in
            let folder = try await Self.folder(at: mesh.originator)
            // Descriptor 3 is /job, 4 the same as the working folder.
            let result = try await Self.submit(
                """
                open 3 0 large 0 2 0
                sum #1 65536
                open 3 0 small 0 2 0
                read #2 99
                mkdir 3 out
                open 3 0 out/made 1 66 0
                fill #3 1500000 7
                open 3 0 out/note 1 66 0
                write #4 noted
                exit 3
                """, mounting: folder,
                collect: [NamedText(name: "out", text: "out/**"), NamedText(name: "none", text: "missing")], mesh)
            #expect(result.ending == .exitedNonZero)
            #expect(result.exitCode == 3)
            #expect(result.isReceiptVerified)
            #expect(result.outputs.map(\.name) == ["out"])
            let made = Self.file([UInt8](repeating: 7, count: 1_500_000)).built
            let note = Self.file(Array("noted".utf8)).built
            let expected = try UnixFSDirectoryBuilder.directory(
                [
                    UnixFSEntry(name: Array("made".utf8), cid: made.cid, totalBytes: made.treeBytes),
                    UnixFSEntry(name: Array("note".utf8), cid: note.cid, totalBytes: note.treeBytes),
                ], profile: .v1in2025)
            #expect(result.outputs.map(\.cid) == [expected.directory.cid.text])
            // The originator has all of it; the executor has what was read, and nothing else.
            for cid in [expected.directory.cid, made.cid, note.cid] {
                #expect(try await mesh.originator.store.hasBlock(cid))
            }
            let executor = try #require(mesh.nodes.first { $0.identity.did.text == result.executorDID })
            let other = try #require(mesh.nodes.dropLast().first { $0.identity.did.text != result.executorDID })
            #expect(try await executor.store.hasBlock(Self.file(Array("small file".utf8)).built.cid))
            #expect(try await !executor.store.hasBlock(Self.file(Self.unread).built.cid))
            let sum = Self.large.reduce(UInt64(0)) { $0 &* 31 &+ UInt64($1) }
            let output = try #require(try result.stdoutCID.map { try CID(named: $0, "output") })
            let text = String(decoding: try await mesh.originator.store.block(output) ?? [], as: UTF8.self)
            #expect(text.contains("0 3000000 \(sum)\n"))
            #expect(text.contains("0 10 small file\n"))

            let receipt = try CID(named: try #require(result.receiptCID), "receipt")
            let replayed = try await other.replayReceipt(receipt)
            #expect(replayed.lines.allSatisfy { $0.verdict == .passed }, "\(replayed.lines)")
        }
    }

    @Test("What is looked at before a run has bounds, and ends when the job is cancelled")
    func prepared() async throws {
        try await Self.run { mesh in
            let node = mesh.originator
            let folder = try await Self.folder(at: node)
            let plan = FileSystemPlan(
                mounts: [.init(path: Array("/job".utf8), content: .tree(folder), isWritable: false)])
            func prepare(
                isCancelled: Bool = false, _ change: (inout MountedContent.Limits) -> Void = { _ in }
            ) async throws -> (fault: String?, content: MountedContent) {
                var limits = MountedContent.Limits()
                change(&limits)
                let content = MountedContent(
                    roots: [folder], fetcher: node.parts.fetcher, from: [], limits: limits,
                    patience: { RetryPause(milliseconds: 1, millisecondsMax: 1, until: NodeClock.now) })
                let fault = try await content.prepare(
                    plan, limits: GuestFileSystem.Limits(), isCancelled: { isCancelled }, arrived: { _ in })
                return (fault, content)
            }
            #expect(try await prepare { $0.preparedEntriesMax = 3 }.fault == nil)
            #expect(
                try await prepare { $0.preparedEntriesMax = 2 }.fault
                    == "the folders that the job has read have more than 2 entries")
            #expect(
                try await prepare { $0.preparedRoundsMax = 1 }.fault == "the job's mounts lie in too many folders")
            #expect(try await prepare(isCancelled: true).fault == "the job was cancelled")
            let refusal = await #expect(throws: FetchError.self) { _ = try await prepare { $0.requestBytesMax = 99 } }
            #expect(refusal?.description == "what the job reads at once needs more than 99 bytes of blocks")
        }
    }

    @Test("What a run's content holds open, fetches ahead and fetches at once has bounds")
    func held() async throws {
        try await Self.run { mesh in
            let node = mesh.originator
            let started = Mutex(0)
            func content(_ change: (inout MountedContent.Limits) -> Void) -> MountedContent {
                var limits = MountedContent.Limits()
                change(&limits)
                return MountedContent(
                    roots: [], fetcher: node.parts.fetcher, from: [], limits: limits,
                    patience: {
                        started.withLock { $0 += 1 }
                        return RetryPause(
                            milliseconds: 3_600_000, millisecondsMax: 3_600_000,
                            until: NodeClock.now.advanced(milliseconds: 7_200_000))
                    })
            }
            let files = [Self.large, Array("small file".utf8), Self.unread].map { Self.file($0) }
            try await node.store.commit(
                files.flatMap(\.blocks).map { .block(cid: $0.cid, bytes: $0.bytes) })
            let few = content { $0.openFilesMax = 2 }
            for file in files { _ = few.bytes(file.built.cid, 0..<1) }
            #expect(few.openFileCount == 2)

            // Nobody serves this one, so what it begins ahead stays.
            let reader = content {
                $0.aheadBytes = 4_096
                $0.aheadMax = 2
            }
            for page in 0..<64 as Range<UInt64> {
                _ = reader.bytes(files[0].built.cid, page * 4_096..<(page + 1) * 4_096)
            }
            #expect(reader.aheadCount == 2)

            // Chunks that nobody has: as many are looked for as may be at once.
            let lost = Self.file((0..<12 << 20).map { UInt8(truncatingIfNeeded: $0 >> 20) })
            let nodes = lost.blocks.filter { $0.cid.codec != .raw }
            try await node.store.commit(nodes.map { .block(cid: $0.cid, bytes: $0.bytes) })
            let fetching = content { $0.fetchesMax = 3 }
            started.withLock { $0 = 0 }
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await fetching.serve() }
                fetching.fetch([.bytes(lost.built.cid, 0..<12 << 20)]) { _ in }
                try? await eventually("it looks for chunks") { started.withLock { $0 } >= 4 }
                group.cancelAll()
            }
            // The root, which is here, and three chunks of twelve.
            #expect(started.withLock { $0 } == 4)
        }
    }

    @Test("One call that pins a file fetches for its time, and says what is missing")
    func pinned() async throws {
        try await Self.run { mesh in
            let folder = try await Self.folder(at: mesh.originator)
            let other = try #require(mesh.nodes.first { $0.identity.did != mesh.originator.identity.did })
            var trees = other.trees
            trees.limits.pinMilliseconds = 0
            let none = try await trees.pin(folder, fetching: true)
            #expect(!none.isPinned && none.blocks == 0 && none.missing == [folder.text])
            trees.limits.pinMilliseconds = 600_000
            let whole = try await trees.pin(folder, fetching: true)
            #expect(whole.isPinned && whole.missing.isEmpty && whole.blocks > 4)
            #expect(try await other.store.hasBlock(Self.file(Self.unread).built.cid))
        }
    }

    @Test("A mount that is none ends the job with its words, and nobody else is tried")
    func refused() async throws {
        try await Self.run { mesh in
            let folder = try await Self.folder(at: mesh.originator, ["a/b"])
            let result = try await Self.submit("stat 3 0 x", mounting: folder, collect: [], mesh)
            #expect(result.ending == .filesRefused)
            #expect(result.detail.contains("the folder \(folder) has an entry whose name holds a slash"))
            #expect(result.attempts == 1)
        }
    }
}
