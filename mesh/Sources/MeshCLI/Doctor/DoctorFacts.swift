import Foundation
import MeshHTTP
import Multiformats
import NodeAPI
import NodeSetup

/// What `mesh doctor` saw of a node and its machine.
struct DoctorFacts {
    /// The home folder.
    struct Home {
        var path: String
        /// Why no node can be in it, or none is; nil if one is.
        var fault: NodeServiceError?
        /// The rights of others to it, as the system's mode bits; 0 for none.
        var othersMode: UInt32 = 0
        var isWritable = true
    }

    /// A place where the node listens, or is to.
    struct Place {
        /// What listens there, such as `peers`.
        var name: String
        var address: String
        /// Whether another program has it; false while the node runs.
        var isTaken: Bool
    }

    /// A peer to stay connected to.
    struct Contact {
        var address: Multiaddr
        /// Whether something accepted a connection there; nil if that was not tried.
        var answers: Bool?
    }

    var home: Home
    /// Whether the key is encrypted, or why it cannot be used.
    var key: Result<Bool, NodeServiceError>
    /// Why a token cannot be used; nil where all can, or there are none.
    var tokenFault: NodeServiceError?
    /// What the API's TLS certificate is, by its file, or why it cannot be used; nil where there is none.
    var certificate: Result<CertificateFacts, NodeServiceError>?
    var now = Date()
    var configuration: Result<NodeConfiguration, NodeServiceError>
    /// Whether config.json was changed after the node started.
    var isConfigurationNewer = false
    /// How the node is, or why it says nothing.
    var node: Result<NodeStatus, NodeServiceError>
    /// Whether the kernel knows that something sets the clock; nil if it does not say.
    var isClockSet: Bool?
    var places: [Place] = []
    var contacts: [Contact] = []
    /// Free bytes on the disk of the home folder.
    var diskFreeBytes: UInt64?
    /// What the process of a node may open.
    var descriptors: DescriptorPlan?
    /// Memory of the machine.
    var memoryBytes: UInt64?
    /// What the kernel has for keeping runs apart.
    var isolation: [String] = []
}
