import Foundation
import LibP2P
import Multiformats
import NodeSetup
import Testing

@testable import PlanetaryMesh

@Suite("Exempting loopback")
struct LoopbackExemptionTests {
    private func isExempt(_ listen: [String], _ limits: String = "{}") throws -> Bool {
        let text = #"{"listen": \#(listen), "limits": \#(limits)}"#
        let configuration = try JSONDecoder().decode(NodeConfiguration.self, from: Data(text.utf8))
        #expect(configuration.refusal == nil)
        return SwarmConfiguration(configuration).limits.isLoopbackExempt
    }

    @Test("A mesh on one machine is exempt unless its owner says otherwise")
    func loopbackAlone() throws {
        #expect(try isExempt(["/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0"]))
        #expect(try isExempt(["/ip4/127.8.0.1/tcp/0"], #"{"exempts_loopback": true}"#))
        #expect(try !isExempt(["/ip4/127.0.0.1/tcp/0"], #"{"exempts_loopback": false}"#))
    }

    @Test("A node that listens on another address too exempts nobody, whatever its configuration says")
    func listeningPublicly() throws {
        #expect(try !isExempt(["/ip4/0.0.0.0/tcp/4001"]))
        #expect(try !isExempt(["/ip6/::/tcp/4001"], #"{"exempts_loopback": true}"#))
        #expect(try !isExempt(["/ip4/127.0.0.1/tcp/0", "/ip4/10.0.0.1/tcp/4001"], #"{"exempts_loopback": true}"#))
        #expect(!SwarmConfiguration(NodeConfiguration()).limits.isLoopbackExempt)
    }
}
