import Determinism
import GossipSub
import Multiformats
import PeerIdentity
import Testing

@Suite struct RouterTests {
    @Test func twoRoutersMeshAndPassAMessageOn() {
        var world = GossipWorld(routers: 3)
        for number in 0..<3 { world.subscribe(number, "t") }
        world.connect(0, 1)
        world.connect(1, 2)
        #expect(world.routers[0].meshPeers("t") == [world.peer(1)])
        #expect(Set(world.routers[1].meshPeers("t")) == [world.peer(0), world.peer(2)])
        let id = world.publish(0, "hello", topic: "t")
        #expect(world.texts(1) == ["hello"])
        #expect(world.texts(2) == ["hello"])
        #expect(world.delivered[2].first?.id == id)
        #expect(world.delivered[2].first?.source == world.peer(0))
        #expect(world.delivered[0].isEmpty, "own messages are not handed back")
    }

    @Test func aTopicJoinedLaterIsAnnouncedAndMeshed() {
        var world = GossipWorld(routers: 2)
        world.connect(0, 1)
        world.subscribe(0, "t")
        #expect(world.routers[1].peers(of: "t") == [world.peer(0)])
        world.subscribe(1, "t")
        #expect(world.routers[0].meshPeers("t") == [world.peer(1)])
        #expect(world.routers[1].meshPeers("t") == [world.peer(0)])
    }

    @Test func twoSpellingsOfALetterAreTwoTopics() throws {
        let (composed, decomposed) = ("caf\u{E9}", "cafe\u{301}")
        var world = GossipWorld(routers: 2)
        world.connect(0, 1)
        world.subscribe(0, composed)
        world.subscribe(1, decomposed)
        #expect(world.routers[1].peers(of: composed) == [world.peer(0)])
        #expect(world.routers[1].peers(of: decomposed).isEmpty)
        #expect(world.routers[0].meshPeers(composed).isEmpty)
        _ = world.publish(0, "one", topic: composed)
        #expect(world.delivered[1].isEmpty)
        world.subscribe(1, composed)
        #expect(world.routers[1].topics.map { Array($0.utf8) } == [Array(decomposed.utf8), Array(composed.utf8)])
        #expect(world.routers[1].occupancy.peerTopics == 1)
        #expect(world.routers[0].meshPeers(composed) == [world.peer(1)])
        #expect(world.routers[0].meshPeers(decomposed).isEmpty)
        _ = world.publish(0, "two", topic: composed)
        _ = world.publish(0, "three", topic: decomposed)
        #expect(world.texts(1) == ["two", "three"])
        #expect(world.delivered[1].map { Array($0.topic.utf8) } == [Array(composed.utf8), Array(decomposed.utf8)])
        world.run(1, world.routers[1].unsubscribe(composed, now: world.now))
        world.settle()
        #expect(world.routers[0].peers(of: composed).isEmpty)
        #expect(world.routers[0].peers(of: decomposed) == [world.peer(1)])
    }

    @Test func nothingIsForwardedBeforeTheVerdict() {
        var world = GossipWorld(routers: 3)
        world.verdict = { router, _ in router == 1 ? nil : .accept }
        for number in 0..<3 { world.subscribe(number, "t") }
        world.connect(0, 1)
        world.connect(1, 2)
        let id = world.publish(0, "hello", topic: "t")
        #expect(world.asked[1].map(\.id) == [id])
        #expect(world.texts(1).isEmpty)
        #expect(world.texts(2).isEmpty)
        world.run(1, world.routers[1].validated(id, .accept, now: world.now))
        world.settle()
        #expect(world.texts(1) == ["hello"])
        #expect(world.texts(2) == ["hello"])
        #expect(world.routers[1].validated(id, .accept, now: world.now).isEmpty, "a second verdict changes nothing")
    }

    @Test func anIgnoredMessageStopsHereAndBlamesNobody() {
        var world = GossipWorld(routers: 3)
        world.verdict = { router, _ in router == 1 ? .ignore : .accept }
        for number in 0..<3 { world.subscribe(number, "t") }
        world.connect(0, 1)
        world.connect(1, 2)
        _ = world.publish(0, "hello", topic: "t")
        #expect(world.texts(2).isEmpty)
        #expect(world.routers[1].counters.ignored == 1)
        #expect(world.routers[1].scoring.score(of: world.peer(0)) == 0)
    }

