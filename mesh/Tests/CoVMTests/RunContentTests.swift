import GuestFiles
import IPLD
import Multiformats
import Testing

@testable import CoVM

/// What a run's process keeps of the blocks of its mounts, what it asks for, and what its node gives it.
@Suite("Blocks for a run's process")
struct RunContentTests {
    /// A node with the blocks of a host, and what it was asked and told.
    private final class Node: @unchecked Sendable {
        let host: FileHost
        var blocks: RunBlocks
        var asked: [(needed: [CID], ahead: [CID])] = []
        var told: [Range<UInt64>] = []
        var faults: [String] = []

        init(_ host: FileHost, roots: [CID]) {
            self.host = host
            host.bringAll()
            blocks = RunBlocks(of: Self.plan(roots), from: host.content)
        }

        static func plan(_ roots: [CID]) -> FileSystemPlan {
            FileSystemPlan(
                mounts: roots.enumerated().map {
                    .init(path: Array("/m\($0.offset)".utf8), content: .tree($0.element), isWritable: false)
                })
        }

        func content(_ configure: (inout RunContent.Limits) -> Void = { _ in }) -> RunContent {
            var limits = RunContent.Limits()
            configure(&limits)
            return RunContent(
                limits: limits,
                ask: { [self] request in
                    guard case .blocks(let needed, let ahead) = request else { return [] }
                    asked.append((needed, ahead))
                    do {
                        return try blocks.handOver(needed, ahead: ahead)
                    } catch {
                        faults.append("\(error)")
                        return []
                    }
                },
                tell: { [self] request in
                    if case .reads(_, let from, let to) = request { told.append(from..<to) }
                })
        }
    }

    private func bytes(_ answer: SourceAnswer<[UInt8]>) -> [UInt8]? {
        if case .here(let bytes) = answer { bytes } else { nil }
    }

