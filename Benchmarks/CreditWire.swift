import Credit
import Foundation
import IPLD
import LibP2P
import Logging
import MerkleLog
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import PlanetaryMesh
import SignedObjects

/// An issuer's node, and members with a swarm each.
struct CreditWire: Sendable {
    let book: CreditBook
    let node: MeshNode
    private let swarms: [DID: Swarm]

    /// Runs an issuer and its members as long as `body` needs them.
    static func run<Value: Sendable>(_ body: @Sendable (CreditWire) async throws -> Value) async throws -> Value {
        let folder = try CreditBenchmarks.folder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let book = CreditBook(issuer: .generate())
        let node = try await BenchNode.open(folder.path, book.issuer)
        _ = try await node.found(book.founding)
        let address = try await node.status().addresses.map { try Multiaddr(parsing: $0) }
        var logger = Logger(label: "benchmark")
        logger.logLevel = .critical
        var swarms: [DID: Swarm] = [:]
        for member in book.members + book.officers {
            swarms[member.did] = Swarm(configuration: SwarmConfiguration(), identity: member, logger: logger)
        }
        let wire = CreditWire(book: book, node: node, swarms: swarms)
        return try await BenchNode.running(node) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for swarm in wire.swarms.values {
                    group.addTask { try await swarm.run() }
                    try await swarm.connect(to: book.issuer.peerID, addresses: address)
                }
                defer { group.cancelAll() }
                return try await body(wire)
            }
        }
    }

    /// Asks the issuer by a member's key.
    func ask(_ question: CreditQuestion, by member: Identity) async throws -> CreditAnswer {
        guard let swarm = swarms[member.did] else { throw CreditBook.Fault.wrong("member") }
        var limits = RequestResponse.Limits()
        limits.responseBytesMax = CreditAnswer.bytesMax
        let exchange = RequestResponse(host: swarm, protocolID: MeshTopics.credit, limits: limits)
        let answer = try await exchange.request(try DAGCBOREncoder().encode(question), to: book.issuer.did.peerID)
        return try DAGCBORDecoder().decode(CreditAnswer.self, from: answer)
    }

    /// Has an event booked; if it is to be proved, asks for the head and the entry, as a member does.
    func give(_ event: BookEvent, by member: Identity, isProved: Bool) async throws {
        let answer = try await ask(.submit(event: event), by: member)
        guard case .taken(let number, _, _) = answer else { throw CreditBook.Fault.refused(answer) }
        guard isProved else { return }
        guard case .head(let bytes, _) = try await ask(.head(since: 0, size: nil), by: member),
            let note = SignedNote(bytes: bytes),
            let head = Checkpoint.verified(note, by: book.issuer.did.publicKey)?.head,
            case .entries(let entries, _) = try await ask(.statement(from: number, size: head.size), by: member),
            let entry = entries.first, entry.number == number, entry.opening.read?.event == event,
            head.includes(
                .leaf(entry.opening.commitment), at: number,
                proof: stride(from: 0, to: entry.proof.count, by: MerkleHash.byteCount).compactMap {
                    MerkleHash(bytes: Array(entry.proof[$0..<$0 + MerkleHash.byteCount]))
                })
        else { throw CreditBook.Fault.wrong("entry") }
    }

    /// Has the officers appoint an auditor.
    func appoint(_ auditor: Identity) async throws {
        guard case .number(let number) = try await ask(.number, by: book.officers[0]),
            case .entries(let first, _) = try await ask(.charter(size: 1), by: book.officers[0]),
            case .opened(let block)? = first.first?.opening.read?.event
        else { throw CreditBook.Fault.wrong("number") }
        let charter = try SignedObject<IssuerCharter>(reading: block)
        let order = OfficerOrder(
            issuerDID: book.issuer.did, charterCID: charter.bodyCID, number: number,
            action: .auditor(did: auditor.did, appointed: true))
        guard let cid = order.cid else { throw CreditBook.Fault.wrong("order") }
        let now = UnixMilliseconds(UInt64(Date().timeIntervalSince1970 * 1_000))
        let approvals = try book.officers.map {
            try SignedObject.sign(
                Approval(
                    approverDID: $0.did, orderCID: cid, approvedAt: now,
                    validUntil: now.advanced(milliseconds: 60_000)), with: $0
            ).bytes
        }
        let answer = try await ask(
            .submit(event: .ordered(order: order, approvals: approvals)), by: book.officers[0])
        guard case .taken = answer else { throw CreditBook.Fault.refused(answer) }
    }
}
