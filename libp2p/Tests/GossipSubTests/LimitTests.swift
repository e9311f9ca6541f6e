import Determinism
import GossipSub
import PeerIdentity
import Testing

/// Each bound of `GossipSubRouter.Limits` that the spam and codec tests do not reach, with what happens there.
@Suite struct LimitTests {
    func limited(_ change: (inout GossipSubRouter.Limits) -> Void) -> LoneRouter {
        var limits = GossipSubRouter.Limits()
        change(&limits)
        var lone = LoneRouter(limits: limits)
        lone.subscribe("t")
        return lone
    }

    @Test func aPeerBeyondTheLimitIsNotServed() {
        var lone = limited { $0.peersMax = 2 }
        let (second, third) = (TestIdentity.all[2].peerID, TestIdentity.all[3].peerID)
        #expect(!lone.router.connected(second, version: .meshsub11, isOutbound: false, now: lone.now).isEmpty)
        #expect(lone.router.connected(third, version: .meshsub11, isOutbound: false, now: lone.now).isEmpty)
        #expect(lone.receive(from: third) { $0.graft = ["t"] }.isEmpty)
        #expect(lone.router.counters.unknownPeerInputs == 2)
        #expect(lone.router.connectedPeers == [lone.peer, second])
        lone.router.disconnected(second, now: lone.now)
        #expect(!lone.router.connected(third, version: .meshsub11, isOutbound: false, now: lone.now).isEmpty)
    }

    @Test func topicsOfAPeerBeyondTheLimitAreIgnoredAndCounted() {
        var lone = limited { $0.topicsPerPeerMax = 3 }
        _ = lone.receive { $0.subscriptions = (0..<5).map { .init(subscribes: true, topic: "topic-\($0)") } }
        #expect(lone.router.occupancy.peerTopics == 3)
        #expect(lone.total(.entryFlood) == 1)
        _ = lone.receive {
            $0.subscriptions = [.init(subscribes: false, topic: "topic-0"), .init(subscribes: true, topic: "t")]
        }
        #expect(lone.router.peers(of: "t") == [lone.peer])
    }

    @Test func entriesThatWereLeftOutOfAnRPCAreAFlood() {
        var lone = limited { $0.controlEntriesPerRPCMax = 2 }
        _ = lone.receive { $0.prune = (0..<5).map { .init(topic: "p\($0)", backoffSeconds: nil) } }
        #expect(lone.total(.entryFlood) == 1)
        #expect(lone.router.counters.entriesLeftOut == 3)
    }

