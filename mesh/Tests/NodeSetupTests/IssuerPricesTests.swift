import MeshTypes
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeSetup

@Suite struct IssuerPricesTests {
    @Test func fourWordsSayWhoAndHowMuch() throws {
        let did = try Identity(seed: Array(repeating: 1, count: 32)).did
        let prices = try #require(IssuerPrices("\(did) hours/2 0.10 1.5"))
        #expect(prices.issuerDID == did && prices.unit.name == "hours" && prices.unit.decimals == 2)
        #expect(prices.base.units == 10 && prices.perMillionFuel.units == 150)
        for text in [
            "", "\(did)", "\(did) hours/2 0.10", "\(did) hours/2 0.10 0.02 0.03", "\(did) hours 0.10 0.02",
            "\(did) hours/2 0.101 0.02", "\(did) hours/10 1 1", "\(did) h_urs/2 1 1", "\(did) hours/2 -1 1",
            "\(did) hours/2 1 9300000000000000000", "did:key:z6Mk hours/2 1 1", "\(did) /2 1 1",
        ] {
            #expect(IssuerPrices(text) == nil, "\(text)")
        }
    }
}
