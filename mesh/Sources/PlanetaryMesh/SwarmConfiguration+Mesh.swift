import LibP2P
import Multiformats

extension SwarmConfiguration {
    /// The defaults of a node of the mesh, as identify tells them to others (PROTOCOL.md).
    static func ofMesh(listening addresses: [Multiaddr]) -> SwarmConfiguration {
        var configuration = SwarmConfiguration(listenAddresses: addresses)
        configuration.agentVersion = "planetary-mesh/1"
        configuration.protocolVersion = "icn/mesh/1.0.0"
        return configuration
    }
}
