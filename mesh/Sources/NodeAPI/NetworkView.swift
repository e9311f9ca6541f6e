/// What a node does for the networks under the market: gossip and the DHT.
package struct NetworkView: Hashable, Sendable, Codable {
    /// The topics that it follows, in the order in which it joined them.
    package var topics: [Topic]
    /// Its part of the DHT.
    package var directory: Directory

    package init(topics: [Topic], directory: Directory) {
        self.topics = topics
        self.directory = directory
    }

    /// A topic of gossip.
    package struct Topic: Hashable, Sendable, Codable {
        /// Its name, which names a job or a scope in some.
        package var name: String
        /// Connected peers that follow it too.
        package var peers: Int
        /// Those of them with whom whole messages are exchanged.
        package var meshPeers: Int

        package init(name: String, peers: Int, meshPeers: Int) {
            self.name = name
            self.peers = peers
            self.meshPeers = meshPeers
        }

        private enum CodingKeys: String, CodingKey {
            case name, peers
            case meshPeers = "mesh_peers"
        }
    }

    /// What a node keeps and knows as a part of the DHT.
    package struct Directory: Hashable, Sendable, Codable {
        /// Nodes in its routing table.
        package var tableNodes: Int
        /// Values that it keeps for others.
        package var records: Int
        /// Entries that it keeps for others of who has what.
        package var providers: Int
        /// What it announces again and again: files, receipts and outputs that it has.
        package var announced: Int

        package init(tableNodes: Int, records: Int, providers: Int, announced: Int) {
            self.tableNodes = tableNodes
            self.records = records
            self.providers = providers
            self.announced = announced
        }

        private enum CodingKeys: String, CodingKey {
            case records, providers, announced
            case tableNodes = "table_nodes"
        }
    }

    private enum CodingKeys: String, CodingKey {
        case topics
        case directory = "dht"
    }
}
