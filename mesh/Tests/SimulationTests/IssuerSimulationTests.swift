import Testing

@testable import MeshSimulation

/// Two cooperatives with issuers, among faults and cheats.
@Suite("Issuers in the simulation")
struct IssuerSimulationTests {
    /// The second has an issuer with two histories, the third loses both issuers.
    @Test(
        "Who delivered is paid, nothing is held for ever, and both books agree",
        arguments: Seeds.some([1, 4, 6], of: 1...12))
    func round(seed: UInt64) throws {
        let report = try IssuerScenario(seed: seed).run()
        print(report.summary)
        #expect(report.violations.isEmpty, "\(report.summary)")
        #expect(report.holds > 0 && report.across > 0 && report.claimed > 0, "\(report.summary)")
        #expect((report.provers > 0) == (seed % 4 == 0), "\(report.summary)")
    }

    @Test("The same seed gives the same round")
    func twice() throws {
        var scenario = IssuerScenario(seed: 2)
        scenario.jobs = 8
        #expect(try scenario.run().trace == (try scenario.run().trace))
    }
}
