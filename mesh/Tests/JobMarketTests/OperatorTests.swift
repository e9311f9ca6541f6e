import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import JobMarket

/// Executors that say whose they are: one operator does not get two jobs of a work where others are to be had.
@Suite("Operators of executors")
struct OperatorTests {
    private static let engine = EngineDescription(name: "none", version: "0", configurationDigest: "")

    /// Who signs what an executor carries.
    enum Word: Sendable {
        case none
        case of(UInt8)
        /// That of a node, which is its own operator.
        case ofParty(Int)
        /// Signed by its operator, about another executor.
        case foreign(UInt8)
        /// Not signed by the operator that it names.
        case forged(UInt8)
        /// Withdrawn by a later offer.
        case withdrawn(UInt8)
    }

    private func world() -> MarketWorld {
        MarketWorld(executors: 3) { _, configuration in
            configuration.originator.engine = Self.engine
            configuration.executor?.features = [ExecutionIdentity.feature(of: Self.engine)]
        }
    }

    private func credential(_ word: Word, about executor: Identity, _ world: MarketWorld) throws -> [UInt8]? {
        func signed(_ key: Identity, _ about: DID) throws -> [UInt8] {
            let body = OperatorCredential(operatorDID: key.did, executorDID: about, issuedAt: world.wallClock)
            return try SignedObject.sign(body, with: key).bytes
        }
        func key(_ number: UInt8) throws -> Identity { try Identity(seed: Array(repeating: number, count: 32)) }
        switch word {
        case .none: return nil
        case .of(let number), .withdrawn(let number): return try signed(key(number), executor.did)
        case .ofParty(let index): return try signed(world.parties[index].identity, executor.did)
        case .foreign(let number): return try signed(key(number), world.parties[0].identity.did)
        case .forged(let number):
            var block = try signed(key(number), executor.did)
            let signature = try SignedObject<OperatorCredential>(verifying: block).signature
            let place = try #require(
                block.indices.first { block[$0...].starts(with: signature) })
            block[place] ^= 1
            return block
        }
    }

    private func offer(_ credential: [UInt8]?, of index: Int, at date: UnixMilliseconds, _ world: inout MarketWorld)
        throws
    {
        let identity = world.parties[index].identity
        var capability = NodeCapability(
            nodeDID: identity.did, peerID: identity.peerID, issuedAt: date,
            validUntil: date.advanced(milliseconds: 60_000))
        capability.operatorCredential = credential
        let signed = try SignedObject.sign(capability, with: identity)
        world.give(
            .capabilityAdvertisement(CapabilityAdvertisementV1(capability: signed.bytes)), author: identity.peerID,
            to: 0)
    }

    @Test("Executors of another operator go first, whichever is cheaper; a credential that does not hold says nothing")
    func spread() throws {
        let rows: [(words: [Word], chosen: Set<Int>)] = [
            ([.none, .none, .none], [1, 2]), ([.of(90), .of(90), .none], [1, 3]),
            ([.of(90), .of(90), .of(91)], [1, 3]), ([.of(90), .of(91), .of(90)], [1, 2]),
            ([.of(90), .of(90), .of(90)], [1, 2]), ([.none, .ofParty(1), .none], [1, 3]),
            ([.of(90), .foreign(90), .none], [1, 2]), ([.of(90), .forged(90), .none], [1, 2]),
            ([.of(90), .withdrawn(90), .none], [1, 2]),
        ]
        for (row, level) in rows.flatMap({ row in
            [(row, VerificationLevel.quorum(agreeing: 2, of: 2)), (row, .byExecutor(.replay))]
        }) {
            var world = world()
            for (place, word) in row.words.enumerated() {
                let block = try credential(word, about: world.parties[place + 1].identity, world)
                try offer(block, of: place + 1, at: world.wallClock, &world)
                if case .withdrawn = word {
                    try offer(nil, of: place + 1, at: world.wallClock.advanced(milliseconds: 1), &world)
                }
            }
            var request = MarketWorld.request()
            request.verification = level
            let id = try world.submit(request)
            world.run(milliseconds: 60_000)
            let jobs = world.parties[0].market.originatedJobs.filter { $0.id == id || $0.replicaOf == id }
            let executors = jobs.flatMap { $0.attempts.map(\.assignment.executorDID) }
            #expect(Set(executors) == Set(row.chosen.map { world.parties[$0].identity.did }), "\(row) \(level)")
            #expect(world.job(id)?.result == .completedSuccessfully)
        }
    }

    @Test("A capability with a credential that does not hold is taken without it: who forwards it did nothing wrong")
    func takenWithout() throws {
        var world = world()
        let identity = world.parties[1].identity
        for word in [Word.of(90), .foreign(90), .forged(90)] {
            var capability = NodeCapability(
                nodeDID: identity.did, peerID: identity.peerID, issuedAt: world.wallClock,
                validUntil: world.wallClock.advanced(milliseconds: 60_000))
            capability.operatorCredential = try credential(word, about: identity, world)
            let signed = try SignedObject.sign(capability, with: identity)
            let message = MeshProtocolMessage.capabilityAdvertisement(
                CapabilityAdvertisementV1(capability: signed.bytes))
            let (judgement, _) = world.parties[0].market.judge(
                message, author: identity.peerID, now: world.now, wallClock: world.wallClock)
            #expect(judgement == .accept, "\(word)")
            let isProven = if case .of = word { true } else { false }
            #expect((capability.provenOperator != nil) == isProven, "\(word)")
        }
    }

    @Test("What an executor is configured with is what it offers")
    func offered() throws {
        var executor = ExecutorConfiguration()
        executor.operatorCredential = [1, 2, 3]
        let identity = try Identity(seed: Array(repeating: 9, count: 32))
        var capability = NodeCapability(
            nodeDID: identity.did, peerID: identity.peerID, issuedAt: .epoch, validUntil: .epoch)
        capability.describe(executor)
        #expect(capability.operatorCredential == [1, 2, 3])
    }
}
