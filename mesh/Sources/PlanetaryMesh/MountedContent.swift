import CoVM
import GuestFiles
import IPLD
import MeshStore
import Multiformats
import NodeCore
import Synchronization

/// What the mounts of one run hold: blocks of this node's store, and blocks that are fetched while the run waits for
/// them, ahead of a reader that goes from one end of a file to the other.
///
/// What comes is kept in the store as any block that was fetched. The run's thread asks and reads the store; `serve`
/// fetches, in tasks of its own.
final class MountedContent: MountSource {
    /// The bounds of one run.
    struct Limits: Sendable {
        /// Blocks that came last, held in memory, in bytes; the store has them, too.
        var heldBytesMax = 8 << 20
        /// Blocks that one want of a run, or all before a run, needs at once, in bytes; more ends the fetch.
        var requestBytesMax = 64 << 20
        /// Files whose nodes and last chunk are held.
        var openFilesMax = 4
        /// Blocks of one run that are fetched at the same time.
        var fetchesMax = 8
        /// Entries of the folders that mounts begin with and of those on the way to mounts inside mounts, all together;
        /// a job with more is refused. The tree is built anew for each of these folders that has to be fetched.
        var preparedEntriesMax = 1 << 17
        /// Times that the tree is built before a run: what is on the way to a mount is found one folder at a time.
        var preparedRoundsMax = 1_024
        /// How much of a file is first fetched ahead of its reader, in bytes; doubles up to the maximum.
        var aheadBytes: UInt64 = 1 << 20
        /// The most that is fetched ahead, in bytes.
        var aheadBytesMax: UInt64 = 8 << 20
        /// Pieces that are fetched ahead at the same time.
        var aheadMax = 2
    }

    /// Something to fetch, and whom to tell.
    private struct Request: Sendable {
        let wants: [ContentWant]
        /// Nil for what is fetched ahead.
        let finished: (@Sendable (ContentFetch) -> Void)?
    }

    /// A file that is being read.
    private struct OpenFile {
        let cid: CID
        var reader: UnixFSRangeReader
        /// Where the last read ended.
        var end: UInt64 = 0
        /// As far as it was fetched ahead.
        var aheadEnd: UInt64 = 0
        var aheadBytes: UInt64
    }

    private struct Held {
        var blocks: [CID: [UInt8]] = [:]
        var order: [CID] = []
        var bytes = 0
        var aheadCount = 0
        /// Whether the providers of the mounts were looked up.
        var knowsProviders = false
        var sources: [PeerID]
    }

    private let fetcher: ContentFetcher
    private let limits: Limits
    private let roots: [CID]
    private let patience: @Sendable () -> RetryPause
    private let files = Mutex<[OpenFile]>([])
    private let held: Mutex<Held>
    private let requests: AsyncStream<Request>
    private let requesting: AsyncStream<Request>.Continuation

    /// The content below these roots, with missing blocks from `peers`.
    init(
        roots: [CID], fetcher: ContentFetcher, from peers: [PeerID], limits: Limits = Limits(),
        patience: @escaping @Sendable () -> RetryPause
    ) {
        self.roots = roots
        self.fetcher = fetcher
        self.patience = patience
        self.limits = limits
        held = Mutex(Held(sources: peers))
        // BOUNDED: a run asks for one thing at a time, and for `aheadMax` pieces ahead.
        (requests, requesting) = AsyncStream.makeStream()
    }

    /// Bytes of blocks that it holds in memory.
    var heldBytes: Int { held.withLock { $0.bytes } }

    /// Files whose nodes and last chunk it holds.
    var openFileCount: Int { files.withLock { $0.count } }

    /// Pieces that are fetched ahead, or wait for that.
    var aheadCount: Int { held.withLock { $0.aheadCount } }

    // MARK: What is here, on the run's thread

    private var blocks: MountedBlocks {
        MountedBlocks { [self] cid in
            if let block = held.withLock({ $0.blocks[cid] }) { return block }
            // What the store cannot read is fetched again, which says why it cannot.
            return (try? fetcher.store.blockBlocking(cid)) ?? nil
        }
    }

    func node(_ cid: CID) -> SourceAnswer<MountedNode> { blocks.node(cid) }
    func listing(_ cid: CID) -> SourceAnswer<[MountedEntry]> { blocks.listing(cid) }
    func block(_ cid: CID) -> SourceAnswer<[UInt8]> { blocks.block(cid) }

    func bytes(_ cid: CID, _ range: Range<UInt64>) -> SourceAnswer<[UInt8]> {
        let blocks = blocks
        return reading(cid, range) { blocks.bytes(&$0.reader, range) }
    }

    func reads(_ cid: CID, _ range: Range<UInt64>) { reading(cid, range) { _ in } }

