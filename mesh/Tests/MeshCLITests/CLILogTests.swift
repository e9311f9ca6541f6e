import ArgumentParser
import Foundation
import MerkleLog
import MeshTypes
import Multiformats
import NodeAPI
import P2PTesting
import PeerIdentity
import Receipts
import SignedObjects
import Testing

@testable import MeshCLI

/// `mesh dag`: what is listed, and what files show.
@Suite struct CLILogTests {
    private let folder: TestFolder
    private let identity: Identity
    private let receipt = CID.hashing([1], codec: .dagCBOR)

    init() throws {
        folder = try TestFolder()
        identity = try Identity(seed: [UInt8](repeating: 3, count: 32))
    }

    /// The file of a proof of the first entry, under a head with some more leaves.
    private func proof(_ name: String, more leaves: [UInt8] = []) throws -> String {
        let entry = try SignedObject.sign(
            AnchorEntry(
                nodeDID: identity.did, parents: [], payload: [receipt], scope: "global", height: 0,
                recordedAt: UnixMilliseconds(1_700_000_000_000), size: 0, root: MerkleTree().root.bytes),
            with: identity)
        var tree = MerkleTree()
        var hashes: [HashPlace: MerkleHash] = [:]
        for (index, leaf) in ([.leaf(entry.cid.bytes)] + leaves.map { .leaf([$0]) } as [MerkleHash]).enumerated() {
            for (level, hash) in tree.append(leaf).enumerated() {
                hashes[HashPlace(level: UInt64(level), index: UInt64(index) >> UInt64(level))] = hash
            }
        }
        let origin = AnchorEntry.logName(of: identity.did, scope: "global", openedAt: nil)
        let checkpoint = try #require(Checkpoint(origin: origin, head: TreeHead(tree)))
        let plan = try #require(ProofPlan.inclusion(of: 0, in: tree.size))
        let text = LogProof(
            extra: entry.bytes, index: 0, hashes: try #require(plan.proof(of: hashes)),
            note: try checkpoint.signed(with: identity)
        ).bytes
        try Data(text).write(to: URL(filePath: "\(folder.path)/\(name)"))
        return "\(folder.path)/\(name)"
    }

    /// A file with the checkpoint of a log with an entry, cosigned by witnesses at some times.
    private func cosigned(
        _ name: String, _ signers: [(Identity, UInt64)], isForged: Bool = false, scope: String = "global",
        openedAt: UInt64? = nil
    ) throws -> String {
        var tree = MerkleTree()
        _ = tree.append(.leaf([1]))
        let origin = AnchorEntry.logName(
            of: identity.did, scope: scope, openedAt: openedAt.map { UnixMilliseconds($0) })
        var note = try #require(Checkpoint(origin: origin, head: TreeHead(tree))).signed(with: identity)
        for (signer, seconds) in signers {
            let signed = isForged ? note.text + "x" : note.text
            note.signatures.append(
                .init(by: try key(signer), try Cosignature.sign(signed, at: seconds, with: signer).bytes))
        }
        try Data(note.bytes).write(to: URL(filePath: "\(folder.path)/\(name)"))
        return "\(folder.path)/\(name)"
    }

    private func key(_ signer: Identity) throws -> NoteKey {
        try #require(NoteKey(name: "w.example/\(signer.did.text)", kind: .cosignature, publicKey: signer.publicKey))
    }

    @Test func enoughWitnessesHaveToHaveCosigned() async throws {
        let signers = try (10..<14).map { try Identity(seed: [UInt8](repeating: $0, count: 32)) }
        let asked = try signers.flatMap { ["--witness", try key($0).text] }
        let now = UInt64(Date().timeIntervalSince1970)
        let three = try cosigned("three", signers.prefix(3).map { ($0, now) })
        let two = try cosigned("two", signers.prefix(2).map { ($0, now) })
        let old = try cosigned("old", signers.map { ($0, now - 90_000) })
        let ahead = try cosigned("ahead", signers.map { ($0, now + 1_000) })
        let forged = try cosigned("forged", signers.map { ($0, now) }, isForged: true)
        // Of four, one may be in league with the author, so three are needed.
        for (file, options, code) in [
            (three, [], 0), (two, [], 241), (old, [], 241), (old, ["--max-age", "100000"], 0), (ahead, [], 241),
            (forged, [], 241), (three, ["--quorum", "4"], 241), (three, ["--faulty", "0"], 0),
        ] as [(String, [String], Int32)] {
            #expect(try await status([file] + asked + options) == code, "\(file) \(options)")
        }
        #expect(try await status([two]) == 0, "nobody asked for witnesses")
    }

