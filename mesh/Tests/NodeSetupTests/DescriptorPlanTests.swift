import Foundation
import Testing

@testable import NodeSetup

/// How descriptors are shared out: store and compile workers first, then peers and the owner's programs.
@Suite("Sharing out descriptors")
struct DescriptorPlanTests {
    /// With two jobs at once 160 are spoken for, and 512 may be the owner's programs.
    private static func configuration(peers: Int = 512, jobs: Int = 2) -> NodeConfiguration {
        var configuration = NodeConfiguration()
        configuration.limits.connectionsMax = peers
        configuration.executor.jobsAtOnce = jobs
        return configuration
    }

    private struct Row: CustomStringConvertible {
        var peers = 512
        var jobs = 2
        let allowed: Int
        let wanted: Int
        let connections: Int
        let programs: Int
        var description: String { "\(peers) peers, \(jobs) jobs, \(allowed) allowed" }
    }

    @Test("By what may be open and what the configuration may use")
    func table() {
        let rows = [
            Row(allowed: 1 << 20, wanted: 1_184, connections: 512, programs: 512),
            Row(allowed: 1_184, wanted: 1_184, connections: 512, programs: 512),
            // What is short is taken from the owner's programs first, then they keep a quarter of what is left.
            Row(allowed: 1_183, wanted: 1_184, connections: 512, programs: 511),
            Row(allowed: 1_024, wanted: 1_184, connections: 512, programs: 352),
            Row(allowed: 842, wanted: 1_184, connections: 512, programs: 170),
            Row(allowed: 840, wanted: 1_184, connections: 510, programs: 170),
            Row(allowed: 256, wanted: 1_184, connections: 72, programs: 24),
            // The least, even where nothing is left for it.
            Row(allowed: 160, wanted: 1_184, connections: 4, programs: 4),
            Row(allowed: 20, wanted: 1_184, connections: 4, programs: 4),
            Row(allowed: 0, wanted: 1_184, connections: 4, programs: 4),
            // Few peers by configuration leave the rest to the owner's programs.
            Row(peers: 8, allowed: 600, wanted: 680, connections: 8, programs: 432),
            Row(peers: 1, allowed: 1 << 20, wanted: 673, connections: 1, programs: 512),
            // Each job at once has a reserve for its compile worker.
            Row(jobs: 102, allowed: 1_184, wanted: 1_984, connections: 168, programs: 56),
            Row(peers: 1_000_000, jobs: 1_024, allowed: 20_000, wanted: 1_008_848, connections: 11_152, programs: 512),
        ]
        for row in rows {
            let plan = DescriptorPlan(Self.configuration(peers: row.peers, jobs: row.jobs), allowed: row.allowed)
            #expect(plan.wanted == row.wanted, "\(row)")
            #expect(plan.connectionsMax == row.connections, "\(row)")
            #expect(plan.apiConnectionsMax == row.programs, "\(row)")
            #expect(plan.isShort == (row.allowed < row.wanted), "\(row)")
            let fixed = row.wanted - row.peers - DescriptorPlan.apiConnectionsMax
            if row.allowed >= fixed + 32 {
                #expect(fixed + plan.connectionsMax + plan.apiConnectionsMax <= row.allowed, "\(row): beyond the limit")
            }
        }
    }

    @Test("A gateway has what peers and programs leave, a quarter of what is short, or nothing where there is none")
    func gateway() {
        var configuration = Self.configuration()
        #expect(DescriptorPlan(configuration, allowed: 1 << 20).gatewayConnectionsMax == 0)
        configuration.gateway.listen = NodeConfiguration.defaultListen[0]
        let rows = [
            (1 << 20, 256, 512), (1_440, 256, 512), (1_184, 256, 512), (1_160, 250, 512), (416, 64, 144), (0, 4, 4),
        ]
        for (allowed, strangers, peers) in rows {
            let plan = DescriptorPlan(configuration, allowed: allowed)
            #expect(plan.wanted == 1_440 && plan.gatewayConnectionsMax == strangers, "\(allowed)")
            #expect(plan.connectionsMax == peers, "\(allowed)")
        }
    }

    @Test("The limit is raised where more may be used and the system allows more; what stays short says so")
    func raising() {
        /// The plan, and whether raising was tried.
        func plan(_ allowed: Int, _ allowedMax: Int, raises: Bool = true) -> (DescriptorPlan, Bool) {
            var isTried = false
            let plan = DescriptorPlan.raising(Self.configuration(), allowed: allowed, allowedMax: allowedMax) {
                isTried = true
                return raises
            }
            return (plan, isTried)
        }
        // Enough as it is: nobody's limit is touched.
        var (made, isTried) = plan(1_184, 1 << 20)
        #expect(!isTried && !made.isShort && made.allowed == 1_184)
        // The usual case: 1,024 by default, far more on request.
        (made, isTried) = plan(1_024, 1 << 20)
        #expect(isTried && !made.isShort && made.allowed == 1 << 20 && made.connectionsMax == 512)
        // Raised, and still short: the node says so, and takes what fits.
        (made, isTried) = plan(256, 1_024)
        #expect(isTried && made.isShort && made.allowed == 1_024 && made.apiConnectionsMax == 352)
        // At the hard limit already.
        (made, isTried) = plan(1_024, 1_024)
        #expect(!isTried && made.isShort && made.allowed == 1_024)
        // The system says no.
        (made, isTried) = plan(256, 1 << 20, raises: false)
        #expect(isTried && made.isShort && made.allowed == 256 && made.connectionsMax == 72)
    }

    @Test("In this process the limit is raised to what the system allows, once more may be used than is open")
    func thisProcess() throws {
        var before = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        try #require(getrlimit(resource, &before) == 0)
        let plan = DescriptorPlan.raisingLimit(for: Self.configuration(peers: 1_000_000))
        var after = rlimit()
        try #require(getrlimit(resource, &after) == 0)
        #expect(plan.allowed == Int(clamping: after.rlim_cur))
        #expect(after.rlim_max == before.rlim_max)
        if Int(clamping: before.rlim_cur) < plan.wanted { #expect(after.rlim_cur == before.rlim_max) }
        #expect(plan.isShort == (plan.allowed < plan.wanted))
    }
}
