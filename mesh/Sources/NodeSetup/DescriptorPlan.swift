import Foundation

/// How a node divides the file descriptors that its process may open, so that a flood of connections never takes those
/// of the store and of compile processes.
package struct DescriptorPlan: Hashable, Sendable {
    /// Standard streams, log, key, listeners, event loops and the libraries' own.
    static let baseDescriptors = 64
    /// The store's files and readers.
    static let storeDescriptors = 32
    /// Pipes and handles of a compile process, one per concurrent job.
    static let descriptorsPerJob = 8
    /// Connections open while they are being refused.
    static let refusedConnections = 48
    /// Connections of the owner's programs.
    static let apiConnectionsMax = 512

    /// Connections to the API over TCP, where it listens there: a browser keeps up to six, so fifty dashboards fit.
    package static let webConnectionsMax = 320

    /// What all of the configuration may use.
    package let wanted: Int
    /// What the process may open.
    package let allowed: Int
    /// Connections to peers that fit.
    package let connectionsMax: Int
    /// Connections of the owner's programs that fit.
    package let apiConnectionsMax: Int
    /// Connections to the gateway that fit; 0 if there is none.
    package let gatewayConnectionsMax: Int

    /// Divides this many descriptors.
    package init(_ configuration: NodeConfiguration, allowed: Int) {
        let jobs = configuration.executor.jobsAtOnce ?? ProcessInfo.processInfo.activeProcessorCount
        let web = configuration.api.listen == nil ? 0 : Self.webConnectionsMax
        let fixed =
            Self.baseDescriptors + Self.storeDescriptors + Self.descriptorsPerJob * jobs + Self.refusedConnections + web
        let configured = configuration.limits.connectionsMax
        let strangers = configuration.gateway.listen == nil ? 0 : configuration.gateway.connectionsMax
        wanted = fixed + configured + Self.apiConnectionsMax + strangers
        self.allowed = allowed
        let supply = max(0, allowed - fixed)
        // A gateway has what nobody else may use, or a quarter.
        let gateway = min(strangers, max(supply / 4, supply - configured - Self.apiConnectionsMax))
        gatewayConnectionsMax = strangers == 0 ? 0 : max(4, gateway)
        let free = supply - max(0, gateway)
        // Peers get what they may use, or three quarters of a short supply, but at least four.
        let api = min(Self.apiConnectionsMax, max(4, max(free / 4, free - configured)))
        apiConnectionsMax = api
        connectionsMax = min(configured, max(4, free - api))
    }

    /// Raises the process's limit to what the system allows if the configuration may use more, and divides it.
    package static func raisingLimit(for configuration: NodeConfiguration) -> DescriptorPlan {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard getrlimit(resource, &limit) == 0 else { return DescriptorPlan(configuration, allowed: .max / 2) }
        let hard = limit.rlim_max
        return raising(
            configuration, allowed: Int(clamping: limit.rlim_cur), allowedMax: Int(clamping: limit.rlim_max)
        ) {
            limit.rlim_cur = hard
            return setrlimit(resource, &limit) == 0
        }
    }

    /// The plan of a node that this user starts, which raises its limit as far as the system allows; nil if the system
    /// does not say how far that is.
    package static func underSystemLimit(for configuration: NodeConfiguration) -> DescriptorPlan? {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return nil }
        return DescriptorPlan(configuration, allowed: Int(clamping: limit.rlim_max))
    }

    /// The plan for a process that may open `allowed` files, and `allowedMax` if `raise` succeeds.
    static func raising(
        _ configuration: NodeConfiguration, allowed: Int, allowedMax: Int, raise: () -> Bool
    ) -> DescriptorPlan {
        let plan = DescriptorPlan(configuration, allowed: allowed)
        guard plan.isShort, allowed < allowedMax, raise() else { return plan }
        return DescriptorPlan(configuration, allowed: allowedMax)
    }

    /// Whether the process may open less than the configuration may use.
    package var isShort: Bool { allowed < wanted }
}
