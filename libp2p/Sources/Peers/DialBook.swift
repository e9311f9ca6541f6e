package import Determinism
package import Multiformats

/// Where peers are, and whether and at which addresses a peer may be dialed: the book of addresses with the budgets of
/// failed dials.
package struct DialBook: Sendable {
    /// The bounds of the book and of dialing.
    package struct Limits: Sendable {
        /// Peers whose addresses are remembered, and peers whose failed dials are.
        package var peersMax = 4_096
        /// Addresses remembered of each.
        package var addressesPerPeerMax = 32
        /// Addresses that others named and one dial tries.
        package var hearsayAddressesPerDialMax = 8
        /// Dials of a peer at addresses that others named that may fail within a minute.
        package var failedDialsPerMinuteMax = 2
        /// The same for dials that only try addresses at which the peer has answered before.
        package var failedProvenDialsPerMinuteMax = 12

        /// The defaults.
        package init() {}

        fileprivate func budget(failuresPerMinuteMax: Int) -> DialBudget.Limits {
            var limits = DialBudget.Limits()
            limits.failuresPerMinuteMax = failuresPerMinuteMax
            limits.peersMax = peersMax
            return limits
        }
    }

    /// Too many dials of a peer have failed.
    package struct Refusal: Error, Hashable, Sendable {
        /// This many within a minute.
        package let failuresPerMinuteMax: Int
    }

    private let limits: Limits
    /// The addresses.
    package var addresses: PeerBook
    private var budget: DialBudget
    /// The budget of dials to where peers have answered before.
    private var provenBudget: DialBudget

    /// An empty book.
    package init(limits: Limits = Limits()) {
        self.limits = limits
        addresses = PeerBook(peersMax: limits.peersMax, addressesMax: limits.addressesPerPeerMax)
        budget = DialBudget(limits: limits.budget(failuresPerMinuteMax: limits.failedDialsPerMinuteMax))
        provenBudget = DialBudget(limits: limits.budget(failuresPerMinuteMax: limits.failedProvenDialsPerMinuteMax))
    }

    /// The addresses that a dial of a peer tries, in order: an address that the owner of this node named, then what is
    /// known.
    package func order(of peer: PeerID, first address: Multiaddr? = nil) -> [Multiaddr] {
        let known = addresses.dialOrder(of: peer, hearsayMax: limits.hearsayAddressesPerDialMax)
        guard let plain = address?.withoutPeerID() else { return known }
        return [plain] + known.filter { $0 != plain }
    }

    /// Whether a peer may be dialed at addresses that others named.
    package func admits(_ peer: PeerID, at tried: [Multiaddr], now: MonotonicInstant) -> Result<Void, Refusal> {
        let isProven = addresses.hasAnswered(at: tried, peer)
        guard (isProven ? provenBudget : budget).admits(peer, now: now) else {
            let most = isProven ? limits.failedProvenDialsPerMinuteMax : limits.failedDialsPerMinuteMax
            return .failure(Refusal(failuresPerMinuteMax: most))
        }
        return .success(())
    }

    /// Notes the end of a dial of a peer; `address` is where it answered, and it may have connected to this node
    /// meanwhile.
    package mutating func dialEnded(
        _ peer: PeerID, tried: [Multiaddr], answeredAt address: Multiaddr?, now: MonotonicInstant,
        isConnected: (PeerID) -> Bool
    ) {
        if let address { addresses.answered(address, by: peer, isConnected: isConnected) }
        if isConnected(peer) {
            budget.succeeded(peer)
            provenBudget.succeeded(peer)
        } else if addresses.hasAnswered(at: tried, peer) {
            provenBudget.failed(peer, now: now)
        } else {
            budget.failed(peer, now: now)
        }
    }
}

extension DialBook.Refusal: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        "\(failuresPerMinuteMax) dials of this peer have failed within a minute; it is left alone for now"
    }
}
