import Determinism
import Foundation
import IPLD
import JobMarket
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import NodeSetup
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// Names and numbers from peers, users and earlier versions that once were taken and should not have been.
@Suite("Hostile names and numbers", .serialized)
struct HostileNameTests {
    @Test("A name of a megabyte that is one letter gets a short answer")
    func accents() async throws {
        let letter = "e" + String(repeating: "\u{301}", count: 500_000)
        let messages = [
            try DAGCBOR.encode(.map(try IPLDMap([.init(key: letter, value: .map([:]))]))),
            try DAGCBOR.encode(.map(["JobSettledV1": .map(["settlement": .string(letter)])])),
            try Self.fixture("combining-variant-name"),
        ]
        try await NodeMesh.run(prices: []) { mesh in
            for bytes in messages {
                try await HostilePeer.meeting(mesh.nodes) { peer in
                    // A longer reply than 4 KiB would be none.
                    guard case .refused(let refusal)? = try await peer.send(bytes, to: mesh.originator) else {
                        Issue.record("no refusal")
                        return
                    }
                    #expect([.known(.unknownVariant), .known(.malformed)].contains(refusal.code))
                    #expect(refusal.text.utf8.count <= 1024)
                }
            }
            let counters = try await mesh.originator.status().counters
            #expect(counters.first { $0.name == "messages_unknown" }?.value ?? 0 >= 1)
            for peer in try await mesh.originator.store.peers() {
                #expect(peer.note.utf8.count <= 200)
            }
        }
    }

