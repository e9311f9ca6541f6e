import Crypto
import Foundation
import IPLD
import Multiformats
import Testing

/// The CIDs that kubo gives to trees, in both profiles of IPIP-499.
@Suite struct UnixFSTreeTests {
    /// A tree in few words; `scripts/unixfs-vectors.py` says what they mean.
    private indirect enum Tree: Decodable {
        case text(String)
        case link(String)
        case random(bytes: Int, seed: String)
        case folder([(name: String, tree: Tree)])
        case repeated(Int, prefix: String)
        case many(Int, nameBytes: Int, lastNameBytes: Int, seed: String)

        private enum Key: String, CodingKey {
            case text, link, bytes, seed, folder, repeated, prefix, count, nameBytes, lastNameBytes
        }

        init(from decoder: any Decoder) throws {
            let fields = try decoder.container(keyedBy: Key.self)
            if let text = try fields.decodeIfPresent(String.self, forKey: .text) {
                self = .text(text)
            } else if let target = try fields.decodeIfPresent(String.self, forKey: .link) {
                self = .link(target)
            } else if let bytes = try fields.decodeIfPresent(Int.self, forKey: .bytes) {
                self = .random(bytes: bytes, seed: try fields.decode(String.self, forKey: .seed))
            } else if let count = try fields.decodeIfPresent(Int.self, forKey: .repeated) {
                self = .repeated(count, prefix: try fields.decode(String.self, forKey: .prefix))
            } else if let count = try fields.decodeIfPresent(Int.self, forKey: .count) {
                self = .many(
                    count, nameBytes: try fields.decode(Int.self, forKey: .nameBytes),
                    lastNameBytes: try fields.decode(Int.self, forKey: .lastNameBytes),
                    seed: try fields.decode(String.self, forKey: .seed))
            } else {
                self = .folder(try fields.decode([Entry].self, forKey: .folder).map { ($0.name, $0.tree) })
            }
        }

        /// A name and what it names, as a list of two.
        private struct Entry: Decodable {
            let name: String
            let tree: Tree

            init(from decoder: any Decoder) throws {
                var fields = try decoder.unkeyedContainer()
                name = try fields.decode(String.self)
                tree = try fields.decode(Tree.self)
            }
        }
    }

    private struct Vectors: Decodable {
        struct Row: Decodable {
            let name: String
            let profile: String
            let cid: String
            let by: String
            let tree: Tree
        }

        let rows: [Row]
    }

    /// A file of more bytes takes minutes in a debug build.
    private static let bytesMax =
        ProcessInfo.processInfo.environment["MESH_UNIXFS_LARGE"] == nil ? 64 << 20 : Int.max

    /// The bytes of ChaCha20 with the hash of a seed as key, from a block on; the first block is the one that the
    /// authenticated cipher keeps for itself.
    private struct RandomBytes {
        private let key: SymmetricKey
        private let bytes: [UInt8]

        init(_ seed: String, count: Int) throws {
            key = SymmetricKey(data: SHA256.hash(data: Data(seed.utf8)))
            let box = try ChaChaPoly.seal(
                Data(count: max(0, count - 64)), using: key, nonce: ChaChaPoly.Nonce(data: Data(count: 12)))
            bytes = Array((Self.firstBlock(key) + [UInt8](box.ciphertext)).prefix(count))
        }

        var all: [UInt8] { bytes }

