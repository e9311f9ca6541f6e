import GuestFiles
import IPLD
import MeshTypes
import Multiformats
import Synchronization
import Testing

@testable import CoVM

/// A host with the blocks of trees, of which a run sees only what it fetched.
final class FileHost: ExecutionHost {
    private struct State {
        var blocks: [CID: [UInt8]] = [:]
        var here: Set<CID> = []
        var fetches: [[ContentWant]] = []
        var waits: [Bool] = []
        var reads: [(file: CID, range: Range<UInt64>)] = []
    }

    /// What a fetch does before its blocks are here; calls its argument when they are, with why not otherwise.
    typealias Delay = @Sendable (@escaping @Sendable (ContentFetch) -> Void) -> Void

    private let state = Mutex(State())
    private let delay: Delay

    init(delay: @escaping Delay = { $0(.here) }) { self.delay = delay }

    // MARK: What the run sees

    func readInput(_ cid: CID) -> [UInt8]? { state.withLock { $0.blocks[cid] } }

    func storeBlock(_ bytes: [UInt8]) -> CID? {
        let cid = CID.hashing(bytes, codec: .raw)
        return storeBlock(cid, bytes) ? cid : nil
    }

    func storeBlock(_ cid: CID, _ bytes: [UInt8]) -> Bool {
        state.withLock { $0.blocks[cid] = bytes }
        return true
    }

    func log(_ level: ExecutionLogLevel, _ text: String) {}
    func progress(permille: Int) {}
    func burnt(fuel: UInt64) {}
    func waits(_ isWaiting: Bool) { state.withLock { $0.waits.append(isWaiting) } }

    var content: any MountSource { Content(blocks: blocksHere, host: self) }

    /// What is here, with what is told of reads elsewhere noted.
    private struct Content: MountSource {
        let blocks: MountedBlocks
        let host: FileHost

        func node(_ cid: CID) -> SourceAnswer<MountedNode> { blocks.node(cid) }
        func listing(_ cid: CID) -> SourceAnswer<[MountedEntry]> { blocks.listing(cid) }
        func bytes(_ cid: CID, _ range: Range<UInt64>) -> SourceAnswer<[UInt8]> { blocks.bytes(cid, range) }
        func way(_ cid: CID, to offset: UInt64) -> SourceAnswer<[MountedPiece]> { blocks.way(cid, to: offset) }
        func block(_ cid: CID) -> SourceAnswer<[UInt8]> { blocks.block(cid) }
        func reads(_ cid: CID, _ range: Range<UInt64>) { host.state.withLock { $0.reads.append((cid, range)) } }
    }

    func fetch(_ wants: [ContentWant], _ finished: @escaping @Sendable (ContentFetch) -> Void) {
        state.withLock { $0.fetches.append(wants) }
        delay { [self] end in
            // As little as helps: what the first of them needs.
            while end == .here, let want = wants.first {
                let missing = blocksHere.missing(for: want)
                let came = state.withLock { state in
                    missing.filter { state.blocks[$0] != nil && state.here.insert($0).inserted }
                }
                if came.isEmpty { break }
            }
            finished(end)
        }
    }

    private var blocksHere: MountedBlocks {
        MountedBlocks { [self] cid in state.withLock { $0.here.contains(cid) ? $0.blocks[cid] : nil } }
    }

    // MARK: What the test sees

    var fetches: [[ContentWant]] { state.withLock { $0.fetches } }
    var waits: [Bool] { state.withLock { $0.waits } }
    /// What a run's process told of the files that it reads.
    var reads: [(file: CID, range: Range<UInt64>)] { state.withLock { $0.reads } }

    /// Makes all blocks visible at once.
    func bringAll() { state.withLock { $0.here = Set($0.blocks.keys) } }

    func text(_ cid: CID?) -> String {
        String(decoding: cid.flatMap { readInput($0) } ?? [], as: UTF8.self)
    }

