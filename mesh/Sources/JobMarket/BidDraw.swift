import Crypto
package import Multiformats

/// Breaks ties between bids by chance that neither side can choose (PROTOCOL.md, "Selection").
///
/// The originator commits to the seed in the manifest, with the way in which the result is checked, before there is any
/// bid, and opens it with the settlement. So it cannot choose the winner among equals afterwards, and no bidder can
/// search for a bid that wins.
package struct BidDraw: Sendable {
    private static let domain = Array("icn-mesh/v1/BidDraw\0".utf8)
    private let seed: [UInt8]

    /// The draw of a seed; that of a `VerificationOpening`.
    package init(seed: [UInt8]) {
        self.seed = seed
    }

    /// What a bid draws: SHA-256 of the domain, the seed and the bid's binary CID. The lowest goes first.
    package func number(of bid: CID) -> [UInt8] {
        Array(SHA256.hash(data: Self.domain + seed + bid.bytes))
    }
}
