import Foundation
import GRDB
import GossipSub
import LibP2P
import LogTesting
import MerkleLog
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PTesting
import PeerIdentity
import Receipts
import SignedObjects
import Synchronization
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// Nodes that keep the logs of others, over sockets.
@Suite("Logs of others", .serialized) struct FollowTests {
    private let folder = URL(fileURLWithPath: "/tmp/mn-\(UUID().uuidString.prefix(8))")
    private let identities = (0..<4).map { _ in Identity.generate() }

    /// A node of a home that goes by its number, as often as it is opened.
    private func open(
        _ number: Int, following authors: [String] = [], witnessing witnessed: [String] = [],
        by entrance: MeshNode? = nil
    ) async throws -> MeshNode {
        var configuration = try NodeMesh.loopback()
        configuration.witness.authors = witnessed
        configuration.log.follow = authors
        configuration.executor.isEnabled = false
        if let entrance {
            configuration.bootstrap = await entrance.swarm.listenAddresses().map {
                $0.withPeerID(entrance.identity.peerID)
            }
        }
        return try await NodeMesh.open(
            folder.appendingPathComponent("\(number)").path, configuration, identity: identities[number])
    }

    private func entries(of author: DID, at node: MeshNode) async -> UInt64 {
        await node.parts.follower.log(of: author)?.tree.size ?? 0
    }

    private func hasProof(_ node: MeshNode, _ author: DID) async throws -> Bool {
        try await node.logForks(of: author.text, after: nil, limit: 1).map(\.author) == [author.text]
    }

    private func publish(_ author: LogAuthor, by peer: HostilePeer, to nodes: [MeshNode]) async throws {
        let message = MeshProtocolMessage.logHead(LogHeadV1(note: try author.note().bytes))
        try await peer.publish(
            try message.encoded(), topic: MeshTopics.logHeads(scope: AnchorEntry.globalScope), to: nodes)
    }

    @Test("What nodes anchor while jobs run reaches those that follow all, and each entry verifies there")
    func jobs() async throws {
        try await NodeMesh.run(prices: [10]) { _, configuration in
            configuration.log.follow = ["all"]
        } _: { mesh in
            let module = try Assembler.command("nop")
            _ = try await mesh.result(of: try await mesh.submit(module))
            for (node, other) in [(mesh.nodes[0], mesh.nodes[1]), (mesh.nodes[1], mesh.nodes[0])] {
                let did = other.identity.did
                try await eventually("the log of \(did) is kept", within: 60) {
                    let own = (try? await other.logHead(since: nil).size) ?? 0
                    return await entries(of: did, at: node) == own && own > 0
                }
                let listed = try await node.log(of: did.text, below: nil, limit: 100)
                #expect(listed == (try await other.log(below: nil, limit: 100)))
                let view = try #require(try await node.followedLogs().first { $0.author == did.text })
                #expect(view.isFollowed && view.obstacle == nil && view.headEntries == view.entries)
                let blocks = try await node.logBlocks(of: did.text, from: 0, limit: 100)
                #expect(blocks.map(\.entryCID) == listed.reversed().map(\.entryCID))
            }
        }
    }

