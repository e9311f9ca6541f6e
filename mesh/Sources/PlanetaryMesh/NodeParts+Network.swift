import Kademlia
import NodeAPI
import P2PServices

extension NodeParts {
    /// What the node does for gossip and the DHT, as its owner sees it.
    func networkView() async -> NetworkView {
        var topics: [NetworkView.Topic] = []
        for name in await gossip.topics {
            let peers = await gossip.peers(of: name).count
            let meshPeers = await gossip.meshPeers(name).count
            topics.append(NetworkView.Topic(name: name, peers: peers, meshPeers: meshPeers))
        }
        let held = await dht.holdings()
        let directory = NetworkView.Directory(
            tableNodes: await dht.routingTable().count, records: held.records, providers: held.providers,
            announced: held.announced)
        return NetworkView(topics: topics, directory: directory)
    }
}
