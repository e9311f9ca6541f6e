import ArgumentParser
import Foundation
import LogTesting
import MerkleLog
import Multiformats
import NodeAPI
import NodeSetup
import PeerIdentity
import PlanetaryMesh
import Receipts
import SignedObjects

/// A log of what a node anchored, had by a fresh node from its author: both nodes whole, in this process, over loopback
/// TCP, Noise and Yamux, each with a database of its own.
struct LogBenchmarks: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logs", abstract: "A fresh node has another's log; its ranges and proofs checked alone.")

    @Option(help: "Entries of the log.") var entries = 10_000
    @Option(help: "Fresh nodes, one after the other.") var runs = 5
    @Flag(help: "Print JSON.") var json = false

    func validate() throws {
        guard entries > 0, runs > 0 else { throw ValidationError("All numbers must be positive.") }
    }

    func run() async throws {
        var author = LogAuthor()
        try author.grow(to: entries)
        let ranges = try stride(from: 0, to: entries, by: 512).map {
            (asked: author.request(from: $0), given: try author.range($0..<min(entries, $0 + 512)))
        }
        let bytes = author.entries.reduce(0) { $0 + $1.bytes.count }
        let proofs = try (0..<entries).shuffled().prefix(200).map { number in
            let hashes = try author.hashes(of: number)
            return LogProof(
                extra: author.entries[number].bytes, index: UInt64(number),
                hashes: stride(from: 0, to: hashes.count, by: MerkleHash.byteCount).compactMap {
                    MerkleHash(bytes: Array(hashes[$0..<$0 + MerkleHash.byteCount]))
                }, note: try author.note()
            ).bytes
        }
        var next = 0
        try Measurement.report(
            [
                Measurement(
                    "log of \(entries) entries: had", bytes: bytes, microseconds: try await fetched(author)),
                try Measurement.take("the same: checked alone", bytes: bytes, samples: 10, batch: 1) {
                    guard var log = FollowedLog(origin: author.origin) else { throw Fault.wrong }
                    for range in ranges {
                        guard case .grown(let grown, _) = try log.taking(range.given, asked: range.asked) else {
                            throw Fault.wrong
                        }
                        log = grown
                    }
                    guard log.isComplete, log.tree == author.tree else { throw Fault.wrong }
                },
                try Measurement.take("proof of an entry: checked", samples: 100) {
                    next = (next + 1) % proofs.count
                    _ = try LogEvidence(verifying: proofs[next])
                },
            ], asJSON: json)
    }

    private enum Fault: Error, CustomStringConvertible {
        /// What was measured did not do what it should.
        case wrong

        var description: String { "a range of an honest author was not taken" }
    }

    /// From the start of a node without anything to the last entry on its disk.
    private func fetched(_ author: LogAuthor) async throws -> [Double] {
        let folder = URL(fileURLWithPath: "/tmp/mesh-bench-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: folder) }
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let home = folder.appendingPathComponent("author").path
        try await author.write(to: home)
        let giver = try await BenchNode.open(home, author.identity)
        return try await BenchNode.running(giver) {
            let entrance = try await giver.status().addresses.map { try Multiaddr(parsing: $0) }
            var times: [Double] = []
            for number in 0..<runs {
                let fresh = try await BenchNode.open(folder.appendingPathComponent("\(number)").path, .generate()) {
                    $0.bootstrap = entrance
                    $0.log.follow = [author.identity.did.text]
                }
                times.append(try await BenchNode.running(fresh) { try await microseconds(until: fresh, has: author) })
            }
            return times
        }
    }

    private func microseconds(until node: MeshNode, has author: LogAuthor) async throws -> Double {
        let clock = ContinuousClock()
        let begunAt = clock.now
        while try await node.syncLogs(of: author.identity.did.text).first?.log.entries != UInt64(entries) {
            try await clock.sleep(for: .milliseconds(5))
        }
        return Double((clock.now - begunAt) / .microseconds(1))
    }
}
