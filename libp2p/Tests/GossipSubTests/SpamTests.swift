import Determinism
import GossipSub
import PeerIdentity
import Testing

/// The cases of go-libp2p-pubsub's `gossipsub_spam_test.go`, and those of published advisories.
@Suite struct SpamTests {
    @Test func anIWANTForTheSameMessageIsAnsweredThreeTimes() {
        var lone = LoneRouter()
        lone.subscribe("t")
        let message = lone.message()
        _ = lone.receive { $0.messages = [message.encoded] }
        _ = lone.router.validated(message.id, .accept, now: lone.now)
        var answers = 0
        for _ in 0..<20 {
            answers +=
                lone.receive { $0.iwant = [[message.id]] }.rpcs(to: lone.peer).filter { !$0.messages.isEmpty }.count
        }
        #expect(answers == lone.router.parameters.retransmissionsMax)
        #expect(lone.total(.iwantFlood) == 10, "then its score is too low for any gossip")
        #expect(!lone.router.scoring.mayGossip(lone.peer))
    }

    @Test func anIWANTForUnknownMessagesIsNotAnswered() {
        var lone = LoneRouter()
        lone.subscribe("t")
        #expect(lone.receive { $0.iwant = [(0..<100).map { .init(bytes: [UInt8($0)]) }] }.isEmpty)
        #expect(lone.total(.iwantFlood) == 0)
    }

    @Test func idsAskedForBeyondTheLimitOfAHeartbeatAreAFlood() {
        var limits = GossipSubRouter.Limits()
        limits.iwantIDsPerHeartbeatMax = 10
        var lone = LoneRouter(limits: limits)
        lone.subscribe("t")
        _ = lone.receive { $0.iwant = [(0..<11).map { .init(bytes: [UInt8($0)]) }] }
        #expect(lone.total(.iwantFlood) == 1)
        _ = lone.heartbeat()
        _ = lone.receive { $0.iwant = [(0..<10).map { .init(bytes: [UInt8($0)]) }] }
        #expect(lone.total(.iwantFlood) == 1, "the count starts anew with the heartbeat")
    }

    @Test func bytesFetchedInAHeartbeatAreLimited() {
        var limits = GossipSubRouter.Limits()
        limits.iwantBytesPerHeartbeatMax = 500
        var lone = LoneRouter(limits: limits)
        lone.subscribe("t")
        let messages = (0..<6).map { lone.message(number: UInt64($0)) }
        for message in messages {
            _ = lone.receive { $0.messages = [message.encoded] }
            _ = lone.router.validated(message.id, .accept, now: lone.now)
        }
        let sent = lone.receive { $0.iwant = [messages.map(\.id)] }.rpcs(to: lone.peer).flatMap(\.messages)
        #expect(sent.count == 500 / messages[0].encoded.count)
    }

    @Test func ihaveEntriesBeyondTheLimitOfAHeartbeatAreIgnored() {
        var lone = LoneRouter()
        lone.subscribe("t")
        var asked = 0
        for round in 0..<20 {
            let actions = lone.receive { $0.ihave = [.init(topic: "t", messageIDs: [.init(bytes: [UInt8(round)])])] }
            asked += actions.rpcs(to: lone.peer).flatMap(\.iwant).joined().count
        }
        #expect(asked == 10)
        #expect(lone.total(.ihaveFlood) == 10)
    }

    @Test func idsAskedOfOnePeerPerHeartbeatAreLimited() {
        var limits = GossipSubRouter.Limits()
        limits.ihaveIDsPerHeartbeatMax = 30
        var lone = LoneRouter(limits: limits)
        lone.subscribe("t")
        func ids(_ round: UInt8) -> [MessageID] { (0..<20).map { .init(bytes: [round, $0]) } }
        let first = lone.receive { $0.ihave = [.init(topic: "t", messageIDs: ids(0))] }
        let second = lone.receive { $0.ihave = [.init(topic: "t", messageIDs: ids(1))] }
        let third = lone.receive { $0.ihave = [.init(topic: "t", messageIDs: ids(2))] }
        #expect(first.rpcs(to: lone.peer).flatMap(\.iwant).joined().count == 20)
        #expect(second.rpcs(to: lone.peer).flatMap(\.iwant).joined().count == 10)
        #expect(third.isEmpty)
    }