    @Test func aRejectedMessageStopsHereAndBlamesEveryoneWhoSentIt() {
        var lone = LoneRouter()
        let second = TestIdentity.all[5].peerID
        _ = lone.router.connected(second, version: .meshsub11, isOutbound: true, now: lone.now)
        lone.subscribe("t")
        let message = lone.message()
        #expect(lone.receive { $0.messages = [message.encoded] }.asksForVerdict == [message.id])
        #expect(lone.receive(from: second) { $0.messages = [message.encoded] }.isEmpty)
        #expect(lone.router.validated(message.id, .reject, now: lone.now).isEmpty)
        #expect(lone.total(.invalidMessage) == 1)
        #expect(lone.router.scoring.record(of: second)?.total(.invalidMessage) == 1)
        #expect(lone.router.counters.rejected == 1)
    }

    @Test func aMessageIsNotSentBackToThoseWhoHadItNorToItsAuthor() {
        var lone = LoneRouter()
        let author = TestIdentity.all[2].peerID
        let duplicator = TestIdentity.all[5].peerID
        let other = TestIdentity.all[6].peerID
        for peer in [author, duplicator, other] {
            _ = lone.router.connected(peer, version: .meshsub11, isOutbound: true, now: lone.now)
        }
        lone.subscribe("t")
        for peer in [lone.peer, author, duplicator, other] {
            _ = lone.receive(from: peer) { $0.subscriptions = [.init(subscribes: true, topic: "t")] }
        }
        #expect(lone.router.meshPeers("t").count == 4)
        let message = lone.message()
        _ = lone.receive { $0.messages = [message.encoded] }
        _ = lone.receive(from: duplicator) { $0.messages = [message.encoded] }
        let actions = lone.router.validated(message.id, .accept, now: lone.now)
        #expect(actions.count == 2)
        #expect(actions.rpcs(to: other).map(\.messages) == [[message.encoded]])
        #expect(actions.delivers == [message.id])
    }

    @Test func aForgeryDoesNotSuppressTheOriginal() {
        var lone = LoneRouter()
        lone.subscribe("t")
        let message = lone.message()
        var forged = message.encoded
        forged[forged.count - 1] ^= 1
        #expect(lone.receive { $0.messages = [forged] }.isEmpty)
        #expect(lone.total(.invalidMessage) == 1)
        #expect(lone.router.counters.badSignatures == 1)
        #expect(lone.receive { $0.messages = [message.encoded] }.asksForVerdict == [message.id])
    }

    @Test func messagesOfOtherTopicsAreIgnored() {
        var lone = LoneRouter()
        lone.subscribe("t")
        let message = lone.message(topic: "other")
        #expect(lone.receive { $0.messages = [message.encoded] }.isEmpty)
        #expect(lone.router.counters.unwantedTopics == 1)
        #expect(lone.router.occupancy.seen == 0)
    }

    @Test func aFloodsubPeerGetsEverythingOfItsTopicsAndNoControl() {
        var lone = LoneRouter(version: .floodsub)
        lone.subscribe("t")
        #expect(lone.receive { $0.subscriptions = [.init(subscribes: true, topic: "t")] }.isEmpty)
        #expect(lone.receive { $0.graft = ["t"] }.isEmpty, "it has no say in meshes")
        #expect(lone.router.meshPeers("t").isEmpty)
        let other = TestIdentity.all[5].peerID
        _ = lone.router.connected(other, version: .meshsub11, isOutbound: true, now: lone.now)
        let message = lone.message()
        _ = lone.receive(from: other) { $0.messages = [message.encoded] }
        let actions = lone.router.validated(message.id, .accept, now: lone.now)
        #expect(actions.rpcs(to: lone.peer).map(\.messages) == [[message.encoded]])
        #expect(lone.heartbeat().rpcs(to: lone.peer).isEmpty)
    }

    @Test func pruneCarriesABackoffOnlyForPeersThatKnowIt() {
        for (version, expected) in [(GossipSubVersion.meshsub10, UInt64?.none), (.meshsub11, 10)] {
            var lone = LoneRouter(version: version)
            lone.subscribe("t")
            _ = lone.receive { $0.graft = ["t"] }
            let prunes = lone.router.unsubscribe("t", now: lone.now).rpcs(to: lone.peer).flatMap(\.prune)
            #expect(prunes == [.init(topic: "t", backoffSeconds: expected)])
        }
    }