    @Test func theDateIsTheOneThatLiarsCannotMakeEarlier() throws {
        let signers = try (10..<14).map { try Identity(seed: [UInt8](repeating: $0, count: 32)) }
        // The first says that it saw the head long before the others.
        let file = try cosigned("dated", Array(zip(signers, [9_000, 9_500, 9_600, 9_700])))
        let evidence = try LogEvidence(verifying: Array(try Data(contentsOf: URL(filePath: file))))
        for (faulty, seenBy) in [(0, 9_000), (1, 9_500)] as [(Int, UInt64)] {
            let quorum = try #require(WitnessQuorum(of: 4, faulty: faulty, needed: 3))
            var report = LogCheckReport()
            report.add(file, evidence)
            report.require(
                WitnessOptions.Wanted(keys: try signers.map(key), quorum: quorum, ageSecondsMax: 5_000),
                of: [(file, evidence)], now: Date(timeIntervalSince1970: 10_000))
            #expect(report.verdict == .holds && report.files.map(\.seenBy) == [seenBy])
            #expect(report.files.map(\.cosignatures) == [4] && report.text.contains("cosigned by 4 of the witnesses"))
        }
    }

    @Test func quorumsThatTwoHistoriesCouldHaveAreRefused() throws {
        let signers = try (10..<14).map { try Identity(seed: [UInt8](repeating: $0, count: 32)) }
        let asked = try signers.flatMap { ["--witness", try key($0).text] }
        for options in [
            asked + ["--quorum", "2"], asked + ["--quorum", "5"], asked + ["--faulty", "2", "--quorum", "3"],
            asked + ["--faulty", "\(Int.max)"], asked + ["--faulty=\(Int.min)"], asked + ["--quorum=\(Int.min)"],
            asked + ["--quorum", "\(Int.max)"], ["--quorum", "1"], ["--witness", "x"],
            asked + ["--witness", try key(signers[0]).text],
            try (20..<37).flatMap {
                ["--witness", try key(try Identity(seed: [UInt8](repeating: $0, count: 32))).text]
            },
        ] {
            #expect(throws: (any Error).self) { try DAGGroup.Verify.parse(["-"] + options) }
        }
        #expect(throws: Never.self) { try DAGGroup.Verify.parse(["-"] + asked + ["--faulty", "1", "--quorum", "3"]) }
    }

    @Test func whoSawAnEntryIsSaid() {
        var entry = LogEntryView(number: 1, entryCID: "e", anchors: ["a"], recordedAt: 0)
        #expect(DAGGroup.witnesses(of: entry).isEmpty)
        entry.cosignatures = [
            CosignatureView(witness: "late", size: 3, seconds: 1_800_000_000),
            CosignatureView(witness: "first", size: 2, seconds: 1_700_000_000),
        ]
        #expect(DAGGroup.witnesses(of: entry).hasPrefix("first and 1 more saw it there 2023-11-14"))
    }

    private func status(_ arguments: [String]) async throws -> Int32 {
        try await DAGGroup.Verify.parse(arguments).perform(Console()).rawValue
    }

