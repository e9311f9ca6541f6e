import Multiformats
import Testing

@testable import IPLD

@Suite struct UnixFSDirectoryTests {
    private let names = (0..<700).map { "name \($0)" }

    private func sorted(_ entries: [UnixFSEntry]) -> [UnixFSEntry] {
        entries.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    }

    /// Source: the tests of github.com/spaolacci/murmur3.
    @Test func namesAreHashedAsElsewhere() {
        for (text, hash) in [
            ("", 0), ("hello", 0xCBD8_A7B3_41BD_9B02), ("hello, world", 0x342F_AC62_3A5E_BC8E),
            ("19 Jan 2038 at 3:14:07 AM", 0xB89E_5988_B737_AFFC),
            ("The quick brown fox jumps over the lazy dog.", 0xCD99_481F_9EE9_02C9),
        ] as [(String, UInt64)] {
            #expect(UnixFSShard.hash(Array(text.utf8)) == hash)
        }
    }

    @Test func whatOthersWriteHasTheSameCIDs() throws {
        var table = BlockTable()
        let profile = UnixFSProfile.v0in2015
        #expect(
            profile.form(of: try table.directory([], profile).cid).text
                == "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn")
        #expect(
            profile.form(of: table.file([], profile).cid).text == "QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH")
        #expect(
            try table.directory([], .v1in2025).cid.text
                == "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354")
        #expect(
            table.file([], .v1in2025).cid.text == "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku")
    }

    @Test(arguments: [3, 5, 8, 10])
    func directoriesOverManyBlocksAreListedAndSearched(fanoutBits: Int) throws {
        var table = BlockTable()
        let profile = UnixFSProfile.tiny(rawLeaves: true, fanoutBits: fanoutBits)
        let entries = table.entries(names, profile)
        let directory = try table.directory(entries.shuffled(), profile)
        let root = try UnixFSBlock(try #require(table.block(directory.cid)), of: directory.cid)
        #expect(root.kind == .shard && root.treeBytes == directory.treeBytes)
        let listed = try #require(try table.list(directory.cid))
        #expect(sorted(listed) == sorted(entries))
        for name in ["name 0", "name 77", "name 699"] {
            let (found, blocksRead) = try table.find([name], from: directory.cid)
            #expect(found == entries[0].cid)
            #expect(blocksRead <= 64 / fanoutBits)
        }
        #expect(try table.find(["name 700"], from: directory.cid).found == nil)
    }

    @Test func missingShardsAreNamed() throws {
        var table = BlockTable()
        let profile = UnixFSProfile.tiny(rawLeaves: true)
        let directory = try table.directory(table.entries(names, profile), profile)
        var here = BlockTable()
        var fetched = 0
        while case .missing(let cids) = try UnixFSDirectoryReader.entries(of: directory.cid, from: here.block) {
            #expect(!cids.isEmpty && cids.count <= UnixFSLimits().missingMax)
            for cid in cids {
                here.blocks[cid] = table.block(cid)
                fetched += 1
            }
        }
        #expect(try here.list(directory.cid)?.count == names.count)
        // Only the directory's own blocks were asked for, each once.
        #expect(fetched == table.blocks.count - 1)
    }

    @Test func pathsGoThroughDirectories() throws {
        var table = BlockTable()
        let profile = UnixFSProfile.tiny(rawLeaves: true)
        let inner = try table.directory(table.entries(names, profile), profile)
        let outer = try table.directory(
            [UnixFSEntry(name: Array("inner".utf8), cid: inner.cid, totalBytes: inner.treeBytes)], profile)
        let file = table.file([1, 2, 3], profile)
        #expect(try table.find([], from: outer.cid).found == outer.cid)
        #expect(try table.find(["inner"], from: outer.cid).found == inner.cid)
        #expect(try table.find(["inner", "name 5"], from: outer.cid).found == file.cid)
        #expect(try table.find(["other", "name 5"], from: outer.cid).found == nil)
        #expect(throws: UnixFSError.notADirectory(file.cid)) {
            try table.find(["inner", "name 5", "more"], from: outer.cid)
        }
        #expect(throws: UnixFSError.tooDeep(depthMax: 256)) {
            try table.find(Array(repeating: "a", count: 257), from: outer.cid)
        }
    }

    @Test func aShardInTwoPlacesIsFoundOutAtOnce() throws {
        var table = BlockTable()
        let profile = UnixFSProfile.tiny(rawLeaves: true, fanoutBits: 8)
        // Seven levels, each with all its links to the one below it: 256^7 shards to walk, eight blocks to send.
        var below = try table.directory(table.entries(names, profile), profile).cid
        for _ in 0..<7 {
            let links = (0..<256).map {
                DAGPBNode.Link(cid: below, name: UnixFSShard.prefix($0, bits: 8), totalBytes: 1)
            }
            below = table.add(shard(links, field: [UInt8](repeating: 0xFF, count: 32)))
        }
        #expect(throws: UnixFSError.self) { try table.list(below) }
        var looks = 0
        _ = try? UnixFSDirectoryReader.entries(of: below) { cid in
            looks += 1
            return table.block(cid)
        }
        #expect(looks <= 9)
    }

    private func shard(_ links: [DAGPBNode.Link], field: [UInt8], fanout: UInt64 = 256, hash: UInt64 = 0x22) -> [UInt8]
    {
        var data = UnixFSData(type: UnixFSData.shardType)
        data.content = field
        data.hashFunction = hash
        data.fanout = fanout
        return DAGPBNode(links: links, data: data.encoded()).encoded()
    }

    @Test func shardsThatContradictThemselvesAreRefused() throws {
        var table = BlockTable()
        let file = table.file([1, 2, 3], .v1in2025).cid
        let name = Array("hello".utf8)
        let index = try #require(UnixFSShard.index(of: UnixFSShard.hash(name), bits: 8, depth: 0))
        let prefix = UnixFSShard.prefix(index, bits: 8)
        let good = DAGPBNode.Link(cid: file, name: prefix + name, totalBytes: 3)
        let field = UnixFSShard.bitField(of: [index])
        let whole = table.add(shard([good], field: field))
        #expect(try table.list(whole)?.map(\.name) == [name])
        // Leading zeros of the field say nothing.
        let padded = table.add(shard([good], field: [0, 0] + field))
        #expect(try table.list(padded) != nil)
        let empty = table.add(shard([], field: []))
        #expect(try table.list(empty) == [])
        let bad: [[UInt8]] = [
            shard([good], field: [1]), shard([good], field: []), shard([good, good], field: field),
            shard([good], field: field, fanout: 100), shard([good], field: field, fanout: 4),
            shard([good], field: field, fanout: 2048), shard([good], field: field, hash: 0x12),
            // Another name in that place, a prefix in small letters, an empty shard below, one that goes on for ever.
            shard([DAGPBNode.Link(cid: file, name: prefix + Array("hellO".utf8), totalBytes: 3)], field: field),
            shard([DAGPBNode.Link(cid: file, name: Array("cb".utf8) + name, totalBytes: 3)], field: field),
            shard([DAGPBNode.Link(cid: file, name: Array("C".utf8), totalBytes: 3)], field: field),
            shard([DAGPBNode.Link(cid: empty, name: prefix, totalBytes: 3)], field: field),
            shard([DAGPBNode.Link(cid: file, name: prefix, totalBytes: 3)], field: field),
        ]
        for block in bad {
            let cid = table.add(block)
            #expect(throws: UnixFSError.self, "\(block)") { try table.list(cid) }
        }
    }

    @Test func largeDirectoriesAreRefusedByName() throws {
        var table = BlockTable()
        let entries = table.entries(names, .v1in2025)
        var limits = UnixFSLimits()
        limits.entriesMax = names.count - 1
        #expect(throws: UnixFSError.tooManyEntries(entriesMax: limits.entriesMax)) {
            try UnixFSDirectoryBuilder.directory(entries, profile: .v1in2025, limits: limits)
        }
        for profile in [UnixFSProfile.v1in2025, .tiny(rawLeaves: true)] {
            let directory = try table.directory(entries, profile)
            #expect(throws: UnixFSError.tooManyEntries(entriesMax: limits.entriesMax)) {
                try UnixFSDirectoryReader.entries(of: directory.cid, limits: limits, from: table.block)
            }
            var short = UnixFSLimits()
            short.namesBytesMax = 1000
            #expect(throws: UnixFSError.namesTooLong(bytesMax: 1000)) {
                try UnixFSDirectoryReader.entries(of: directory.cid, limits: short, from: table.block)
            }
        }
        limits = UnixFSLimits()
        limits.directoryLinksMax = 100
        let directory = try table.directory(entries, .v1in2025)
        #expect(throws: UnixFSError.notUnixFS(directory.cid)) {
            try UnixFSDirectoryReader.entries(of: directory.cid, limits: limits, from: table.block)
        }
    }

    @Test func namesOccurOnceInWhatIsWrittenAndAnyhowInWhatIsRead() throws {
        var table = BlockTable()
        let entries = table.entries(["a", "b", "a"], .v1in2025)
        #expect(throws: UnixFSError.duplicateName([UInt8(ascii: "a")])) {
            try UnixFSDirectoryBuilder.directory(entries, profile: .v1in2025)
        }
        // Others may write such a directory, unsorted too; a path finds the first, and who makes files of it refuses.
        let odd = [[UInt8(ascii: "b")], [UInt8(ascii: "a")], [], Array("..".utf8), [0xFF], [UInt8(ascii: "a")]]
        let block = DAGPBNode(
            links: odd.map { DAGPBNode.Link(cid: entries[0].cid, name: $0, totalBytes: 9) },
            data: UnixFSData(type: UnixFSData.directoryType).encoded()
        ).encoded()
        let cid = table.add(block)
        #expect(try table.list(cid)?.map(\.name) == odd)
        #expect(try table.find(["a"], from: cid).found == entries[0].cid)
    }

    @Test func symbolicLinksAndOtherBlocksAreTold() throws {
        let (link, blocks) = UnixFSDirectoryBuilder.symbolicLink(to: Array("../x".utf8))
        let block = try UnixFSBlock(blocks[0].bytes, of: link.cid)
        #expect(block.kind == .symbolicLink(Array("../x".utf8)) && block.links.isEmpty)
        #expect(throws: UnixFSError.notADirectory(link.cid)) {
            try UnixFSDirectoryReader.entries(of: link.cid) { _ in blocks[0].bytes }
        }
        let other = CID.hashing([0xA0], codec: .dagCBOR)
        #expect(throws: UnixFSError.notUnixFS(other)) { try UnixFSBlock([0xA0], of: other) }
        let inline = CID(codec: .raw, multihash: .identity(of: [1, 2]))
        #expect(inline.ownBlock == [1, 2])
        var reader = UnixFSRangeReader(root: inline)
        #expect(try reader.read(0..<9) { _ in nil } == .here([1, 2]))
    }
}