        /// RFC 8439 section 2.3, with counter and nonce 0.
        private static func firstBlock(_ key: SymmetricKey) -> [UInt8] {
            let words: [UInt32] = key.withUnsafeBytes { raw in
                (0..<8).map { raw.loadUnaligned(fromByteOffset: 4 * $0, as: UInt32.self).littleEndian }
            }
            let start: [UInt32] = [0x6170_7865, 0x3320_646E, 0x7962_2D32, 0x6B20_6574] + words + [0, 0, 0, 0]
            var state = start
            func quarter(_ a: Int, _ b: Int, _ c: Int, _ d: Int) {
                for (left, right, target, bits) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)] {
                    state[left] &+= state[right]
                    let mixed = state[target] ^ state[left]
                    state[target] = mixed << UInt32(bits) | mixed >> UInt32(32 - bits)
                }
            }
            for _ in 0..<10 {
                for column in 0..<4 { quarter(column, 4 + column, 8 + column, 12 + column) }
                for column in 0..<4 {
                    quarter(column, 4 + (column + 1) % 4, 8 + (column + 2) % 4, 12 + (column + 3) % 4)
                }
            }
            return zip(state, start).flatMap { word, first in
                let sum = word &+ first
                return [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: sum >> UInt32($0)) }
            }
        }
    }

    private func file(_ bytes: [UInt8], _ profile: UnixFSProfile) -> UnixFSBuilt {
        var builder = UnixFSFileBuilder(profile: profile)
        for start in stride(from: 0, to: bytes.count, by: profile.chunkBytes) {
            _ = builder.append(Array(bytes[start..<min(bytes.count, start + profile.chunkBytes)]))
        }
        return builder.finish().file
    }

    private func folder(_ trees: [(name: String, tree: Tree)], _ profile: UnixFSProfile) throws -> UnixFSBuilt {
        let entries = try trees.map { name, tree in
            let built = try build(tree, profile)
            return UnixFSEntry(name: Array(name.utf8), cid: built.cid, totalBytes: built.treeBytes)
        }
        return try UnixFSDirectoryBuilder.directory(entries, profile: profile).directory
    }

    private func build(_ tree: Tree, _ profile: UnixFSProfile) throws -> UnixFSBuilt {
        switch tree {
        case .text(let text): return file(Array(text.utf8), profile)
        case .random(let bytes, let seed): return file(try RandomBytes(seed, count: bytes).all, profile)
        case .link(let target): return UnixFSDirectoryBuilder.symbolicLink(to: Array(target.utf8)).link
        case .folder(let trees): return try folder(trees, profile)
        case .repeated(let count, let prefix):
            return try folder((0..<count).map { ("\(prefix)\($0)", .text("\(prefix)\($0)")) }, profile)
        case .many(let count, let nameBytes, let lastNameBytes, let seed):
            let alphabet = Array("abcdefghijklmnopqrstuvwxyz01234567890-_".utf8)
            var random = try RandomBytes(seed, count: count * nameBytes + lastNameBytes).all[...]
            let content = file(Array("x".utf8), profile)
            let entries = (0..<count).map { number in
                let name = random.prefix(number == count - 1 ? lastNameBytes : nameBytes)
                random = random.dropFirst(name.count)
                return UnixFSEntry(
                    name: name.map { alphabet[Int($0) % alphabet.count] }, cid: content.cid,
                    totalBytes: content.treeBytes)
            }
            return try UnixFSDirectoryBuilder.directory(entries, profile: profile).directory
        }
    }

    @Test func treesHaveTheCIDsThatOthersGiveThem() throws {
        let rows = try Fixtures.json("unixfs_trees", as: Vectors.self).rows
        var counts: [String: Int] = [:]
        for row in rows {
            if case .random(let bytes, _) = row.tree, bytes > Self.bytesMax {
                print("ConformanceTests: \(row.name) has \(bytes) bytes, tested with MESH_UNIXFS_LARGE=1")
                continue
            }
            let profile = try #require(UnixFSProfile.named(row.profile))
            let cid = profile.form(of: try build(row.tree, profile).cid)
            #expect(cid.text == row.cid, "\(row.name) in \(row.profile), by \(row.by)")
            counts[row.profile, default: 0] += 1
        }
        #expect(counts["unixfs-v0-2015"] ?? 0 >= 30 && counts["unixfs-v1-2025"] ?? 0 >= 20, "\(counts)")
    }
}