    @Test func filesOfOneHistoryVerifyAndTwoHistoriesDoNot() async throws {
        let (one, same) = (try proof("one", more: [1, 2]), try proof("same", more: [1, 2]))
        let (fork, short) = (try proof("fork", more: [1, 3]), try proof("short"))
        #expect(try await status([one]) == 0)
        #expect(try await status([one, same, "--receipt", receipt.text, "--author", identity.did.text]) == 0)
        #expect(try await status([one, fork]) == 241)
        // The proof of the first entry shows the tree of one.
        #expect(try await status([one, short]) == 0)
        #expect(try await status([one, try proof("longer", more: [1, 2, 3])]) == 247)
        #expect(try await status([one, short, fork]) == 241)
    }

    @Test func twoLogsOfOneAuthorAreNoOneHistory() async throws {
        let (one, again) = (try cosigned("one", []), try cosigned("again", [], openedAt: 7))
        let village = try cosigned("village", [], scope: "village")
        for (files, word) in [([one, again], "began one again"), ([one, village], "two scopes")] {
            var report = LogCheckReport()
            report.compare(
                try files.map { ($0, try LogEvidence(verifying: Array(try Data(contentsOf: URL(filePath: $0))))) })
            #expect(report.verdict == .unknown && report.text.contains(word))
            #expect(try await status(files) == 247)
        }
    }

    @Test func aProofOfTwoHistoriesIsOneFile() async throws {
        let heads = try [proof("one", more: [1]), proof("two", more: [2])].map {
            Array(try Data(contentsOf: URL(filePath: $0)))
        }
        let fork = try #require(LogFork(heads[0], heads[1]))
        for (name, bytes, verdict) in [
            ("whole", fork.bytes, .contradiction), ("cut", Array(fork.bytes.dropLast()), .fails),
        ] as [(String, [UInt8], LogCheckReport.Verdict)] {
            let file = "\(folder.path)/\(name).fork"
            try Data(bytes).write(to: URL(filePath: file))
            #expect(try await status([file]) == 241)
            var report = LogCheckReport()
            report.add(file, fork: bytes)
            #expect(report.verdict == verdict)
        }
    }

    @Test func logsOfOthersAreListed() {
        var log = FollowedLogView(author: "did:key:z")
        (log.entries, log.bytes, log.headEntries, log.isFollowed) = (1_234, 5_000, 2_000, true)
        #expect(DAGGroup.table([log]).contains("1,234") && DAGGroup.state(log) == "behind")
        log.obstacle = "no connected node has the log"
        #expect(DAGGroup.state(log) == log.obstacle)
        let line = DAGGroup.line(LogSyncView(log: log, newEntries: 1_000, newBytes: 5_000, milliseconds: 500))
        #expect(line.contains("1,000 new entries") && line.contains("2,000 a second"))
        log.hasForked = true
        #expect(DAGGroup.state(log) == "told two histories")
        (log.hasForked, log.isFollowed, log.entries) = (false, false, 0)
        #expect(DAGGroup.state(log) == "heard of")
    }

    @Test func filesAboutSomethingElseDoNotVerify() async throws {
        let one = try proof("one")
        let other = CID.hashing([2], codec: .dagCBOR).text
        #expect(try await status([one, "--receipt", other]) == 241)
        #expect(try await status([one, "--author", "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"]) == 241)
        let broken = "\(folder.path)/broken"
        var bytes = [UInt8](try Data(contentsOf: URL(filePath: one)))
        bytes[bytes.count - 9] = bytes[bytes.count - 9] == 0x41 ? 0x42 : 0x41
        try Data(bytes).write(to: URL(filePath: broken))
        #expect(try await status([broken]) == 241)
    }

    @Test func soManyFilesAreCompared() throws {
        let files = [String](repeating: "-", count: DAGGroup.Verify.filesMax)
        #expect(throws: Never.self) { try DAGGroup.Verify.parse(files) }
        #expect(throws: (any Error).self) { try DAGGroup.Verify.parse(files + ["-"]) }
    }

    @Test func whatWasAnchoredIsListed() {
        let entries = [
            LogEntryView(number: 1_234, entryCID: "e", anchors: ["a", "b", "c"], recordedAt: 1_700_000_000_000)
        ]
        let text = DAGGroup.listing(entries)
        #expect(text.contains("1,234") && text.contains("a, b and 1 more"))
    }
}
