import Credit
import LibP2P
import Logging
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import SignedObjects

/// Lodges with the witnesses of an issuer's charter what that issuer should have booked and has not: claims, disputes
/// and decisions, each with all witnesses that are no parties to it.
///
/// So an issuer that is away, or will not book it, cannot say later that it came too late.
struct BookingWitnesses: Sendable {
    /// Every bound of it.
    struct Limits: Sendable {
        /// How long looking for the witnesses may take, in milliseconds.
        var reachMilliseconds: Int64 = 10_000
        /// How long one witness may take for all that it is given at once, in milliseconds.
        var witnessMilliseconds: Int64 = 30_000

        /// The defaults.
        init() {}
    }

    private let member: MemberDesk
    private let exchange: WitnessExchange
    private let reach: @Sendable ([PeerID]) async -> Void
    private let logger: Logger
    private let limits: Limits

    /// - Parameter reach: connects to peers that are not connected, as far as it can.
    init(
        member: MemberDesk, host: any StreamHost, reach: @escaping @Sendable ([PeerID]) async -> Void, logger: Logger,
        limits: Limits = Limits()
    ) {
        (self.member, self.reach, self.logger, self.limits) = (member, reach, logger, limits)
        exchange = WitnessExchange(host: host)
    }

    /// What there is to lodge of the bookings at one issuer, each with the witnesses that have not dated it.
    private func wanted(
        _ bookings: [HoldBooking], _ charter: IssuerCharter
    ) -> [(booking: HoldBooking, question: WitnessQuestion, witnesses: Set<DID>)] {
        let now = NodeClock.wallClock
        return bookings.compactMap { booking in
            guard let given = booking.lodgeable(now: now) else { return nil }
            let witnesses = Set(booking.witnessesLeft(of: charter))
            guard !witnesses.isEmpty else { return nil }
            return (booking, .lodge(certificate: given.certificate, object: given.object), witnesses)
        }
    }

    /// Lodges what is to be, and returns the bookings about which witnesses said something new, with that.
    func lodge(_ bookings: [HoldBooking], at issuer: DID) async -> [HoldBooking] {
        guard let charter = try? await member.known(issuer)?.charter.body, !charter.witnesses.isEmpty else { return [] }
        let wanted = wanted(bookings, charter)
        guard !wanted.isEmpty else { return [] }
        let asked = charter.witnesses.filter { witness in wanted.contains { $0.witnesses.contains(witness) } }
        let (peers, reach) = (asked.map(\.peerID), reach)
        _ = try? await withDeadline(milliseconds: limits.reachMilliseconds) { await reach(peers) }
        var tried = Dictionary(wanted.map { ($0.booking.hold, $0.booking) }, uniquingKeysWith: { first, _ in first })
        await withTaskGroup(of: (DID, [(CID, [UInt8])]).self) { group in
            for witness in asked {
                let questions = wanted.filter { $0.witnesses.contains(witness) }.map { ($0.booking.hold, $0.question) }
                group.addTask { (witness, await self.statements(of: witness, questions)) }
            }
            for await (witness, statements) in group {
                for (hold, statement) in statements where tried[hold]?.lodged(statement, with: witness) == false {
                    logger.notice(
                        "A witness's word about what it was given does not hold.", metadata: ["witness": "\(witness)"])
                }
            }
        }
        return wanted.compactMap { tried[$0.booking.hold] == $0.booking ? nil : tried[$0.booking.hold] }
    }

    /// Asks one witness one thing after the other, until it does not answer.
    private func statements(of witness: DID, _ questions: [(CID, WitnessQuestion)]) async -> [(CID, [UInt8])] {
        let end = ContinuousClock.now + .milliseconds(limits.witnessMilliseconds)
        var statements: [(CID, [UInt8])] = []
        for (hold, question) in questions {
            guard ContinuousClock.now < end, let answer = try? await exchange.ask(question, of: witness.peerID) else {
                break
            }
            switch answer {
            case .lodged(let statement): statements.append((hold, statement))
            case .refused(_, let text):
                logger.notice(
                    "A witness does not take what an issuer has to book.",
                    metadata: ["witness": "\(witness)", "reason": "\(text.cut(bytesMax: 512))"])
            case .report: break
            }
        }
        return statements
    }
}