    @Test func leavingATopicPrunesTheMeshAndBothSidesKeepTheBackoff() {
        var world = GossipWorld(routers: 2)
        world.connect(0, 1)
        world.subscribe(0, "t")
        world.subscribe(1, "t")
        world.run(0, world.routers[0].unsubscribe("t", now: world.now))
        world.settle()
        #expect(world.routers[1].meshPeers("t").isEmpty)
        #expect(world.routers[1].peers(of: "t").isEmpty)
        world.subscribe(0, "t")
        #expect(world.routers[0].meshPeers("t").isEmpty, "the back-off runs")
        world.advance(milliseconds: 9_000)
        #expect(world.routers[0].meshPeers("t").isEmpty)
        world.advance(milliseconds: 4_000)
        #expect(world.routers[0].meshPeers("t") == [world.peer(1)])
        #expect(world.routers[1].meshPeers("t") == [world.peer(0)])
        #expect(world.routers[0].scoring.score(of: world.peer(1)) == 0, "nobody grafted too early")
    }

    @Test func aPublisherWithoutSubscriptionReachesTheTopicByFanout() {
        for floodPublish in [true, false] {
            var parameters = GossipSubParameters()
            parameters.floodPublish = floodPublish
            var world = GossipWorld(routers: 3, parameters: parameters)
            world.connect(0, 1)
            world.connect(1, 2)
            world.subscribe(1, "t")
            world.subscribe(2, "t")
            _ = world.publish(0, "hello", topic: "t")
            #expect(world.texts(1) == ["hello"])
            #expect(world.texts(2) == ["hello"])
            #expect(world.routers[0].occupancy.fanouts == 1)
            world.advance(milliseconds: 61_000)
            #expect(world.routers[0].occupancy.fanouts == 0, "an unused fanout is forgotten")
        }
    }

    @Test func ownMessagesGoToAllPeersOfTheTopicWithFloodPublish() {
        for (floodPublish, expected) in [(true, 20), (false, 6)] {
            var parameters = GossipSubParameters()
            parameters.floodPublish = floodPublish
            var lone = LoneRouter(parameters: parameters)
            lone.subscribe("t")
            for number in 10..<30 {
                let peer = TestIdentity.all[number].peerID
                _ = lone.router.connected(peer, version: .meshsub11, isOutbound: false, now: lone.now)
                _ = lone.receive(from: peer) { $0.subscriptions = [.init(subscribes: true, topic: "t")] }
            }
            _ = lone.heartbeat()
            let mesh = lone.router.meshPeers("t").count
            let sent = try! lone.router.publish([1], topic: "t", identity: lone.identity, now: lone.now).actions
            guard case .send(_, let recipients)? = sent.first else {
                Issue.record("nothing was sent")
                continue
            }
            #expect(recipients.count == (floodPublish ? expected : mesh))
            #expect((5...6).contains(mesh))
        }
    }