    /// Does something with an open file, and fetches ahead of a read that goes on where the last one ended.
    private func reading<Answer: Sendable>(
        _ cid: CID, _ range: Range<UInt64>, _ body: (inout OpenFile) -> Answer
    ) -> Answer {
        let (answer, ahead) = files.withLock { files -> (Answer, Range<UInt64>?) in
            let index = files.firstIndex { $0.cid == cid }
            var file =
                index.map { files.remove(at: $0) }
                ?? OpenFile(cid: cid, reader: UnixFSRangeReader(root: cid), aheadBytes: limits.aheadBytes)
            if files.count == limits.openFilesMax { files.removeFirst() }
            let answer = body(&file)
            let next = self.ahead(&file, range)
            files.append(file)
            return (answer, next)
        }
        if let ahead { fetchAhead(.bytes(cid, ahead)) }
        return answer
    }

    func way(_ cid: CID, to offset: UInt64) -> SourceAnswer<[MountedPiece]> {
        let blocks = blocks
        return files.withLock { files in
            // It was read just now.
            guard let index = files.firstIndex(where: { $0.cid == cid }) else { return blocks.way(cid, to: offset) }
            return blocks.way(&files[index].reader, to: offset)
        }
    }

    /// What to fetch ahead of a read that goes on where the last one ended.
    private func ahead(_ file: inout OpenFile, _ range: Range<UInt64>) -> Range<UInt64>? {
        let isSequential = range.lowerBound == file.end && range.lowerBound > 0
        file.end = range.upperBound
        guard isSequential else { return nil }
        let from = max(range.upperBound, file.aheadEnd)
        // Half of the last piece is still before the reader.
        guard from - range.upperBound <= file.aheadBytes / 2 else { return nil }
        let (end, isOver) = from.addingReportingOverflow(file.aheadBytes)
        guard !isOver else { return nil }
        file.aheadEnd = end
        file.aheadBytes = min(2 * file.aheadBytes, limits.aheadBytesMax)
        return from..<end
    }

    private func fetchAhead(_ want: ContentWant) {
        let hasRoom = held.withLock { held in
            guard held.aheadCount < limits.aheadMax else { return false }
            held.aheadCount += 1
            return true
        }
        if hasRoom { requesting.yield(Request(wants: [want], finished: nil)) }
    }

    /// Begins to fetch what a run needs.
    func fetch(_ wants: [ContentWant], _ finished: @escaping @Sendable (ContentFetch) -> Void) {
        requesting.yield(Request(wants: wants, finished: finished))
    }

    // MARK: Fetching

    /// The run asks for nothing more.
    func close() { requesting.finish() }

    /// Fetches what is asked for until the run ends or the task is cancelled.
    func serve() async {
        await withDiscardingTaskGroup { group in
            for await request in requests {
                group.addTask { [self] in
                    if let finished = request.finished {
                        finished(await content(for: request.wants))
                    } else {
                        for want in request.wants { await ahead(want) }
                        held.withLock { $0.aheadCount -= 1 }
                    }
                }
            }
            group.cancelAll()
        }
    }

    private func content(for wants: [ContentWant]) async -> ContentFetch {
        do {
            for want in wants {
                var came = Came()
                try await bring(want, into: &came)
                hold(came.blocks)
            }
            return .here
        } catch {
            return .failed(reason: "\(error)")
        }
    }

    /// Blocks that came for one request.
    private struct Came {
        var blocks: [CID: [UInt8]] = [:]
        var bytes = 0
    }

    /// Brings what this needs, so that it can be answered from memory.
    private func bring(_ want: ContentWant, into came: inout Came) async throws(FetchError) {
        while true {
            let known = came.blocks
            let missing = MountedBlocks { known[$0] }.missing(for: want)
            if missing.isEmpty { break }
            for (cid, bytes) in try await fetched(missing, bytesMax: limits.requestBytesMax - came.bytes)
            where came.blocks.updateValue(bytes, forKey: cid) == nil {
                came.bytes += bytes.count
            }
        }
    }

    /// Brings what a plan needs to be built; says what is wrong with it, if anything is, in a sentence without its end.
    ///
    /// - Parameter arrived: receives the bytes of blocks as they come.
    func prepare(
        _ plan: FileSystemPlan, limits: GuestFileSystem.Limits, isCancelled: @Sendable () -> Bool,
        arrived: @Sendable (Int) async -> Void
    ) async throws(FetchError) -> String? {
        var limits = limits
        limits.mountedEntriesMax = min(limits.mountedEntriesMax, self.limits.preparedEntriesMax)
        var came = Came()
        var bytes = 0
        for _ in 0..<self.limits.preparedRoundsMax where !isCancelled() {
            await Task.yield()
            let known = came.blocks
            let world = GuestWorld(nowNanoseconds: 0, source: MountedBlocks { known[$0] })
            guard let wants = Self.needs(of: plan, limits, world) else {
                hold(came.blocks)
                return nil
            }
            switch wants {
            case .success(let wants):
                for want in wants { try await bring(want, into: &came) }
                await arrived(came.bytes - bytes)
                bytes = came.bytes
            case .failure(let fault): return "\(fault)"
            }
        }
        return isCancelled() ? "the job was cancelled" : "the job's mounts lie in too many folders"
    }

