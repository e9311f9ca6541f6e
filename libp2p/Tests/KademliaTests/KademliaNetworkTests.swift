import Determinism
import Kademlia
import Multiformats
import Testing

@Suite("Kademlia over a virtual network")
struct KademliaNetworkTests {
    private func network(
        _ count: Int, seed: UInt64, lossPercent: Int = 0, refreshMilliseconds: Int64 = 600_000
    ) -> VirtualNetwork {
        var network = VirtualNetwork(seed: seed)
        network.lossPercent = lossPercent
        var configuration = KademliaConfiguration()
        configuration.refreshIntervalMilliseconds = refreshMilliseconds
        // Fewer walks per refresh: the tests run unoptimized.
        configuration.refreshBucketsMax = 3
        for _ in 0..<count { network.addNode(configuration: configuration) }
        network.joinAll()
        return network
    }

    @Test("walks find the true closest of 100 nodes")
    func closestIsTrue() {
        var network = network(100, seed: 21)
        for round in 0..<5 {
            let key = bytes("target \(round)")
            let target = KademliaKey(hashing: key)
            let asker = network.peers[round * 7]
            guard case .closest(let found)? = network.complete(.findClosest(key: key), at: asker) else {
                Issue.record("no result in round \(round)")
                continue
            }
            let truth = network.peers.filter { $0 != asker }.sorted {
                KademliaKey(of: $0).distance(to: target) < KademliaKey(of: $1).distance(to: target)
            }
            #expect(found.map(\.peerID) == Array(truth.prefix(20)))
        }
    }