    @Test func whatWasLostInTheMeshIsFetchedByGossip() {
        var parameters = GossipSubParameters()
        parameters.floodPublish = false
        var world = GossipWorld(routers: 12, parameters: parameters)
        for number in 0..<12 { world.subscribe(number, "t") }
        for left in 0..<12 { for right in (left + 1)..<12 { world.connect(left, right) } }
        world.advance(milliseconds: 3_000)
        // Router 11 gets only announcements and what it asks for.
        world.isLost = { _, to, rpc in to == 11 && !rpc.messages.isEmpty }
        _ = world.publish(0, "hello", topic: "t")
        #expect(world.texts(11).isEmpty)
        for number in 1..<11 { #expect(world.texts(number) == ["hello"]) }
        world.isLost = { _, _, _ in false }
        world.advance(milliseconds: 1_500)
        #expect(world.texts(11) == ["hello"])
        let retransmitted = world.routers.reduce(0) { $0 + $1.counters.messagesRetransmitted }
        #expect(retransmitted >= 1)
    }

    @Test func meshDegreesStayWithinBoundsInAFullNetwork() {
        var world = GossipWorld(routers: 30)
        for number in 0..<30 { world.subscribe(number, "t") }
        for left in 0..<30 { for right in (left + 1)..<30 { world.connect(left, right) } }
        world.advance(milliseconds: 5_000)
        for router in world.routers {
            #expect((5...12).contains(router.meshPeers("t").count), "degree \(router.meshPeers("t").count)")
            for peer in router.meshPeers("t") {
                let other = world.routers.first { $0.localPeer == peer }
                #expect(other?.meshPeers("t").contains(router.localPeer) == true, "a mesh is the same from both sides")
            }
        }
    }

    @Test func anOverfullMeshIsPrunedToDWithEnoughOutboundPeers() {
        var lone = LoneRouter()
        lone.subscribe("t")
        // Twelve inbound peers fill the mesh; two outbound ones are still admitted, a third is not.
        for number in 10..<25 {
            let peer = TestIdentity.all[number].peerID
            _ = lone.router.connected(peer, version: .meshsub11, isOutbound: number >= 22, now: lone.now)
            _ = lone.receive(from: peer) { $0.graft = ["t"] }
        }
        #expect(lone.router.meshPeers("t").count == 14)
        let prunes = lone.heartbeat().filter { if case .send(let rpc, _) = $0 { !rpc.prune.isEmpty } else { false } }
        let mesh = lone.router.meshPeers("t")
        #expect(mesh.count == 6)
        #expect(prunes.count == 8)
        #expect(mesh.contains(TestIdentity.all[22].peerID) && mesh.contains(TestIdentity.all[23].peerID))
    }

    @Test func aFullMeshRefusesInboundGraftsAndTakesOutboundOnes() {
        var lone = LoneRouter()
        lone.subscribe("t")
        for number in 10..<22 {
            let peer = TestIdentity.all[number].peerID
            _ = lone.router.connected(peer, version: .meshsub11, isOutbound: false, now: lone.now)
            #expect(lone.receive(from: peer) { $0.graft = ["t"] }.isEmpty)
        }
        let refused = lone.receive { $0.graft = ["t"] }.rpcs(to: lone.peer)
        #expect(refused.flatMap(\.prune) == [.init(topic: "t", backoffSeconds: 60)])
        let outbound = TestIdentity.all[30].peerID
        _ = lone.router.connected(outbound, version: .meshsub11, isOutbound: true, now: lone.now)
        #expect(lone.receive(from: outbound) { $0.graft = ["t"] }.isEmpty)
        #expect(lone.router.meshPeers("t").count == 13)
    }

    @Test func aReopenedStreamTellsAgainOfTopicsAndMeshes() {
        var lone = LoneRouter()
        lone.subscribe("t")
        lone.subscribe("u")
        _ = lone.receive { $0.graft = ["t"] }
        let hello = lone.router.streamReopened(lone.peer, now: lone.now).rpcs(to: lone.peer)
        #expect(hello.first?.subscriptions.map(\.topic) == ["t", "u"])
        #expect(hello.first?.graft == ["t"])
        #expect(hello.count == 1)
    }

    @Test func aReopenedStreamTellsAMeshPeerOfTheMessagesThatMayHaveBeenLost() throws {
        var lone = LoneRouter()
        lone.subscribe("t")
        _ = lone.receive {
            $0.subscriptions = [.init(subscribes: true, topic: "t")]
            $0.graft = ["t"]
        }
        let lost = try lone.router.publish([1], topic: "t", identity: lone.identity, now: lone.now).id
        let told = lone.router.streamReopened(lone.peer, now: lone.now).rpcs(to: lone.peer)
        #expect(told.flatMap(\.ihave) == [.init(topic: "t", messageIDs: [lost])])
        let sent = lone.receive { $0.iwant = [[lost]] }.rpcs(to: lone.peer).flatMap(\.messages)
        #expect(sent.count == 1)
        for _ in 0..<3 { _ = lone.heartbeat() }
        #expect(lone.router.streamReopened(lone.peer, now: lone.now).rpcs(to: lone.peer).flatMap(\.ihave).isEmpty)
    }

    @Test func nothingIsLeftOfAPeerThatIsGone() {
        var lone = LoneRouter()
        lone.subscribe("t")
        _ = lone.receive {
            $0.subscriptions = (0..<100).map { .init(subscribes: true, topic: "topic-\($0)") }
            $0.graft = ["t"]
            $0.ihave = [.init(topic: "t", messageIDs: [.init(bytes: [1])])]
        }
        #expect(lone.router.occupancy.peerTopics == 100)
        #expect(lone.router.occupancy.promises == 1)
        lone.router.disconnected(lone.peer, now: lone.now)
        lone.router.checkInvariants()
        let left = lone.router.occupancy
        #expect(left.peers == 0 && left.peerTopics == 0 && left.promises == 0 && left.scores == 0)
        #expect(left.departedScores == 0, "an unblemished peer leaves no record")
        #expect(lone.router.meshPeers("t").isEmpty)
        #expect(lone.receive { $0.graft = ["t"] }.isEmpty)
        #expect(lone.router.counters.unknownPeerInputs == 1)
    }

    @Test func theSameSeedGivesTheSameActions() {
        func run() -> [[String]] {
            var world = GossipWorld(routers: 16, seed: 99)
            for number in 0..<16 { world.subscribe(number, "t") }
            for left in 0..<16 { for right in (left + 1)..<16 { world.connect(left, right) } }
            world.advance(milliseconds: 4_000)
            _ = world.publish(3, "hello", topic: "t")
            return world.routers.map { $0.meshPeers("t").map(\.text) }
        }
        #expect(run() == run())
    }
}