    @Test("A log is had from whoever keeps it when its author is away, and by ranges")
    func handedOn() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var author = LogAuthor(identities[0])
        try author.grow(to: 700)
        try await author.write(to: folder.appendingPathComponent("0").path)
        let did = author.identity.did
        do {
            let first = try await open(0)
            let second = try await open(1, following: [did.text], by: first)
            try await NodeMesh.running([first, second]) {
                try await eventually("the log is kept", within: 60) { await entries(of: did, at: second) == 700 }
            }
        }
        let second = try await open(1)
        let third = try await open(2, following: [did.text], by: second)
        try await NodeMesh.running([second, third]) {
            try await eventually("it is handed on", within: 60) { await entries(of: did, at: third) == 700 }
            #expect(await third.parts.follower.log(of: did)?.tree == author.tree)
            let synced = try await third.syncLogs(of: did.text)
            #expect(synced.map(\.newEntries) == [0] && synced.first?.log.entries == 700)
            await #expect(throws: NodeServiceError.self) { _ = try await second.syncLogs(of: did.text) }
        }
    }

    @Test("A fetch that a restart cut off goes on where it was")
    func restart() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var author = LogAuthor()
        try author.grow(to: 700)
        let (did, giver) = (author.identity.did, LogGiver(author))
        giver.set { $0.left = 1 }
        for size in [512, 700] as [UInt64] {
            let node = try await open(0, following: [did.text])
            try await NodeMesh.running([node]) {
                try await HostilePeer.meeting([node], as: author.identity) { peer in
                    await giver.serve(on: peer.swarm)
                    try await eventually("\(size) entries are kept", within: 60) {
                        await entries(of: did, at: node) == size
                    }
                    if size == 700 { #expect(giver.starts.first == 512) }
                }
            }
            giver.set {
                $0.left = .max
                $0.starts = []
            }
        }
        let node = try await open(0, following: [did.text])
        #expect(await entries(of: did, at: node) == 700)
        try await NodeMesh.running([node]) {}
    }

    @Test("Nothing wrong is kept, who gives it is blamed, and an honest node is asked")
    func liar() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var (author, other) = (LogAuthor(identities[1]), LogAuthor())
        try author.grow(to: 40)
        try other.grow(to: 40)
        try await author.write(to: folder.appendingPathComponent("1").path)
        let (did, giver, block) = (author.identity.did, LogGiver(author), other.entries[7].bytes)
        giver.set { $0.change = { if $0.entries.count > 7 { $0.entries[7] = block } } }
        let node = try await open(0, following: [did.text])
        try await NodeMesh.running([node]) {
            try await HostilePeer.meeting([node]) { peer in
                await giver.serve(on: peer.swarm)
                try await eventually("the liar is blamed", within: 60) {
                    await node.core.tallies["misbehaviours", default: 0] > 0
                }
                #expect(await entries(of: did, at: node) == 0)
                let honest = try await open(1, by: node)
                try await NodeMesh.running([honest]) {
                    try await eventually("the log is kept", within: 60) { await entries(of: did, at: node) == 40 }
                }
                #expect(await node.parts.follower.log(of: did)?.tree == author.tree)
            }
        }
    }

    @Test("Two histories are found by who follows, and the proof reaches who only heard of the author, and stays")
    func fork() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var author = LogAuthor()
        try author.grow(to: 30)
        var other = author
        try author.grow(to: 60)
        try other.grow(to: 70, "other ")
        let (did, giver, forked) = (author.identity.did, LogGiver(author), other)
        let node = try await open(0, following: [did.text])
        let listener = try await open(1, by: node)
        try await NodeMesh.running([node, listener]) {
            try await HostilePeer.meeting([node, listener], as: author.identity) { peer in
                await giver.serve(on: peer.swarm)
                try await publish(author, by: peer, to: [node, listener])
                try await eventually("the log is kept", within: 60) { await entries(of: did, at: node) == 60 }
                try await eventually("the head is known") { await listener.parts.follower.heads[did] != nil }
                giver.set { $0.author = forked }
                try await publish(other, by: peer, to: [node, listener])
                for each in [node, listener] {
                    try await eventually("the proof is kept", within: 60) {
                        try await each.logForks(of: nil, after: nil, limit: 10).map(\.author) == [did.text]
                    }
                }
                let view = try #require(try await node.followedLogs().first { $0.author == did.text })
                #expect(view.entries == 60 && view.hasForked && !view.isFollowed)
            }
        }
        let again = try await open(0, following: [did.text])
        try await NodeMesh.running([again]) {
            let fork = try #require(try await again.logForks(of: did.text, after: nil, limit: 1).first)
            #expect(try LogFork(verifying: Array(fork.text.utf8)).author == did)
            #expect(await again.parts.follower.log(of: did)?.tree == author.tree)
            let view = try await again.reputation(of: did.text)
            for judged in [view.subjects.first, view.originators.first] {
                #expect(judged?.receipts == ["equivocated": 1], "on both sides")
                #expect(judged?.reasons?.map(\.receiptCID) == [CID.hashing(Array(fork.text.utf8), codec: .raw).text])
            }
            let stored = try await LogForkRow.all(in: again.store)
            let (date, foundAt) = (view.subjects.first?.reasons?.first?.at, try #require(stored.first?.foundAt))
            #expect(date.map { $0 <= foundAt } ?? false, "dated by when it was had, not by the restart")
        }
    }

    @Test("Whoever comes after a proof was told is told again, and its author, too")
    func latecomers() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var author = LogAuthor(identities[2])
        var other = author
        try author.grow(to: 2)
        try other.grow(to: 2, "other ")
        let (did, both) = (author.identity.did, [author, other])
        let node = try await open(0)
        try await NodeMesh.running([node]) {
            try await HostilePeer.meeting([node], as: author.identity) { peer in
                for history in both { try await publish(history, by: peer, to: [node]) }
                try await eventually("the two heads are a proof") { try await hasProof(node, did) }
            }
            // The one follows the author, the next is its witness, and neither heard a head; the last has its key.
            let latecomers = [
                try await open(1, following: [did.text], by: node),
                try await open(3, witnessing: [did.text], by: node), try await open(2, by: node),
            ]
            try await NodeMesh.running(latecomers) {
                for each in latecomers {
                    try await eventually("it has the proof", within: 60) { try await hasProof(each, did) }
                }
            }
        }
    }

    @Test("What is kept of an author that is followed no more is removed when the owner says so")
    func forgotten() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var (author, other) = (LogAuthor(), LogAuthor())
        try author.grow(to: 20)
        try other.grow(to: 3)
        let (text, authors) = (author.identity.did.text, [author, other])
        func run(
            following followed: [LogAuthor], _ body: (FollowerStand) async throws -> Void
        ) async throws {
            let names = followed.map(\.identity.did.text)
            try await FollowerStand.run(in: folder, following: names, as: identities[0], .init(), body)
        }
        try await run(following: authors) { stand in
            for author in authors {
                let giver = LogGiver(author)
                try await stand.meeting(author.identity) { peer in
                    await giver.serve(on: peer)
                    await stand.follower.fetch(author.identity.did)
                }
            }
            let refusal = await #expect(throws: NodeServiceError.self) { try await stand.follower.forget(text) }
            #expect(refusal?.message == "This node follows the log of \(text).")
        }
        try await run(following: [other]) { stand in
            #expect(await stand.follower.share.total.entries == 23)
            let gone = try await stand.follower.forget(text)
            #expect(gone.entries == 20 && gone.bytes == author.entries.reduce(0) { $0 + UInt64($1.bytes.count) })
            #expect(try await stand.follower.forget(text).entries == 0)
            #expect(await stand.follower.log(of: author.identity.did) == nil)
        }
        try await run(following: []) { stand in
            #expect(await stand.follower.share.total.entries == 3)
            #expect(await stand.follower.log(of: other.identity.did)?.tree == other.tree)
            let own = await #expect(throws: NodeServiceError.self) {
                try await stand.follower.forget(identities[0].did.text)
            }
            #expect(own?.message == "That is this node's own log.")
        }
    }

    @Test("Two heads of one size are the proof by themselves, and a head of before that does not fit is one as well")
    func twoHeads() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var author = LogAuthor()
        try author.grow(to: 5)
        var (earlier, other) = (author, author)
        try author.grow(to: 12)
        try other.grow(to: 12, "other ")
        try earlier.grow(to: 8, "earlier ")
        let (did, giver) = (author.identity.did, LogGiver(author))
        let listener = try await open(0)
        try await NodeMesh.running([listener]) {
            try await HostilePeer.meeting([listener], as: author.identity) { peer in
                try await publish(author, by: peer, to: [listener])
                try await eventually("the head is known") { await listener.parts.follower.heads[did] != nil }
                try await publish(other, by: peer, to: [listener])
                try await eventually("the two heads are a proof") { try await hasProof(listener, did) }
            }
        }
        // Who follows has the tree of every size.
        let node = try await open(1, following: [did.text])
        try await NodeMesh.running([node]) {
            try await HostilePeer.meeting([node], as: author.identity) { peer in
                await giver.serve(on: peer.swarm)
                try await publish(author, by: peer, to: [node])
                try await eventually("the log is kept", within: 60) { await entries(of: did, at: node) == 12 }
                try await publish(earlier, by: peer, to: [node])
                try await eventually("the earlier head is a proof") { try await hasProof(node, did) }
            }
        }
    }

    @Test("A smaller head of another history is a proof, too, where a peer gives it and no entry")
    func smallerHead() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var author = LogAuthor()
        try author.grow(to: 30)
        var other = author
        try author.grow(to: 60)
        try other.grow(to: 40, "other ")
        let (did, giver, forked) = (author.identity.did, LogGiver(author), other)
        try await FollowerStand.run(in: folder, following: [did.text]) { stand in
            try await stand.meeting(author.identity) { peer in
                await giver.serve(on: peer)
                await stand.follower.fetch(did)
                #expect(await stand.follower.log(of: did)?.tree == author.tree)
                giver.set { $0.author = forked }
                await stand.follower.fetch(did)
                let fork = try #require(await stand.follower.forks[did])
                let read = try LogFork(verifying: fork.bytes)
                #expect(read == fork)
                #expect(await stand.follower.obstacle(of: did) == "it told two histories")
            }
        }
    }

    @Test("However many strangers prove that they lied, a proof against a followed author has its place")
    func manyForks() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        func fork() throws -> LogFork {
            var author = LogAuthor()
            var other = author
            try author.grow(to: 2)
            try other.grow(to: 2, "other ")
            return try #require(LogFork(author.note().bytes, other.note().bytes))
        }
        let (named, strangers) = (try fork(), try (0..<4).map { _ in try fork() })
        var limits = LogFollower.Limits()
        limits.strangersForksMax = 3
        try await FollowerStand.run(in: folder, following: [named.author.text], limits) { stand in
            let told = Mutex<[FoundFork]>([])
            try await stand.follower.begin(
                admitting: { _ in true }, blame: { _, _ in }, onKept: { _, _ in },
                onFork: { fork in told.withLock { $0.append(fork) } })
            for each in strangers { await stand.follower.found(each) }
            #expect(await stand.follower.forks.count == 3)
            await stand.follower.found(named)
            #expect(await stand.follower.forks[named.author] == named)
            #expect(told.withLock { $0.map(\.author) } == strangers.map(\.author) + [named.author])
            #expect(told.withLock { $0.map(\.isKept) } == [true, true, true, false, true])
            let stored = try await LogForkRow.all(in: stand.follower.store)
            #expect(stored.count == 4)
            var (paged, last) = ([String](), String?.none)
            while case let page = try await stand.follower.forkViews(of: nil, after: last, limit: 3), !page.isEmpty {
                paged += page.map(\.author)
                last = page.last?.author
            }
            #expect(paged == paged.sorted() && Set(paged).count == 4)
        }
    }

    @Test("Strangers have a part of the fetches, and who gives a log slowly has a turn and no more")
    func turns() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var authors = (0..<4).map { _ in LogAuthor() }
        for index in authors.indices { try authors[index].grow(to: 2) }
        let all = authors
        var limits = LogFollower.Limits()
        limits.strangersFetchesMax = 2
        limits.turnMilliseconds = 0
        try await FollowerStand.run(in: folder, following: ["all", all[3].identity.did.text], limits) { stand in
            for author in all { #expect(await stand.hear(author) == .accept) }
            let due = await stand.follower.due()
            #expect(due.count == 3 && due.contains(all[3].identity.did))
            let giver = LogGiver(all[0])
            try await stand.meeting(all[0].identity) { peer in
                await giver.serve(on: peer)
                await stand.follower.fetch(all[0].identity.did)
            }
            #expect(await stand.follower.obstacle(of: all[0].identity.did) == "the rest comes with its next turn")
            #expect(giver.starts.isEmpty, "a turn of no time asks nothing")
        }
    }

    @Test("So many logs are fetched at once, one fetch asks so many peers, and so many ranges are read at once")
    func bounds() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var authors = (0..<3).map { _ in LogAuthor() }
        for index in authors.indices { try authors[index].grow(to: 2) }
        let (all, wanted) = (authors, authors[0])
        var limits = LogFollower.Limits()
        limits.fetchesMax = 2
        limits.peersAskedMax = 1
        limits.servedAtOnceMax = 0
        let names = all.map(\.identity.did.text)
        try await FollowerStand.run(in: folder, following: names, limits) { stand in
            #expect(await stand.follower.due().count == 2)
            // Two peers that have the log and refuse, of whom one is asked.
            let givers = [LogGiver(wanted), LogGiver(wanted)]
            for giver in givers { giver.set { $0.left = 0 } }
            try await stand.meeting(all[1].identity) { one in
                try await stand.meeting(all[2].identity) { other in
                    await givers[0].serve(on: one)
                    await givers[1].serve(on: other)
                    await stand.follower.fetch(wanted.identity.did)
                    #expect(givers.map(\.starts.count).reduce(0, +) == 1)
                }
            }
            // One that gives it.
            let giver = LogGiver(wanted)
            try await stand.meeting(wanted.identity) { peer in
                await giver.serve(on: peer)
                await stand.follower.fetch(wanted.identity.did)
                #expect(await stand.follower.log(of: wanted.identity.did)?.isComplete == true)
                // No range is read where none may be, however few were asked for.
                try await stand.follower.begin { _ in
                    true
                } blame: { _, _ in
                } onKept: { _, _ in
                }
                let refusal = await #expect(throws: LogExchange.Failure.self) {
                    _ = try await LogExchange(host: peer).range(
                        wanted.request(from: 0), from: stand.follower.identity.peerID)
                }
                guard case .some(.none) = refusal else {
                    throw NodeServiceError(.internalError, "\(String(describing: refusal))")
                }
            }
        }
        // The same is served by who reads one at a time.
        limits.servedAtOnceMax = 1
        try await FollowerStand.run(in: folder.appendingPathComponent("one"), following: names, limits) { stand in
            let giver = LogGiver(wanted)
            try await stand.meeting(wanted.identity) { peer in
                await giver.serve(on: peer)
                await stand.follower.fetch(wanted.identity.did)
                try await stand.follower.begin { _ in
                    true
                } blame: { _, _ in
                } onKept: { _, _ in
                }
                let range = try await LogExchange(host: peer).range(
                    wanted.request(from: 0), from: stand.follower.identity.peerID)
                #expect(range.entries == wanted.entries.map(\.bytes))
            }
        }
    }

    @Test("An author that begins again too often is kept no further")
    func beginnings() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var limits = LogFollower.Limits()
        limits.share.logsPerAuthorMax = 2
        let identity = identities[0]
        try await FollowerStand.run(in: folder, following: [identity.did.text], limits) { stand in
            for beginning in [nil, 1, 2] as [UInt64?] {
                var author = LogAuthor(identity)
                author.openedAt = beginning.map { UnixMilliseconds($0) }
                try author.grow(to: 3, "\(beginning ?? 0) ")
                let giver = LogGiver(author)
                try await stand.meeting(identity) { peer in
                    await giver.serve(on: peer)
                    await stand.follower.fetch(identity.did)
                }
                let isKept = await stand.follower.log(of: identity.did)?.origin.text == author.origin
                #expect(isKept == (beginning != 2), "\(String(describing: beginning))")
            }
            #expect(await stand.follower.obstacle(of: identity.did) == "it began again too often")
            #expect(await stand.follower.share.total.entries == 6)
        }
    }

    @Test("Heads of one author, and proofs by one peer, are judged up to a rate")
    func heads() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var limits = LogFollower.Limits()
        (limits.headsPerSecondMax, limits.headsBurstMax) = (0, 3)
        (limits.forksPerSecondMax, limits.forksBurstMax) = (0, 2)
        try await FollowerStand.run(in: folder, following: [], limits) { stand in
            func judge(
                _ message: MeshProtocolMessage, by identity: Identity, _ topic: String, _ number: Int
            ) async throws -> GossipVerdict {
                await stand.follower.judge(
                    try GossipMessage.sign(
                        try message.encoded(), topic: topic, sequenceNumber: UInt64(number), identity: identity))
            }
            var (author, verdicts) = (LogAuthor(), [GossipVerdict]())
            for size in 1...5 {
                try author.grow(to: size)
                let head = MeshProtocolMessage.logHead(LogHeadV1(note: try author.note().bytes))
                verdicts.append(
                    try await judge(head, by: author.identity, MeshTopics.logHeads(scope: "global"), size))
            }
            #expect(verdicts == [.accept, .accept, .accept, .ignore, .ignore])
            // The newest head again costs nothing to judge.
            #expect(await stand.follower.heads[author.identity.did]?.head.size == 3)

            let teller = Identity.generate()
            verdicts = []
            for number in 1...3 {
                var one = LogAuthor()
                var other = one
                try one.grow(to: 1)
                try other.grow(to: 1, "other ")
                #expect(await stand.hear(one) == .accept)
                let both = try #require(LogFork(one.note().bytes, other.note().bytes))
                let fork = MeshProtocolMessage.logFork(LogForkV1(proof: both.bytes))
                verdicts.append(try await judge(fork, by: teller, MeshTopics.logForks(scope: "global"), number))
            }
            #expect(verdicts == [.accept, .accept, .ignore])
        }
    }

    @Test("What is damaged of a kept log is fetched anew")
    func damaged() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var author = LogAuthor()
        try author.grow(to: 20)
        let (did, giver) = (author.identity.did, LogGiver(author))
        func fetched(_ sum: UInt64) async throws {
            try await FollowerStand.run(in: folder, following: [did.text], as: identities[0]) { stand in
                #expect(await stand.follower.share.total.entries == sum)
                try await stand.meeting(author.identity) { peer in
                    await giver.serve(on: peer)
                    await stand.follower.fetch(did)
                }
                #expect(await stand.follower.log(of: did)?.tree == author.tree)
            }
        }
        try await fetched(0)
        try await fetched(20)
        let queue = try DatabaseQueue(path: NodeHome(path: folder.path).databasePath)
        try await queue.write { try $0.execute(sql: "UPDATE followed_hashes SET hash = zeroblob(32)") }
        try queue.close()
        try await fetched(0)
    }

    @Test("A peer is given so many ranges at once; a question that does not read is held against it")
    func served() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var author = LogAuthor()
        try author.grow(to: 3)
        var limits = LogFollower.Limits()
        (limits.rangesPerSecondPerPeerMax, limits.rangesBurstPerPeerMax) = (0, 5)
        let (did, identity) = (author.identity.did, author.identity)
        let (blamed, blame) = AsyncStream.makeStream(of: PeerID.self, bufferingPolicy: .bufferingNewest(8))
        try await FollowerStand.run(in: folder, following: [did.text], limits) { stand in
            let (giver, server) = (LogGiver(author), await stand.follower.identity.peerID)
            try await stand.meeting(identity) { peer in
                await giver.serve(on: peer)
                await stand.follower.fetch(did)
                try await stand.follower.begin { _ in
                    true
                } blame: { peer, _ in
                    _ = blame.yield(peer)
                } onKept: { _, _ in
                }
                let exchange = LogExchange(host: peer)
                var request = author.request(from: 0)
                request.entriesMax = 2
                for _ in 0..<limits.rangesBurstPerPeerMax {
                    #expect(try await exchange.range(request, from: server).entries.count == 2)
                }
                let refusal = await #expect(throws: LogExchange.Failure.self) {
                    _ = try await exchange.range(request, from: server)
                }
                guard case .some(.none) = refusal else { throw NodeServiceError(.internalError, "it was given") }
                let raw = RequestResponse(host: peer, protocolID: MeshTopics.logs)
                await #expect(throws: RequestError.self) { _ = try await raw.request([1, 2, 3], to: server) }
                #expect(await blamed.first { _ in true } == identity.peerID)
            }
        }
    }

    @Test("A fresh node has a whole log from its author, by several ranges")
    func whole() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let count = 1_100
        var author = LogAuthor(identities[0])
        try author.grow(to: count)
        try await author.write(to: folder.appendingPathComponent("0").path)
        let (first, did) = (try await open(0), author.identity.did)
        let second = try await open(1, following: [did.text])
        try await NodeMesh.running([first, second]) {
            try await second.swarm.connect(to: first.identity.peerID, addresses: await first.swarm.listenAddresses())
            try await eventually("all of it is here", within: 120) {
                _ = try await second.syncLogs(of: did.text)
                return await entries(of: did, at: second) == UInt64(count)
            }
            #expect(await second.parts.follower.log(of: did)?.tree == author.tree)
        }
    }

    @Test("An author takes its own room and nobody else's")
    func quotas() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        var (flooder, small) = (LogAuthor(), LogAuthor())
        try flooder.grow(to: 90)
        try small.grow(to: 6)
        var limits = LogFollower.Limits()
        limits.share.entriesPerStrangerMax = 40
        limits.share.strangersMax = 2
        try await FollowerStand.run(in: folder, following: ["all"], limits) { stand in
            for author in [flooder, small] {
                let giver = LogGiver(author)
                try await stand.meeting(author.identity) { peer in
                    await giver.serve(on: peer)
                    let gossiped = await stand.hear(author)
                    #expect(gossiped == .accept)
                    await stand.follower.fetch(author.identity.did)
                }
            }
            let follower = stand.follower
            #expect(await follower.log(of: flooder.identity.did)?.tree.size == 40)
            #expect(await follower.obstacle(of: flooder.identity.did) == "the room for its log is used up")
            #expect(await follower.log(of: small.identity.did)?.tree == small.tree)
            #expect(await follower.share.total.entries == 46)
            // A third one has no place, unless the owner names it.
            var third = LogAuthor()
            try third.grow(to: 2)
            #expect(await stand.hear(third) == .accept)
            let followed = await follower.followed
            #expect(Set(followed) == [flooder.identity.did, small.identity.did])
        }
    }
}
