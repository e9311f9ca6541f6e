import Foundation
import Multiformats
import PlanetaryMesh
import Testing

@Suite struct NodeConfigurationTests {
    @Test func whatIsWrittenIsReadBack() throws {
        var configuration = NodeConfiguration()
        configuration.region = "eu-west"
        configuration.bootstrap = [try Multiaddr(parsing: "/ip4/10.0.0.1/tcp/4001")]
        configuration.executor.isEnabled = false
        configuration.executor.priceBase = 7
        configuration.limits.openJobsMax = 3
        #expect(try load(String(decoding: configuration.encoded(), as: UTF8.self)) == configuration)
        #expect(try load("{}") == NodeConfiguration())
    }

    @Test(arguments: [
        ("{", "The given data was not valid JSON"),
        (#"{"lissten": []}"#, "\"lissten\" is no setting; there are"),
        (#"{"executor": {"price": 1}}"#, "at executor, \"price\" is no setting; there are"),
        (#"{"log_level": "loud"}"#, "log_level must be one of trace, debug"),
        (#"{"executor": {"jobs_at_once": 0}}"#, "executor.jobs_at_once must be at least 1"),
        (#"{"limits": {"block_bytes_max": 0}}"#, "every limit must be above 0"),
        (#"{"credit_grant": "much"}"#, "at credit_grant, "),
        (#"{"listen": ["/ip4/1.2.3/tcp/1"]}"#, "at listen"),
    ])
    func whatDoesNotReadSaysWhereAndWhy(_ text: String, _ reason: String) throws {
        let error = try #require(throws: NodeServiceError.self) { try load(text) }
        #expect(error.code == .configurationInvalid)
        #expect(error.message.contains(reason), "\(error.message)")
    }

    private func load(_ text: String) throws -> NodeConfiguration {
        let folder = try SocketFolder()
        let path = folder.path + "/config.json"
        try Data(text.utf8).write(to: URL(filePath: path))
        return try NodeConfiguration.load(path: path)
    }
}
