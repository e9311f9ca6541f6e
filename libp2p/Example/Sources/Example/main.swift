import Kademlia
import LibP2P
import Logging
import Multiformats
import P2PServices
import PeerIdentity

/// A peer with a protocol of its own, gossip and a DHT.
struct Peer {
    let swarm: Swarm
    let shouting: RequestResponse
    let gossip: GossipService
    let dht: KademliaService

    init(logger: Logger = Logger(label: "example")) async throws {
        let identity = Identity.generate()
        let anyPort = try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/0")
        swarm = Swarm(
            configuration: SwarmConfiguration(listenAddresses: [anyPort]), identity: identity, logger: logger)
        shouting = RequestResponse(host: swarm, protocolID: "/shout/1.0.0")
        gossip = GossipService(host: swarm, identity: identity, logger: logger)
        let anyNote = RecordValidator(prefix: "/note/") { _, value in value.isEmpty ? "the note is empty" : nil }
        dht = KademliaService(host: swarm, validators: [anyNote], logger: logger)
        await dht.register()
        await shouting.serve { _, request in
            .respond(Array(String(decoding: request, as: UTF8.self).uppercased().utf8))
        }
        try await swarm.listen()
    }

    func run() async throws {
        async let gossiping: Void = gossip.run()
        async let answering: Void = dht.run()
        try await swarm.run()
        _ = await (gossiping, answering)
    }
}

let (alice, bob) = try await (Peer(), Peer())
let (home, topic, key) = (await bob.swarm.listenAddresses(), "/example/news", Array("/note/first".utf8))
try await withThrowingTaskGroup(of: Void.self) { group in
    for peer in [alice, bob] { group.addTask { try await peer.run() } }
    await alice.dht.bootstrap(home.map { $0.withPeerID(bob.swarm.localPeer) })

    let shout = try await alice.shouting.request(Array("hello".utf8), to: bob.swarm.localPeer)
    print("protocol:", String(decoding: shout, as: UTF8.self))

    let news = try await bob.gossip.subscribe(topic) { $0.data.isEmpty ? .reject : .accept }
    while await alice.gossip.peers(of: topic).isEmpty { try await Task.sleep(for: .milliseconds(10)) }
    try await alice.gossip.publish(Array("it works".utf8), topic: topic)
    for await message in news.prefix(1) { print("gossip:", String(decoding: message.data, as: UTF8.self)) }

    while await alice.dht.routingTable().isEmpty { try await Task.sleep(for: .milliseconds(10)) }
    try await alice.dht.putValue(key: key, value: Array("kept".utf8))
    print("DHT:", String(decoding: try await bob.dht.getValue(key: key), as: UTF8.self))
    group.cancelAll()
}