    @Test func aPromiseThatIsNotKeptIsHeldAgainstThePeer() {
        var lone = LoneRouter()
        lone.subscribe("t")
        let message = lone.message()
        _ = lone.receive { $0.ihave = [.init(topic: "t", messageIDs: [message.id])] }
        #expect(lone.router.occupancy.promises == 1)
        for _ in 0..<3 { _ = lone.heartbeat() }
        #expect(lone.total(.brokenPromise) == 0, "three seconds are not over")
        for _ in 0..<2 { _ = lone.heartbeat() }
        #expect(lone.total(.brokenPromise) == 1)
        #expect(lone.router.occupancy.promises == 0)

        let kept = lone.message(number: 2)
        _ = lone.receive { $0.ihave = [.init(topic: "t", messageIDs: [kept.id])] }
        _ = lone.receive { $0.messages = [kept.encoded] }
        for _ in 0..<5 { _ = lone.heartbeat() }
        #expect(lone.total(.brokenPromise) == 1, "a kept promise costs nothing")
    }

    @Test func graftsOfUnknownTopicsGrowNothingAndCostScore() {
        var lone = LoneRouter()
        lone.subscribe("t")
        let before = lone.router.occupancy
        var sent = 0
        for round in 0..<400 {
            sent += lone.receive { $0.graft = (0..<256).map { "made-up-\(round)-\($0)" } }.count
        }
        #expect(sent == 0)
        var after = lone.router.occupancy
        #expect(after.scores == 1)
        after.scores = before.scores
        #expect(after == before)
        #expect(lone.total(.graftUnknownTopic) >= 10)
        #expect(lone.router.scoring.isGraylisted(lone.peer))
        #expect(lone.router.counters.graylistedRPCs > 300, "a graylisted peer is not even read")
    }

    @Test func prunesOfUnknownTopicsLeaveNoBackoff() {
        var lone = LoneRouter()
        lone.subscribe("t")
        for round in 0..<50 {
            _ = lone.receive {
                $0.prune = (0..<256).map { .init(topic: "made-up-\(round)-\($0)", backoffSeconds: 3_600) }
            }
        }
        #expect(lone.router.occupancy.backoffs == 0)
    }

    @Test func aGraftDuringTheBackoffIsPrunedAndCountsTwiceWhenItIsAFlood() {
        var lone = LoneRouter()
        lone.subscribe("t")
        _ = lone.receive { $0.graft = ["t"] }
        _ = lone.receive { $0.prune = [.init(topic: "t", backoffSeconds: 60)] }
        let early = lone.receive { $0.graft = ["t"] }
        #expect(early.rpcs(to: lone.peer).flatMap(\.prune) == [.init(topic: "t", backoffSeconds: 60)])
        #expect(lone.router.meshPeers("t").isEmpty)
        #expect(lone.total(.graftDuringBackoff) == 2, "within ten seconds of the PRUNE it is a flood")
        lone.now = lone.now.advanced(milliseconds: 30_000)
        _ = lone.receive { $0.graft = ["t"] }
        #expect(lone.total(.graftDuringBackoff) == 3)
        lone.now = lone.now.advanced(milliseconds: 61_000)
        #expect(lone.receive { $0.graft = ["t"] }.isEmpty)
        #expect(lone.router.meshPeers("t") == [lone.peer])
    }

    @Test func graftingOnAndOnDuringTheBackoffEndsInTheGraylist() {
        var lone = LoneRouter()
        lone.subscribe("t")
        _ = lone.receive { $0.graft = ["t"] }
        _ = lone.receive { $0.prune = [.init(topic: "t", backoffSeconds: 60)] }
        for _ in 0..<20 { _ = lone.receive { $0.graft = ["t"] } }
        #expect(lone.router.scoring.isGraylisted(lone.peer))
        let message = lone.message()
        #expect(lone.receive { $0.messages = [message.encoded] }.isEmpty)
        #expect(lone.router.counters.graylistedRPCs >= 1)
    }

    @Test func aBackoffOfTwoToTheSixtyFourIsShortenedToAnHour() {
        var lone = LoneRouter()
        lone.subscribe("t")
        _ = lone.receive {
            $0.subscriptions = [.init(subscribes: true, topic: "t")]
            $0.graft = ["t"]
        }
        _ = lone.receive { $0.prune = [.init(topic: "t", backoffSeconds: .max)] }
        #expect(lone.router.meshPeers("t").isEmpty)
        lone.now = lone.now.advanced(milliseconds: 3_599_000)
        _ = lone.heartbeat()
        #expect(lone.router.meshPeers("t").isEmpty)
        lone.now = lone.now.advanced(milliseconds: 3_000)
        let grafts = lone.heartbeat().rpcs(to: lone.peer).flatMap(\.graft)
        #expect(grafts == ["t"])
    }

