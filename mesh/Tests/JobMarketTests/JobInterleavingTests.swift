import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
import Testing

/// Random loss, duplication, reordering, crashes, failing executors and impatient users: what must hold, holds.
@Suite("Random interleavings")
struct JobInterleavingTests {
    @Test(arguments: 1...24)
    func everyJobEndsAndMoneyIsConserved(seed: Int) throws {
        // Every third world has too few tokens for all of its jobs at once.
        let tokens: UInt64 = seed % 3 == 0 ? 90 : 1_000_000
        var world = MarketWorld(executors: 3, seed: UInt64(seed), tokens: tokens) { _, configuration in
            configuration.originator.sufficientBids = 2
            configuration.executor?.concurrentRunsMax = 1
            configuration.limits.candidateReceiptsMax = 1 + seed % 3
        }
        var dice = SeededGenerator(seed: UInt64(seed) &* 7919)
        world.lossPermille = dice.next() % 300
        world.duplicatePermille = dice.next() % 300
        world.delayMillisecondsMax = 1 + Int64(dice.next() % 400)
        var ids: [JobID] = []
        for number in 0..<6 { ids.append(try world.submit(MarketWorld.request("job \(number)"))) }
        for _ in 0..<600 {
            guard world.step(until: .distantFuture) else { break }
            try disturb(&world, ids, &dice)
        }
        world.lossPermille = 0
        world.withheldOutputs = []
        for index in 1...3 { world.parties[index].run = .succeed(fuel: 3_000_000) }
        world.run(milliseconds: 3_000_000)
        try expectEnd(world, ids, tokens, seed)
    }

    private func disturb(_ world: inout MarketWorld, _ ids: [JobID], _ dice: inout SeededGenerator) throws {
        switch dice.next() % 200 {
        case 0...2: try world.restart(Int(dice.next() % 4), afterMilliseconds: Int64(dice.next() % 20_000))
        case 3...8: world.parties[1 + Int(dice.next() % 3)].run = Self.run(dice.next())
        case 9: if let id = ids.randomElement(using: &dice) { try? world.cancel(id) }
        case 10...12: world.expectSameAfterReplay(Int(dice.next() % 4))
        case 13: world.losesLazyEvents.toggle()
        case 14...17:
            let index = 1 + Int(dice.next() % 3)
            if world.withheldOutputs.remove(index) == nil { world.withheldOutputs.insert(index) }
        default: break
        }
    }

    private static func run(_ number: UInt64) -> FakeRun {
        switch number % 8 {
        case 0: .hang
        case 1: .stall
        case 2: .end(.nodeFailed(reason: "test"), fuel: 0)
        case 3: .end(.trapped(kind: .unreachable, message: "test"), fuel: 700)
        case 4: .end(.fetchFailed(reason: "test"), fuel: 0)
        default: .succeed(fuel: number % 10_000_000)
        }
    }

    private func expectEnd(_ world: MarketWorld, _ ids: [JobID], _ tokens: UInt64, _ seed: Int) throws {
        for id in ids {
            let job = try #require(world.job(id), "seed \(seed)")
            #expect(job.result != nil, "seed \(seed), job \(id): \(job.status)")
            #expect(job.isClosed, "seed \(seed), job \(id): \(job.status)")
            let paid = world.parties[0].market.ledger.entries.filter {
                $0.kind == .settle && $0.subject == id.description
            }
            #expect(paid.count <= 1, "seed \(seed)")
            #expect(
                (job.result == .completedSuccessfully || job.outcome != nil) == (job.receipt != nil), "seed \(seed)")
        }
        #expect(world.parties[0].market.ledger.escrowTotal == .zero, "seed \(seed)")
        #expect(world.totalTokens == tokens, "seed \(seed)")
        for index in 0...3 {
            world.expectSameAfterReplay(index)
            #expect(world.parties[index].market.openCounts == (0, 0), "seed \(seed), party \(index)")
            #expect(world.parties[index].market.runCounts == (0, 0), "seed \(seed), party \(index)")
        }
    }

    @Test func everyMessageAThousandTimesChangesNothing() throws {
        var world = MarketWorld(executors: 3)
        let id = try world.submit()
        world.run(milliseconds: 600_000)
        #expect(world.job(id)?.isClosed == true)
        storm(&world, rounds: 1000)
        for index in 0...3 { world.parties[index].market = try world.parties[index].replayed() }
        storm(&world, rounds: 50)
    }

    /// Gives every recorded message again and again, shuffled: to the one it was for, and to one it was not for.
    private func storm(_ world: inout MarketWorld, rounds: Int) {
        let messages = Array(Set(world.log))
        let before = world.parties.map(\.market)
        var dice = SeededGenerator(seed: 42)
        for round in 0..<rounds {
            for message in messages.shuffled(using: &dice) {
                let sender = world.parties[Int(dice.next() % 4)].peer
                let index = round % 10 == 0 ? Int(dice.next() % 4) : world.addressee(of: message)
                let transition: MarketTransition
                if case .jobAnnouncement = message {
                    transition =
                        world.parties[index].market.judge(
                            message, author: world.parties[0].peer, now: world.now, wallClock: world.wallClock
                        ).transition
                } else {
                    transition =
                        world.parties[index].market.receive(
                            message, from: round % 10 == 0 ? sender : world.sender(of: message), now: world.now,
                            wallClock: world.wallClock
                        ).transition
                }
                #expect(transition.events.isEmpty, "\(message.variant) changed party \(index)")
            }
        }
        for index in world.parties.indices {
            #expect(world.parties[index].market.originatedJobs == before[index].originatedJobs)
            #expect(world.parties[index].market.executedJobs == before[index].executedJobs)
            #expect(world.parties[index].market.ledger == before[index].ledger)
        }
    }
}

extension MarketWorld {
    /// Whether the originator sends messages of this kind.
    private func isFromOriginator(_ message: MeshProtocolMessage) -> Bool {
        switch message {
        case .assignJob, .cancelJob, .jobSettled, .jobBidRefused: true
        default: false
        }
    }

    func sender(of message: MeshProtocolMessage) -> PeerID {
        isFromOriginator(message) ? parties[0].peer : parties[1].peer
    }

    func addressee(of message: MeshProtocolMessage) -> Int {
        if case .jobAnnouncement = message { return 2 }
        return isFromOriginator(message) ? 1 : 0
    }
}