    private static let large = (0..<3_500_000).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 24) }

    @Test("A file is read as from the blocks themselves, and no block comes twice while there is room")
    func files() throws {
        let host = FileHost()
        let file = host.file(Self.large)
        let node = Node(host, roots: [file.cid])
        let content = node.content()
        let direct = MountedBlocks { host.readInput($0) }
        #expect(
            {
                if case .here(let node) = content.node(file.cid) { node.kind == .file(bytes: 3_500_000) } else { false }
            }())
        for start in stride(from: UInt64(0), to: 3_500_000, by: 65_536) {
            let range = start..<min(start + 65_536, 3_500_000)
            #expect(
                bytes(content.bytes(file.cid, range))
                    == Array(Self.large[Int(range.lowerBound)..<Int(range.upperBound)]))
            let (ours, theirs) = (content.way(file.cid, to: start), direct.way(file.cid, to: start))
            #expect(
                { if case (.here(let a), .here(let b)) = (ours, theirs) { a == b && a.count > 1 } else { false } }())
        }
        let asked = node.asked.flatMap(\.needed)
        #expect(asked.count == Set(asked).count && asked.count == 5, "the root and four chunks of 1 MiB")
        // Every message begins where the last one ended: a node sees a reader who goes through the file.
        #expect(node.told.count >= 4 && node.told.first?.lowerBound == 0)
        #expect(zip(node.told, node.told.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound }, "\(node.told)")
        #expect(node.faults.isEmpty)
    }

    @Test("A range of many blocks costs a message, or a few, and is read in full where not all of them can be kept")
    func ranges() throws {
        let host = FileHost()
        let file = host.file(Self.large)
        let node = Node(host, roots: [file.cid])
        #expect(bytes(node.content().bytes(file.cid, 0..<3_500_000)) == Self.large)
        #expect(node.asked.count == 2, "the root, then all chunks: \(node.asked.map(\.needed.count))")
        // With room for one block, and after one batch, each block comes when it is read.
        let narrow = Node(host, roots: [file.cid])
        let content = narrow.content {
            $0.keptBytesMax = 1
            $0.batchesMax = 1
        }
        #expect(bytes(content.bytes(file.cid, 0..<3_500_000)) == Self.large)
        #expect(content.keptBytes <= 1 << 20, "what came last stays")
        #expect(bytes(content.bytes(file.cid, 0..<10)) == Array(Self.large[..<10]))
    }

    @Test("No more files stay open than may, and what was closed reads the same")
    func openFiles() throws {
        let host = FileHost()
        let files = (0..<3).map { number in host.file(Self.large.map { $0 ^ UInt8(number) }) }
        let node = Node(host, roots: files.map(\.cid))
        let content = node.content {
            $0.openFilesMax = 1
            $0.keptBytesMax = 1
        }
        for _ in 0..<2 {
            for (number, file) in files.enumerated() {
                #expect(bytes(content.bytes(file.cid, 5..<9)) == Self.large[5..<9].map { $0 ^ UInt8(number) })
            }
        }
        // A file that was pushed out is told from its beginning again.
        #expect(node.told.count == 6, "\(node.told)")
    }

    @Test("Who goes through a folder gets the next files with each answer, more each time, as far as they may")
    func ahead() throws {
        let host = FileHost()
        let names = (0..<200).map { String(repeating: "0", count: 3 - "\($0)".count) + "\($0)" }
        let folder = try host.folder(names.map { ($0, host.file("file \($0)")) })
        let node = Node(host, roots: [folder.cid])
        let content = node.content { $0.aheadMax = 16 }
        guard case .here(let entries) = content.listing(folder.cid) else {
            Issue.record("no folder")
            return
        }
        let lists = node.asked.count
        for entry in entries.sorted(by: { $0.name.lexicographicallyPrecedes($1.name) }) {
            #expect(
                bytes(content.bytes(entry.cid, 0..<8))
                    == Array("file \(String(decoding: entry.name, as: UTF8.self))".utf8))
        }
        let asked = node.asked.dropFirst(lists)
        #expect(asked.map(\.ahead.count).prefix(5) == [2, 4, 8, 16, 16])
        #expect(asked.count < 20 && asked.allSatisfy { $0.needed.count == 1 }, "\(asked.count) messages for 200 files")
        // Whoever jumps gets nothing ahead.
        let other = Node(host, roots: [folder.cid])
        let jumping = other.content()
        _ = jumping.listing(folder.cid)
        for index in [150, 20, 90] { _ = jumping.node(host.file("file \(names[index])").cid) }
        #expect(other.asked.suffix(3).allSatisfy { $0.ahead.isEmpty })
        #expect(node.faults.isEmpty && other.faults.isEmpty)
    }

    @Test("The order of folders is kept for the last few, and of their first entries")
    func listings() throws {
        let host = FileHost()
        func folder(_ name: String) throws -> UnixFSBuilt {
            try host.folder((0..<6).map { ("\($0)", host.file("\(name) \($0)")) })
        }
        let folders = try ["a", "b"].map { try folder($0) }
        let node = Node(host, roots: folders.map(\.cid))
        let content = node.content {
            $0.listedFoldersMax = 1
            $0.listedEntriesMax = 2
            $0.passedOverMax = 1
        }
        for folder in folders { _ = content.listing(folder.cid) }
        func ahead(_ text: String) -> Int {
            _ = content.node(host.file(text).cid)
            return node.asked.last?.ahead.count ?? -1
        }
        #expect(ahead("a 0") == 0, "another folder was listed since")
        #expect(ahead("b 0") == 1, "the second entry is the last that is known")
        #expect(ahead("b 2") == 0)
    }

    // MARK: What the node gives

    @Test("A node hands over what the mounts begin with, and what a block names that it handed over; nothing else")
    func named() throws {
        let host = FileHost()
        let secret = host.file("of somebody else")
        let inner = try host.folder([("f", host.file("mine"))])
        let root = try host.folder([("inner", inner)])
        host.bringAll()
        var blocks = RunBlocks(of: Node.plan([root.cid]), from: host.content)
        #expect(throws: RunBlocks.Fault.self) { try blocks.handOver([secret.cid], ahead: []) }
        #expect(throws: RunBlocks.Fault.self) { try blocks.handOver([root.cid], ahead: [secret.cid]) }
        #expect(throws: RunBlocks.Fault.self) { try blocks.handOver([inner.cid], ahead: []) }
        #expect(!blocks.mayWant([.node(root.cid), .bytes(inner.cid, 0..<1)]))
        #expect(try blocks.handOver([root.cid], ahead: []).map(\.cid) == [root.cid])
        #expect(blocks.mayWant([.node(root.cid), .listing(inner.cid), .block(inner.cid)]))
        #expect(throws: RunBlocks.Fault.self) { try blocks.handOver([host.file("mine").cid], ahead: []) }
        #expect(try blocks.handOver([inner.cid], ahead: []).count == 1)
        #expect(try blocks.handOver([host.file("mine").cid], ahead: []).first?.bytes == Array("mine".utf8))
        #expect(throws: RunBlocks.Fault.self) { try blocks.handOver([secret.cid], ahead: []) }
    }

    @Test("A node names no more blocks to a run than it may, and answers with no more than fits")
    func bounds() throws {
        let host = FileHost()
        let parts = (0..<7).map { number in host.file([UInt8](repeating: UInt8(number), count: 900_000)) }
        let small = (0..<70).map { host.file("small \($0)") }
        let folder = try host.folder((parts + small).enumerated().map { ("\($0.offset)", $0.element) })
        host.bringAll()
        var blocks = RunBlocks(of: Node.plan([folder.cid]), from: host.content)
        _ = try blocks.handOver([folder.cid], ahead: [])
        let most = RunBlocks.answerBytesMax / 900_000
        #expect(try blocks.handOver(parts.map(\.cid), ahead: []).count == most)
        #expect(try blocks.handOver([parts[0].cid], ahead: [small[0].cid]).count == 1, "it is full for what is ahead")
        #expect(try blocks.handOver([small[0].cid], ahead: [parts[0].cid, small[1].cid]).count == 1)
        #expect(try blocks.handOver([small[0].cid], ahead: [small[1].cid]).count == 2)
        let all = small.map(\.cid)
        #expect(try blocks.handOver([all[0]], ahead: Array(all[1..<RunBlocks.askedMax])).count == RunBlocks.askedMax)
        #expect(throws: RunBlocks.Fault.self) {
            try blocks.handOver([all[0]], ahead: Array(all[1...RunBlocks.askedMax]))
        }
        let names = Set((parts + small).map(\.cid)).count + 1
        var full = RunBlocks(of: Node.plan([folder.cid]), from: host.content, namesMax: names)
        #expect(try full.handOver([folder.cid], ahead: []).count == 1)
        var over = RunBlocks(of: Node.plan([folder.cid]), from: host.content, namesMax: names - 1)
        #expect(throws: RunBlocks.Fault.self) { try over.handOver([folder.cid], ahead: []) }
    }

    private static let kibibyte = 1_024
    private static let longest: [(kind: String, bytes: Int)] = [
        ("progress", kibibyte), ("burnt", kibibyte), ("input", kibibyte), ("reads", kibibyte),
        ("blocks", 64 * kibibyte), ("fetch", 256 * kibibyte), ("log", 9 * kibibyte), ("keep", 2_049 * kibibyte),
        ("store", 100 + kibibyte), ("ended", 65_536 * kibibyte),
    ]

    @Test("A message is no longer than its kind may be, whatever length it says", arguments: longest)
    func kinds(kind: String, bytes: Int) {
        #expect(RunRequest.bytesMax(ofKind: kind, outputBytesMax: 100) == bytes)
        #expect(RunRequest.bytesMax(ofKind: kind + "s", outputBytesMax: 100) == nil)
        let head: [UInt8] = [0xA1, 0x60 | UInt8(kind.utf8.count)]
        let start: [UInt8] = head + Array(kind.utf8) + [0xA0]
        #expect(RunLink.kind(start) == kind)
        let others: [[UInt8]] = [
            [], [0xA1], [0xA1, 0x78, 0x05], [0xA1, 0x77, 0x61], [0xA2] + Array(start.dropFirst()),
        ]
        for other in others { #expect(RunLink.kind(other) == nil) }
    }
}
