import JobMarket
import MeshTypes
import Multiformats
import NodeSetup
import PeerIdentity
import SignedObjects
import Testing

@testable import PlanetaryMesh

/// The issuers that an executor trusts, by its settings.
@Suite struct TrustedIssuerTests {
    private let dids = (1...20).compactMap { try? Identity(seed: [UInt8](repeating: $0, count: 32)).did }

    @Test func eachCountsOnceAndSixteenAtMost() {
        var executor = NodeConfiguration.Executor()
        #expect(executor.trustedIssuers.isEmpty)
        executor.issuers = ["\(dids[0]) hours/2 0.10 0.02", "\(dids[0]) hours/2 9 9"] + dids.map { "\($0) kWh/3 1 1" }
        let trusted = executor.trustedIssuers
        #expect(trusted.count == CreditJob.Limits.trustedMax && trusted.map(\.issuerDID) == Array(dids.prefix(16)))
        #expect(trusted[0].basePrice.units == 10 && trusted[0].pricePerMillionFuel.units == 2)
        #expect(
            trusted.allSatisfy { !$0.isMember && $0.arbiters.isEmpty }, "nobody is a member before the issuer said so")
    }

    @Test func onlyWhoTrustsAnIssuerStatesTheFeature() {
        let engine = EngineDescription(name: "none", version: "0", configurationDigest: "")
        var executor = NodeConfiguration.Executor()
        #expect(!MarketConfiguration.features(executor, engine).contains(CreditJob.feature))
        executor.issuers = ["\(dids[0]) hours/2 0.10 0.02"]
        #expect(MarketConfiguration.features(executor, engine).contains(CreditJob.feature))
    }

    @Test func whatAnIssuerSaysCountsForItsOwnUnit() {
        var executor = ExecutorConfiguration()
        let unit = CreditUnit(name: "hours", decimals: 2)
        executor.issuers = dids.prefix(2).map {
            TrustedIssuer(issuerDID: $0, unit: unit, basePrice: .zero, pricePerMillionFuel: .zero)
        }
        func told(_ did: DID, _ unit: CreditUnit, _ isMember: Bool) {
            executor.told(IssuerStanding(issuerDID: did, unit: unit, isMember: isMember, arbiters: [dids[3]]))
        }
        told(dids[1], CreditUnit(name: "hours", decimals: 3), true)
        #expect(executor.issuers.allSatisfy { !$0.isMember })
        told(dids[1], unit, true)
        #expect(executor.issuers.map(\.isMember) == [false, true] && executor.issuers[1].arbiters == [dids[3]])
        told(dids[1], unit, false)
        #expect(executor.issuers.allSatisfy { !$0.isMember })
    }
}