    @Test("With 100 nodes and 10 % loss, values, providers and peers are found", arguments: [31] as [UInt64])
    func lossy(seed: UInt64) {
        var network = network(100, seed: seed, lossPercent: 10)
        for round in 0..<5 {
            let key = bytes("/text/\(round)")
            let value = bytes("ok \(round)")
            let stored = network.complete(.putValue(key: key, value: value), at: network.peers[round])
            guard case .stored(let holders)? = stored else {
                Issue.record("seed \(seed): put ended with \(String(describing: stored))")
                continue
            }
            #expect(holders.count >= 10, "seed \(seed)")
            let got = network.complete(.getValue(key: key), at: network.peers[99 - round])
            guard case .valueFound(let found, _)? = got else {
                Issue.record("seed \(seed): get ended with \(String(describing: got))")
                continue
            }
            #expect(found == value)
            let multihash = Multihash.sha256(of: bytes("block \(round)")).bytes
            let provider = network.peers[20 + round]
            guard case .provided? = network.complete(.provide(multihash: multihash), at: provider) else {
                Issue.record("seed \(seed): nobody was told of the provider")
                continue
            }
            let search = KademliaOperation.findProviders(multihash: multihash, limit: 1)
            #expect(
                network.complete(search, at: network.peers[60 + round])
                    == .providersFound([network.info(provider)]), "seed \(seed)")
            let sought = network.peers[40 + round]
            #expect(
                network.complete(.findPeer(sought), at: network.peers[80 + round])
                    == .peerFound(network.info(sought)), "seed \(seed)")
        }
    }

    @Test("The same seed gives the same run")
    func determinism() {
        func trace() -> [UInt64] {
            var network = network(16, seed: 41, lossPercent: 10)
            _ = network.complete(.putValue(key: bytes("/text/a"), value: bytes("ok")), at: network.peers[3])
            return [network.trace, UInt64(network.messages), network.generator.next()]
        }
        #expect(trace() == trace())
    }

    @Test("A forged value is neither stored nor returned, and the reason is told")
    func forgedValues() {
        var network = network(30, seed: 51)
        let key = bytes("/text/forged")
        let refused = KademliaOutcome.failed(.recordRefused(.invalid("the value does not begin with ok")))
        let asker = network.peers[1]
        #expect(network.complete(.putValue(key: key, value: bytes("no")), at: asker) == refused)
        #expect(
            network.complete(.putValue(key: bytes("/other/x"), value: bytes("ok")), at: asker)
                == .failed(.recordRefused(.unknownNamespace)))
        #expect(
            network.complete(.getValue(key: bytes("/other/x")), at: asker)
                == .failed(.recordRefused(.unknownNamespace)))
        for peer in network.peers.dropFirst(2) {
            network.adversaries[peer] = { request, _ in
                let record = KademliaRecord(key: request.key, value: bytes("no"))
                return KademliaMessage(kind: request.kind, key: request.key, record: record)
            }
        }
        let forged = network.complete(.getValue(key: key), at: asker)
        guard case .failed(.onlyInvalidRecords(let count, let reason))? = forged else {
            Issue.record("forgeries were not reported")
            return
        }
        #expect(count >= 10)
        #expect(reason == .invalid("the value does not begin with ok"))
        #expect(network.cores[asker]?.counters.invalidRecordsReceived == count)
        #expect(network.violations.allSatisfy { $0.what == .invalidRecord(reason) })
    }

    @Test("One honest holder is enough among forgers")
    func honestHolder() {
        var network = network(30, seed: 52)
        let key = bytes("/text/true")
        _ = network.complete(.putValue(key: key, value: bytes("ok true")), at: network.peers[2])
        for peer in network.peers[5..<25] {
            network.adversaries[peer] = { request, _ in
                let record = KademliaRecord(key: request.key, value: bytes("forged"))
                return KademliaMessage(kind: request.kind, key: request.key, record: record)
            }
        }
        for peer in [network.peers[27], network.peers[28]] {
            guard case .valueFound(let value, _)? = network.complete(.getValue(key: key), at: peer) else {
                Issue.record("the value was lost among forgeries")
                continue
            }
            #expect(value == bytes("ok true"))
        }
    }

    @Test("Made-up peers near the key cost a bounded number of requests")
    func poisonedAnswers() {
        var network = network(40, seed: 61)
        let key = bytes("/text/poisoned")
        _ = network.complete(.putValue(key: key, value: bytes("ok")), at: network.peers[2])
        for peer in network.peers[10..<25] {
            network.adversaries[peer] = { request, network in
                let made = (0..<500).map { number in
                    PeerInfo(
                        peerID: VirtualNetwork.randomPeer(&network.generator),
                        addresses: [VirtualNetwork.address(number)])
                }
                return KademliaMessage(kind: request.kind, key: request.key, closerPeers: made)
            }
        }
        let before = network.messages
        for asker in [network.peers[35], network.peers[39]] {
            let outcome = network.complete(.findClosest(key: bytes("elsewhere")), at: asker)
            guard case .closest(let closest)? = outcome else {
                Issue.record("the walk ended with \(String(describing: outcome))")
                continue
            }
            #expect(closest.allSatisfy { network.cores[$0.peerID] != nil })
            guard case .valueFound? = network.complete(.getValue(key: key), at: asker) else {
                Issue.record("the value was lost among made-up peers")
                continue
            }
        }
        #expect(network.messages - before <= 4 * Lookup.Limits().requestsMax)
    }

    @Test("Dead nodes leave the tables, and walks go around them")
    func deadNodes() {
        var network = network(40, seed: 71)
        let key = bytes("/text/survives")
        _ = network.complete(.putValue(key: key, value: bytes("ok")), at: network.peers[2])
        network.dead = Set(network.peers[5..<25])
        let asker = network.peers[35]
        guard case .valueFound? = network.complete(.getValue(key: key), at: asker) else {
            Issue.record("the value did not survive half the network")
            return
        }
        for _ in 0..<3 {
            network.act(asker) { $0.bootstrap(now: $1) }
            network.run(milliseconds: 120_000)
        }
        let members = network.cores[asker]?.table.members ?? []
        #expect(!members.isEmpty && members.allSatisfy { !network.dead.contains($0.peerID) })
    }

    @Test("Records and providers are announced again in time, and forgotten where they are not")
    func republication() {
        var network = network(12, seed: 81, refreshMilliseconds: 40 * 3_600_000)
        let key = bytes("/text/kept")
        let multihash = Multihash.sha256(of: bytes("kept")).bytes
        _ = network.complete(.putValue(key: key, value: bytes("ok")), at: network.peers[1])
        _ = network.complete(.provide(multihash: multihash), at: network.peers[1])
        let configuration = KademliaConfiguration()
        network.run(milliseconds: configuration.records.lifetimeMilliseconds + 3_600_000)
        #expect((network.cores[network.peers[1]]?.counters.republished ?? 0) >= 4)
        let reader = network.peers[7]
        #expect(network.cores[reader]?.records.value(for: key, now: network.now) == bytes("ok"))
        #expect(network.cores[reader]?.providers.providers(of: multihash, now: network.now).count == 1)
        network.dead = [network.peers[1]]
        network.run(milliseconds: configuration.records.lifetimeMilliseconds + 3_600_000)
        #expect(network.cores[reader]?.records.count == 0)
        #expect(network.cores[reader]?.providers.count == 0)
    }

    @Test("A record put before any peer is known is announced once one is")
    func announcedLater() {
        var network = network(5, seed: 86)
        let late = network.addNode()
        let key = bytes("/text/late")
        let multihash = Multihash.sha256(of: key).bytes
        #expect(network.complete(.putValue(key: key, value: bytes("ok")), at: late) == .failed(.noPeersKnown))
        #expect(network.complete(.provide(multihash: multihash), at: late) == .failed(.noPeersKnown))
        network.run(milliseconds: 600_000)
        network.introduce(network.peers[0], to: late)
        network.introduce(late, to: network.peers[0])
        network.run(milliseconds: 120_000)
        #expect(network.cores[network.peers[3]]?.records.value(for: key, now: network.now) == bytes("ok"))
        #expect(network.cores[network.peers[3]]?.providers.providers(of: multihash, now: network.now).count == 1)
    }

    @Test("A client finds and is found, and is in nobody's table")
    func clientMode() {
        var network = network(10, seed: 91)
        var configuration = KademliaConfiguration()
        configuration.mode = .client
        let client = network.addNode(configuration: configuration)
        network.introduce(network.peers[0], to: client)
        network.introduce(client, to: network.peers[0], isServer: false)
        network.run(milliseconds: 60_000)
        _ = network.complete(.putValue(key: bytes("/text/c"), value: bytes("ok")), at: client)
        guard case .valueFound? = network.complete(.getValue(key: bytes("/text/c")), at: network.peers[5]) else {
            Issue.record("the client's value was not found")
            return
        }
        #expect(network.cores.values.allSatisfy { $0.table.member(client) == nil })
        #expect(
            network.complete(.findPeer(client), at: network.peers[5]) == .peerFound(network.info(client)))
        let request = KademliaMessage(kind: .findNode, key: bytes("x"))
        var core = network.cores[client]
        let answer = core?.requestArrived(request, from: network.peers[1], now: network.now)
        #expect(answer == .failure(.notAServer))
    }
}