    private static func needs(
        of plan: FileSystemPlan, _ limits: GuestFileSystem.Limits, _ world: GuestWorld
    ) -> Result<[ContentWant], FileSystemPlanFault>? {
        do throws(FileSystemPlanFault) {
            _ = try GuestFileSystem(plan, limits: limits, world: world)
            return nil
        } catch {
            if case .content(.needs(let wants)) = error { return .success(wants) }
            return .failure(error)
        }
    }

    private func hold(_ blocks: [CID: [UInt8]]) {
        held.withLock { held in
            for (cid, bytes) in blocks where held.blocks.updateValue(bytes, forKey: cid) == nil {
                held.order.append(cid)
                held.bytes += bytes.count
            }
            while held.bytes > limits.heldBytesMax, held.order.count > 1 {
                held.bytes -= held.blocks.removeValue(forKey: held.order.removeFirst())?.count ?? 0
            }
        }
    }

    /// These blocks, several at a time, until they have more bytes than they may.
    private func fetched(_ cids: [CID], bytesMax: Int) async throws(FetchError) -> [(CID, [UInt8])] {
        var bytes = 0
        let results = await withTaskGroup(of: (CID, Result<[UInt8], FetchError>).self) { group in
            var results: [(CID, Result<[UInt8], FetchError>)] = []
            var left = cids[...]
            for cid in left.prefix(limits.fetchesMax) { group.addTask { [self] in (cid, await fetched(cid)) } }
            left = left.dropFirst(limits.fetchesMax)
            for await result in group {
                results.append(result)
                if case .success(let block) = result.1 { bytes += block.count }
                if case .failure = result.1 {
                    group.cancelAll()
                    left = []
                }
                if bytes > bytesMax {
                    group.cancelAll()
                    break
                }
                if let next = left.popFirst() { group.addTask { [self] in (next, await fetched(next)) } }
            }
            return results
        }
        if bytes > bytesMax { throw .tooMuchAtOnce(bytesMax: limits.requestBytesMax) }
        // What failed first is why; the others were given up for it.
        for (_, result) in results { if case .failure(let error) = result { throw error } }
        return results.compactMap { cid, result in (try? result.get()).map { (cid, $0) } }
    }

    private func fetched(_ cid: CID) async -> Result<[UInt8], FetchError> {
        var patience = patience()
        var pause: Int64?
        repeat {
            if let pause, (try? await Task.sleep(for: .milliseconds(pause))) == nil { break }
            let result = await tried(cid)
            guard case .failure(.notFound) = result else { return result }
            pause = patience.next(now: NodeClock.now)
            if pause == nil { return result }
        } while true
        return .failure(.notFound(cid, reason: "the caller gave up"))
    }

    /// A block from the peers that are known to have mounts; those are looked up once more when these have it not.
    private func tried(_ cid: CID) async -> Result<[UInt8], FetchError> {
        let (known, knowsProviders) = held.withLock { ($0.sources, $0.knowsProviders) }
        do {
            return .success(try await fetcher.block(cid, from: known))
        } catch {
            guard case .notFound = error, !knowsProviders, !Task.isCancelled else { return .failure(error) }
        }
        let all = await sources(withProviders: roots)
        do {
            return .success(try await fetcher.block(cid, from: all))
        } catch {
            return .failure(error)
        }
    }

    private func sources(withProviders roots: [CID]) async -> [PeerID] {
        var providers: Set<PeerID> = []
        for root in roots { providers.formUnion(await fetcher.providers(of: root)) }
        return held.withLock { [providers] held in
            held.knowsProviders = true
            held.sources += providers.subtracting(held.sources).sorted()
            return held.sources
        }
    }

    /// Fetches what lies ahead into the store alone; fails without a word.
    private func ahead(_ want: ContentWant) async {
        guard case .bytes(let cid, let range) = want else { return }
        var nodes: [CID: [UInt8]] = [:]
        var seen: Set<CID> = []
        while !Task.isCancelled {
            let known = nodes
            var reader = UnixFSRangeReader(root: cid)
            let missing = ((try? reader.missing(in: range) { known[$0] }) ?? []).filter { seen.insert($0).inserted }
            guard !missing.isEmpty else { return }
            for next in missing {
                if next.codec == .raw, (try? await fetcher.store.hasBlock(next)) ?? true { continue }
                guard let block = try? await fetcher.block(next, from: held.withLock { $0.sources }) else { return }
                if next.codec != .raw { nodes[next] = block }
            }
        }
    }
}
