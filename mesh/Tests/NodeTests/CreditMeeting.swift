import Credit
import Foundation
import LibP2P
import Logging
import MeshStore
import NodeSetup
import PeerIdentity
import SignedObjects
import Synchronization

@testable import PlanetaryMesh

/// Answers for a stand's issuer, and changes what it likes.
final class CreditLiar: Sendable {
    typealias Change = @Sendable (CreditQuestion, CreditAnswer) async throws -> CreditAnswer
    private let state: Mutex<(desk: IssuerDesk, change: Change)>

    init(_ desk: IssuerDesk) { state = Mutex((desk, { $1 })) }

    func set(_ desk: IssuerDesk? = nil, _ change: @escaping Change = { $1 }) {
        state.withLock { $0 = (desk ?? $0.desk, change) }
    }

    func serve(on host: any StreamHost) async {
        await CreditExchange(host: host).serve { [self] peer in
            await state.withLock { $0.desk }.admits(peer)
        } blame: { _, _ in
        } answer: { [self] peer, question in
            let (desk, change) = state.withLock { $0 }
            guard let did = (try? PublicKey(peerID: peer))?.did else {
                return .refused(reason: .unknown, text: "")
            }
            let honest = await desk.answer(question, for: did)
            return (try? await change(question, honest)) ?? honest
        }
    }
}

extension CreditStand {
    /// A member's desk over a swarm of its own, connected to the issuer of the stand, for which a liar answers.
    func meeting(
        as identity: Identity, _ limits: MemberDesk.Limits = MemberDesk.Limits(),
        storing storeLimits: StoreLimits = StoreLimits(),
        _ body: (MemberDesk, CreditLiar, Swarm) async throws -> Void
    ) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let store = try MeshStore(
            path: folder.appendingPathComponent("member.sqlite").path, owner: identity.did.text,
            limits: storeLimits)
        let configuration = SwarmConfiguration(try NodeMesh.loopback())
        let server = Swarm(configuration: configuration, identity: issuer, logger: logger)
        let swarm = Swarm(configuration: SwarmConfiguration(), identity: identity, logger: logger)
        let liar = CreditLiar(desk)
        try await server.listen()
        await liar.serve(on: server)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await server.run() }
            group.addTask { try await swarm.run() }
            defer { group.cancelAll() }
            try await swarm.connect(to: issuer.peerID, addresses: await server.listenAddresses())
            let member = MemberDesk(
                identity: identity, host: swarm, own: IssuerDesk(identity: identity, store: store), limits: limits)
            try await body(member, liar, swarm)
        }
        try store.close()
    }
}