    /// The tree of a CID in lines: paths with contents.
    func tree(_ cid: CID, _ path: String = "") throws -> [String] {
        let all = MountedBlocks { [self] in readInput($0) }
        guard case .here(let node) = all.node(cid) else { return ["\(path) is missing"] }
        switch node.kind {
        case .symbolicLink(let target): return ["\(path) -> \(String(decoding: target, as: UTF8.self))"]
        case .file(let bytes):
            guard case .here(let content) = all.bytes(cid, 0..<bytes) else { return ["\(path) lacks blocks"] }
            let text = bytes <= 64 ? String(decoding: content, as: UTF8.self) : "\(bytes) bytes"
            return ["\(path) \(text)"]
        case .directory:
            guard case .here(let entries) = all.listing(cid) else { return ["\(path) lacks blocks"] }
            let lines = try entries.sorted { $0.name.lexicographicallyPrecedes($1.name) }.flatMap { entry in
                try tree(entry.cid, path + "/" + String(decoding: entry.name, as: UTF8.self))
            }
            return entries.isEmpty ? [path + "/"] : lines
        }
    }

    // MARK: Making

    private func keep(_ blocks: [UnixFSBuiltBlock]) {
        for block in blocks { _ = storeBlock(block.cid, block.bytes) }
    }

    func file(_ bytes: [UInt8]) -> UnixFSBuilt {
        var builder = UnixFSFileBuilder(profile: .v1in2025)
        keep(builder.append(bytes))
        let (file, blocks) = builder.finish()
        keep(blocks)
        return file
    }

    func file(_ text: String) -> UnixFSBuilt { file(Array(text.utf8)) }

    func link(_ target: String) -> UnixFSBuilt {
        let (link, blocks) = UnixFSDirectoryBuilder.symbolicLink(to: Array(target.utf8))
        keep(blocks)
        return link
    }

    func folder(_ entries: [(String, UnixFSBuilt)]) throws -> UnixFSBuilt {
        let (directory, blocks) = try UnixFSDirectoryBuilder.directory(
            entries.map { UnixFSEntry(name: Array($0.0.utf8), cid: $0.1.cid, totalBytes: $0.1.treeBytes) },
            profile: .v1in2025)
        keep(blocks)
        return directory
    }
}

/// The guest of `mesh/Tests/Guests/filer.c`, which does one call a line of its standard input.
enum FileGuest {
    static let module: [UInt8] = {
        let tests = #filePath.split(separator: "/").dropLast(2).map { "/" + $0 }.joined()
        guard let digits = PublicFile.read("\(tests)/Guests/filer.wasm.hex")?.filter({ $0 > 32 }) else {
            preconditionFailure("mesh/Tests/Guests/filer.wasm.hex is missing: build.sh there makes it")
        }
        let values = digits.map { $0 < 58 ? $0 - 48 : $0 - 87 }
        return stride(from: 0, to: values.count - 1, by: 2).map { values[$0] << 4 | values[$0 + 1] }
    }()

    /// A writable folder at `/job`, which is descriptor 3, and others that are open after it.
    static func plan(
        _ content: FileSystemPlan.Mount.Content = .empty, writable: Bool = true, others: [FileSystemPlan.Mount] = [],
        quota: FileSystemPlan.Quota = .standard
    ) -> FileSystemPlan {
        let job = FileSystemPlan.Mount(path: Array("/job".utf8), content: content, isWritable: writable)
        return FileSystemPlan(
            mounts: [job] + others, preopens: ([job] + others).map { .init(name: $0.path, path: $0.path) },
            quota: quota)
    }

    struct Run {
        let result: ExecutionResult
        let lines: [String]
    }
}

extension Machine {
    /// Runs the guest with a script.
    func perform(
        _ script: String, files: FileSystemPlan = FileGuest.plan(), collect: [String: String] = [:],
        host: FileHost = FileHost(), cancellation: ExecutionCancellation = ExecutionCancellation(),
        configure: (inout ExecutionJob) -> Void = { _ in }
    ) async throws -> FileGuest.Run {
        let module = FileGuest.module
        var job = ExecutionJob(moduleCID: CID.hashing(module, codec: .raw), module: module)
        job.limits = ExecutionLimits(
            timeoutSeconds: 600, maxFuel: 50_000_000_000, maxMemoryBytes: 64 << 20, maxOutputBytes: 16 << 20)
        job.files = files
        job.standardInput = Array(script.utf8)
        job.collect = try collect.sorted { $0.key < $1.key }.map { name, pattern in
            (name: name, selection: try FileSelection(Array(pattern.utf8), workingFolder: Array("/job".utf8)))
        }
        configure(&job)
        let result = await covm.execute(job, host: host, cancellation: cancellation)
        let output = host.text(result.standardOutputCID)
        return FileGuest.Run(result: result, lines: output.split(separator: "\n").map(String.init))
    }
}