    @Test func ownTopicsBeyondTheLimitAreRefused() {
        var lone = limited { $0.ownTopicsMax = 2 }
        lone.subscribe("u")
        #expect(throws: SubscribeRefusal.tooManyTopics(topicsMax: 2)) {
            try lone.router.subscribe("v", now: lone.now)
        }
        #expect(throws: SubscribeRefusal.badTopic(bytes: 0, bytesMax: 512)) {
            try lone.router.subscribe("", now: lone.now)
        }
        let long = String(repeating: "x", count: 513)
        #expect(throws: SubscribeRefusal.badTopic(bytes: 513, bytesMax: 512)) {
            try lone.router.subscribe(long, now: lone.now)
        }
        #expect(throws: PublishRefusal.badTopic(bytes: 513, bytesMax: 512)) {
            try lone.router.publish([], topic: long, identity: lone.identity, now: lone.now).id
        }
    }

    @Test func aMessageThatDoesNotFitIntoAnRPCIsNotPublished() throws {
        var lone = limited { _ in }
        let fits = try lone.router.publish(
            [UInt8](repeating: 1, count: 1_000_000), topic: "t", identity: lone.identity, now: lone.now)
        #expect(fits.id.bytes.count == 46)
        do {
            _ = try lone.router.publish(
                [UInt8](repeating: 1, count: 1_048_576), topic: "t", identity: lone.identity, now: lone.now)
            Issue.record("a message of a mebibyte was published")
        } catch .tooLong(let bytes, let bytesMax) {
            #expect(bytes > 1_048_576)
            #expect(bytesMax == 1_048_576)
        } catch {
            Issue.record("refused for another reason: \(error)")
        }
    }

    @Test func theLargestPublishedMessageFitsIntoAnRPC() throws {
        var lone = limited { $0.rpcBytesMax = 2_000 }
        _ = lone.receive { $0.subscriptions = [.init(subscribes: true, topic: "t")] }
        var largest = 0
        for bytes in 1_700..<2_000 {
            let data = [UInt8](repeating: 1, count: bytes)
            guard
                let published = try? lone.router.publish(data, topic: "t", identity: lone.identity, now: lone.now)
            else { break }
            largest = bytes
            for rpc in published.actions.rpcs(to: lone.peer) {
                #expect(GossipSubCodec.encode(rpc).count <= 2_000)
            }
        }
        #expect(largest > 1_800)
    }

    @Test func theFanoutThatWasUsedLongestAgoMakesRoom() throws {
        var lone = limited { $0.fanoutTopicsMax = 2 }
        for (index, topic) in ["a", "b", "a", "c"].enumerated() {
            lone.now = MonotonicInstant(nanoseconds: Int64(index) * 1_000)
            _ = try lone.router.publish([1], topic: topic, identity: lone.identity, now: lone.now)
            lone.router.checkInvariants()
        }
        #expect(lone.router.occupancy.fanouts == 2)
    }

    @Test func aMeshNeverHasMorePeersThanTheLimit() {
        var lone = limited { $0.meshPeersMax = 3 }
        var refused = 0
        for number in 10..<20 {
            let peer = TestIdentity.all[number].peerID
            _ = lone.router.connected(peer, version: .meshsub11, isOutbound: true, now: lone.now)
            refused += lone.receive(from: peer) { $0.graft = ["t"] }.rpcs(to: peer).flatMap(\.prune).count
        }
        #expect(lone.router.meshPeers("t").count == 3)
        #expect(refused == 7)
    }

    @Test func theOldestSeenMessageMakesRoomAndOldOnesExpire() {
        var lone = limited { $0.seenEntriesMax = 3 }
        let messages = (0..<4).map { lone.message(number: UInt64($0)) }
        for message in messages {
            _ = lone.receive { $0.messages = [message.encoded] }
            _ = lone.router.validated(message.id, .ignore, now: lone.now)
        }
        #expect(lone.router.occupancy.seen == 3)
        #expect(lone.receive { $0.messages = [messages[3].encoded] }.isEmpty)
        #expect(!lone.receive { $0.messages = [messages[0].encoded] }.isEmpty, "the oldest was forgotten")
        lone.now = lone.now.advanced(milliseconds: 120_001)
        _ = lone.heartbeat()
        #expect(lone.router.occupancy.seen == 0)
    }

    @Test func messagesBeyondThePendingLimitAreDroppedAndCanComeAgain() {
        var lone = limited { $0.pendingValidationsMax = 2 }
        let messages = (0..<3).map { lone.message(number: UInt64($0)) }
        let asked = messages.map { message in lone.receive { $0.messages = [message.encoded] }.count }
        #expect(asked == [1, 1, 0])
        #expect(lone.router.counters.validationOverflows == 1)
        _ = lone.router.validated(messages[0].id, .accept, now: lone.now)
        #expect(lone.receive { $0.messages = [messages[2].encoded] }.asksForVerdict == [messages[2].id])
    }

    @Test func bytesBeyondThePendingLimitAreDropped() {
        var lone = limited { $0.pendingValidationBytesMax = 300 }
        let messages = (0..<3).map { lone.message(number: UInt64($0)) }
        let asked = messages.map { message in lone.receive { $0.messages = [message.encoded] }.count }
        #expect(asked == [1, 1, 0])
        #expect(lone.router.occupancy.pendingBytes <= 300)
        #expect(lone.router.counters.validationOverflows == 1)
    }

    @Test func aVerdictThatTakesTooLongFreesItsPlace() {
        var lone = limited { $0.pendingValidationsMax = 1 }
        let (first, second) = (lone.message(number: 1), lone.message(number: 2))
        _ = lone.receive { $0.messages = [first.encoded] }
        lone.now = lone.now.advanced(milliseconds: 29_000)
        _ = lone.heartbeat()
        #expect(lone.router.occupancy.pendingValidations == 1)
        lone.now = lone.now.advanced(milliseconds: 1_000)
        _ = lone.heartbeat()
        #expect(lone.router.occupancy.pendingValidations == 0)
        #expect(lone.router.counters.validationsOverdue == 1)
        #expect(lone.router.validated(first.id, .accept, now: lone.now).isEmpty, "the verdict comes too late")
        #expect(lone.receive { $0.messages = [second.encoded] }.asksForVerdict == [second.id])
    }

    @Test func theCacheIsBoundedInMessagesBytesAndTime() throws {
        for change: (inout GossipSubRouter.Limits) -> Void in [
            { $0.cacheMessagesMax = 4 }, { $0.cacheBytesMax = 4 * 135 },
        ] {
            var lone = limited(change)
            for _ in 0..<20 {
                _ = try lone.router.publish([1], topic: "t", identity: lone.identity, now: lone.now)
                lone.router.checkInvariants()
            }
            #expect((3...4).contains(lone.router.occupancy.cachedMessages))
            for _ in 0..<5 { _ = lone.heartbeat() }
            #expect(lone.router.occupancy.cachedMessages == 0, "five heartbeats are the history")
            #expect(lone.router.occupancy.cachedBytes == 0)
        }
    }

    @Test func announcementsAreLimitedToARandomChoice() throws {
        var lone = limited { $0.ihaveIDsSentMax = 5 }
        var published: Set<MessageID> = []
        for _ in 0..<20 {
            published.insert(
                try lone.router.publish([1], topic: "t", identity: lone.identity, now: lone.now).id)
        }
        _ = lone.receive { $0.prune = [.init(topic: "t", backoffSeconds: 60)] }
        _ = lone.receive { $0.subscriptions = [.init(subscribes: true, topic: "t")] }
        let told = lone.heartbeat().rpcs(to: lone.peer).flatMap(\.ihave).flatMap(\.messageIDs)
        #expect(told.count == 5)
        #expect(Set(told).isSubset(of: published))
    }

    @Test func promisesBeyondTheLimitAreNotFollowedUp() {
        var lone = limited { $0.promisesMax = 2 }
        for number in 10..<15 {
            let peer = TestIdentity.all[number].peerID
            _ = lone.router.connected(peer, version: .meshsub11, isOutbound: true, now: lone.now)
            let asked = lone.receive(from: peer) {
                $0.ihave = [.init(topic: "t", messageIDs: [.init(bytes: [UInt8(number)])])]
            }
            #expect(asked.rpcs(to: peer).flatMap(\.iwant).count == 1, "it is asked for all the same")
        }
        #expect(lone.router.occupancy.promises == 2)
    }

    @Test func theBackoffThatEndsSoonestMakesRoom() {
        var lone = limited { $0.backoffsMax = 2 }
        let peers = (10..<13).map { TestIdentity.all[$0].peerID }
        for (peer, seconds) in zip(peers, [100, 50, 200] as [UInt64]) {
            _ = lone.router.connected(peer, version: .meshsub11, isOutbound: true, now: lone.now)
            _ = lone.receive(from: peer) { $0.prune = [.init(topic: "t", backoffSeconds: seconds)] }
        }
        #expect(lone.router.occupancy.backoffs == 2)
        #expect(lone.receive(from: peers[1]) { $0.graft = ["t"] }.isEmpty, "the shortest was forgotten")
        #expect(!lone.receive(from: peers[0]) { $0.graft = ["t"] }.isEmpty)
    }

    @Test func scoresOfDepartedPeersAreBounded() {
        var lone = limited { $0.departedScoresMax = 2 }
        for number in 10..<15 {
            let peer = TestIdentity.all[number].peerID
            _ = lone.router.connected(peer, version: .meshsub11, isOutbound: true, now: lone.now)
            _ = lone.receive(from: peer) { $0.messages = [[1]] }
            lone.router.disconnected(peer, now: lone.now)
        }
        #expect(lone.router.occupancy.departedScores == 2)
        let last = TestIdentity.all[14].peerID
        _ = lone.router.connected(last, version: .meshsub11, isOutbound: true, now: lone.now)
        #expect(lone.router.scoring.score(of: last) < 0, "the last to leave is remembered")
    }

    @Test func aFullOutgoingQueueDropsNewMessagesAndKeepsControl() {
        var limits = GossipSubRouter.Limits()
        limits.outgoingBytesMax = 100
        limits.outgoingControlBytesMax = 50
        var queue = OutgoingQueue<String>(limits: limits)
        #expect(queue.append("m1", bytes: 60, isControl: false) == .queued)
        #expect(queue.append("m2", bytes: 40, isControl: false) == .queued)
        #expect(queue.append("m3", bytes: 1, isControl: false) == .dropped)
        #expect(queue.append("c1", bytes: 30, isControl: true) == .queued)
        #expect(queue.append("c2", bytes: 21, isControl: true) == .overflow)
        queue.checkInvariants()
        #expect(queue.dropped == 1)
        #expect(queue.count == 3)
        #expect([queue.popFirst(), queue.popFirst(), queue.popFirst(), queue.popFirst()] == ["c1", "m1", "m2", nil])
        #expect(queue.isEmpty && queue.messageBytes == 0 && queue.controlBytes == 0)
        #expect(queue.append("m4", bytes: 100, isControl: false) == .queued)
        queue.removeAll()
        #expect(queue.isEmpty)
        queue.checkInvariants()
    }
}
