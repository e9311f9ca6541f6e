import Foundation
import JobMarket
import MeshTypes
import Multiformats
import NodeSetup
import Testing

@testable import PlanetaryMesh

/// The limits that an executor offers, by the settings that a refusal names.
@Suite struct OfferedSettingTests {
    /// A configuration in which the number of one key is another one.
    private func configuration(_ path: String, _ number: UInt64) throws -> NodeConfiguration {
        let parts = path.split(separator: ".").map(String.init)
        try #require(parts.count == 2)
        let encoded = try NodeConfiguration().encoded()
        var file = try #require(try JSONSerialization.jsonObject(with: encoded) as? [String: Any])
        var group = try #require(file[parts[0]] as? [String: Any], "\(path)")
        #expect(group[parts[1]] != nil, "\(path) is no setting")
        group[parts[1]] = number
        file[parts[0]] = group
        return try JSONDecoder().decode(NodeConfiguration.self, from: JSONSerialization.data(withJSONObject: file))
    }

    @Test("An executor states that it takes jobs with second copies, unless its owner says no")
    func hedgedJobs() {
        let engine = EngineDescription(name: "none", version: "0", configurationDigest: "")
        var executor = NodeConfiguration.Executor()
        #expect(MarketConfiguration.features(executor, engine).contains(HedgedJob.feature))
        executor.takesHedgedJobs = false
        let features = MarketConfiguration.features(executor, engine)
        #expect(!features.contains(HedgedJob.feature) && features.contains(PublicJob.feature))
    }

    private func offered(_ configuration: NodeConfiguration) -> ResourceAmounts {
        var executor = ExecutorConfiguration()
        executor.nodeLimits = configuration.limits.offered
        executor.limitsMax = configuration.executor.limitsMax
        executor.filesBytesMax = configuration.executor.filesBytesMax
        executor.concurrentRunsMax = configuration.executor.runsAtOnce
        executor.queuedRunsMax = configuration.executor.queuedJobsMax
        return executor.offeredLimits
    }

    @Test(arguments: OfferedLimit.allCases)
    func theSettingThatARefusalNamesChangesWhatIsOffered(_ limit: OfferedLimit) throws {
        for number in [UInt64(3), 4] {
            let expected = limit == .memoryBytes ? number << 20 : number
            #expect(offered(try configuration(limit.setting, number))[limit.rawValue] == expected)
        }
        #expect(offered(NodeConfiguration()).count == OfferedLimit.allCases.count)
    }

    @Test func noExecutorOffersMoreThanAnyJobMayAskFor() throws {
        #expect(offered(try configuration("executor.memory_mib", 1 << 40))["max_memory_bytes"] == 4 << 30)
        #expect(offered(try configuration("limits.module_bytes_max", 1 << 40))["module_bytes"] == 256 << 20)
    }

    @Test func thePageOfSettingsTellsOnWhichSideEachLimitStands() throws {
        let page = URL(filePath: #filePath).appending(path: "../../../../docs/configuration.md").standardized
        let text = try String(contentsOf: page, encoding: .utf8)
        let rows = try #require(text.components(separatedBy: "## Limits that a job can meet").last)
        for limit in OfferedLimit.allCases { #expect(rows.contains("`\(limit.setting)`"), "\(limit.setting)") }
    }
}