    private static func fixture(_ name: String) throws -> [UInt8] {
        let file = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "Vectors/cases/\(name).hex")
        let text = try String(contentsOf: file, encoding: .utf8)
        return try Multibase.decodeWithoutPrefix(text.trimmingCharacters(in: .whitespacesAndNewlines), .base16)
    }

    @Test("Jobs dated at the bounds of the numbers are not bid on, and their executor goes on")
    func dates() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let executor = mesh.nodes[0]
            let dates: [UInt64] = [1 << 53, (1 << 63) - 60_001, 1 << 63, (1 << 63) + 1000, .max - 60_000]
            try await HostilePeer.meeting(mesh.nodes) { peer in
                for date in dates {
                    let submittedAt = UnixMilliseconds(date)
                    let manifest = JobManifest(
                        params: MeshJobParams(wasmCID: CID.hashing([1], codec: .raw)), originatorDID: peer.identity.did,
                        originatorPeerID: peer.identity.peerID, originatorAddresses: [],
                        nonce: [UInt8](repeating: 1, count: 16), submittedAt: submittedAt,
                        biddingDeadline: submittedAt, expiresAt: submittedAt.advanced(milliseconds: 60_000))
                    let signed = try SignedObject.sign(manifest, with: peer.identity)
                    let announcement = JobAnnouncementV1(
                        jobID: JobID(signed.cid), manifest: signed.bytes, originatorPeerID: peer.identity.peerID,
                        providerAddresses: [], expiresAt: NodeClock.wallClock.advanced(milliseconds: 60_000))
                    try await peer.publish(
                        try MeshProtocolMessage.jobAnnouncement(announcement).encoded(),
                        topic: MeshTopics.jobAnnouncements, to: mesh.nodes)
                }
                let deadline = NodeClock.now.advanced(milliseconds: 30_000)
                var (declined, noted) = (UInt64(0), UInt64(0))
                while NodeClock.now < deadline, declined < 2 || noted < 3 {
                    declined = try await executor.count("market_declined_job_submitted_in_the_future")
                    noted = try await executor.count("misbehaviours")
                }
                #expect(declined == 2, "what a store holds is judged by the true clock")
                #expect(noted == 3, "what it does not hold is no manifest")
                #expect(try await executor.count("jobs_executed_open") == 0)
            }
            let result = try await mesh.result(of: try await mesh.submit(try Assembler.command("nop")))
            #expect(result.ending == .succeeded, "\(result.detail)")
        }
    }

    @Test("A module and an input handed in as Qm… run under the CIDs of version 1, and their receipt is paid")
    func version0() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let module = try Assembler.command("nop")
            let (moduleQm, moduleV1) = try await mesh.storeAsVersion0(module)
            let (inputQm, inputV1) = try await mesh.storeAsVersion0(Array("input".utf8))
            var submission = JobSubmission(moduleCID: moduleQm.text)
            submission.inputs = [NamedText(name: "stdin", text: inputQm.text)]
            submission.policy.sufficientBids = 1
            let job = try CID(named: try await mesh.originator.submit(submission).jobID, "job")
            let result = try await mesh.result(of: job)
            #expect(result.ending == .succeeded, "\(result.detail)")
            #expect(result.paid ?? 0 >= 10, "the honest receipt is paid")
            let receipt = try await mesh.originator.receipt(
                try CID(named: try #require(result.receiptCID), "receipt"))
            #expect(receipt.moduleCID == moduleV1.text)
            #expect(receipt.inputs.map(\.cid) == [inputV1.text])
            for form in [CID.hashing(module, codec: .dagJSON), CID.hashing(module, codec: .libp2pKey)] {
                do throws(NodeServiceError) {
                    _ = try await mesh.originator.submit(JobSubmission(moduleCID: form.text))
                    Issue.record("\(form) was taken")
                } catch {
                    #expect(error.code == .invalidRequest && error.hint?.contains("mesh add") == true, "\(error)")
                }
            }
        }
    }

    @Test("Prices at the top of config.json's range leave the node alive; its bid is refused as too dear")
    func prices() async throws {
        try await NodeMesh.run(prices: [UInt64(Int64.max)]) { _, configuration in
            configuration.executor.pricePerMillionFuel = UInt64(Int64.max)
        } _: { mesh in
            let job = try await mesh.submit(try Assembler.command("nop")) { submission in
                submission.budget = 1_000
                submission.policy.allowedDIDs = [mesh.nodes[0].identity.did.text]
                submission.policy.sufficientBids = 64
                submission.policy.bidWindowMilliseconds = 0
            }
            let deadline = NodeClock.now.advanced(milliseconds: 30_000)
            var told = false
            while !told, NodeClock.now < deadline {
                told = try await mesh.originator.explain(job).lines.contains { line in
                    line.text.contains("at most 9,223,372,036,854,775,807 tokens")
                }
            }
            #expect(told)
            #expect(mesh.nodes.allSatisfy { node in node.end.failure == nil })
        }
    }

    @Test("A journal that does not read is left out of a start, its rows stay, and the others go on")
    func poisonedJournal() async throws {
        var identity: Identity?
        var jobs: [CID] = []
        try await NodeMesh.run(prices: [10]) { mesh in
            identity = mesh.originator.identity
            for _ in 0..<2 {
                // For nobody who is there, and with a window that runs its course: neither is over before the node is.
                let job = try await mesh.submit(try Assembler.command("nop")) { submission in
                    submission.policy.allowedDIDs = [mesh.originator.identity.did.text]
                    submission.policy.bidWindowMilliseconds = 20_000
                }
                jobs.append(job)
            }
            let bad = JournalEntry(jobID: jobs[0], role: .originator, kind: "announced", at: 1, bytes: [0xFF])
            try await mesh.originator.store.commit([.journal(bad)])
        } afterwards: { folder in
            let path = folder.appendingPathComponent("1").path
            let node = try await NodeMesh.open(path, NodeMesh.loopback(), identity: try #require(identity))
            #expect(await node.knows(jobs[1]))
            #expect(await !node.knows(jobs[0]))
            #expect(node.parts.tallies.all["journals_left_out"] == 1)
            let rows = try await node.store.journal(of: jobs[0], role: .originator)
            #expect(rows.contains { $0.bytes == [0xFF] }, "its rows are kept")
            #expect(rows.count > 1)
        }
    }
}

extension MeshNode {
    fileprivate func knows(_ job: CID) -> Bool { core.market.originatedJob(JobID(job)) != nil }
}

extension NodeMesh {
    /// Keeps a file as IPFS would, under its CID of version 0 only; that one, and the one of version 1.
    fileprivate func storeAsVersion0(_ bytes: [UInt8]) async throws -> (CID, CID) {
        var data = ProtobufWriter()
        data.varint(1, 2)
        data.bytes(2, bytes)
        data.varint(3, UInt64(bytes.count))
        let block = DAGPBNode(links: [], data: data.bytes).encoded()
        let version1 = CID.hashing(block, codec: .dagPB)
        let version0 = try CID(bytes: version1.multihash.bytes)
        try await originator.store.commit([.block(cid: version0, bytes: block)])
        return (version0, version1)
    }
}