    @Test func invalidMessagesEndInTheGraylist() {
        var lone = LoneRouter()
        lone.subscribe("t")
        for number in 0..<10 {
            var forged = lone.message(number: UInt64(number)).encoded
            forged[forged.count - 1] ^= 1
            _ = lone.receive { $0.messages = [forged] }
        }
        #expect(lone.total(.invalidMessage) == 10)
        #expect(!lone.router.scoring.isGraylisted(lone.peer), "-10 times ten squared is the threshold itself")
        _ = lone.receive { $0.messages = [[1, 2, 3]] }
        #expect(lone.router.scoring.isGraylisted(lone.peer))
    }

    @Test func aPeerWithABadScoreIsPrunedAtTheHeartbeat() {
        var lone = LoneRouter()
        lone.subscribe("t")
        _ = lone.receive { $0.graft = ["t"] }
        _ = lone.receive { $0.messages = [[1, 2, 3]] }
        let prunes = lone.heartbeat().rpcs(to: lone.peer).flatMap(\.prune)
        #expect(prunes.map(\.topic) == ["t"])
        #expect(lone.router.meshPeers("t").isEmpty)
    }

    @Test func penaltiesDecayAndLeavingWashesNothingOff() {
        var lone = LoneRouter()
        lone.subscribe("t")
        for _ in 0..<3 { _ = lone.receive { $0.messages = [[1, 2, 3]] } }
        let before = lone.router.scoring.score(of: lone.peer)
        lone.router.disconnected(lone.peer, now: lone.now)
        #expect(lone.router.occupancy.departedScores == 1)
        _ = lone.router.connected(lone.peer, version: .meshsub11, isOutbound: false, now: lone.now)
        #expect(lone.router.scoring.score(of: lone.peer) == before)
        for _ in 0..<400 { _ = lone.heartbeat() }
        #expect(lone.router.scoring.score(of: lone.peer) == 0)
        #expect(lone.total(.invalidMessage) == 3, "the totals are for people and do not decay")

        _ = lone.receive { $0.messages = [[1, 2, 3]] }
        lone.router.disconnected(lone.peer, now: lone.now)
        lone.now = lone.now.advanced(milliseconds: 3_600_001)
        _ = lone.heartbeat()
        #expect(lone.router.occupancy.departedScores == 0)
    }

    @Test func malformedRPCsAskForAResetOfTheStream() {
        var lone = LoneRouter()
        let actions = lone.router.received([0xFF, 0xFF], from: lone.peer, now: lone.now)
        #expect(actions == [.resetStream(lone.peer, .malformed)])
        #expect(lone.total(.malformedRPC) == 1)
    }

    @Test(arguments: [UInt64(21), 22, 23, 24]) func randomRPCsNeverBreakTheInvariants(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var limits = GossipSubRouter.Limits()
        limits.topicsPerPeerMax = 8
        limits.promisesMax = 5
        limits.backoffsMax = 4
        limits.cacheMessagesMax = 6
        limits.seenEntriesMax = 10
        limits.pendingValidationsMax = 3
        limits.peersMax = 5
        limits.fanoutTopicsMax = 2
        limits.departedScoresMax = 2
        var lone = LoneRouter(limits: limits)
        for _ in 0..<600 {
            let peer = TestIdentity.all[Int.random(in: 1..<9, using: &generator)].peerID
            let topic = "topic-\(Int.random(in: 0..<20, using: &generator))"
            var actions: [GossipSubAction] = []
            switch Int.random(in: 0..<12, using: &generator) {
            case 0: actions = (try? lone.router.subscribe(topic, now: lone.now)) ?? []
            case 1: actions = lone.router.unsubscribe(topic, now: lone.now)
            case 2:
                let version = GossipSubVersion.allCases.randomElement(using: &generator)!
                actions = lone.router.connected(peer, version: version, isOutbound: false, now: lone.now)
            case 3: lone.router.disconnected(peer, now: lone.now)
            case 4: actions = lone.heartbeat()
            case 5:
                actions = try! lone.router.publish([1], topic: topic, identity: lone.identity, now: lone.now).actions
            case 6, 7:
                let number = UInt64.random(in: 0..<40, using: &generator)
                let message = lone.message(topic: topic, number: number)
                actions = lone.receive(from: peer) { $0.messages = [message.encoded] }
            default:
                let rpc = CodecTests.randomRPC(&generator)
                actions = lone.router.received(rpc, from: peer, now: lone.now)
            }
            for id in actions.asksForVerdict where Bool.random(using: &generator) {
                let verdict: GossipVerdict = [.accept, .accept, .ignore, .reject].randomElement(using: &generator)!
                _ = lone.router.validated(id, verdict, now: lone.now)
            }
            lone.router.checkInvariants()
        }
        #expect(lone.router.counters.heartbeats > 0, "seed \(seed)")
    }
}
