import Credit
import LibP2P
import Logging
import MeshTypes
import Multiformats
import NodeAPI
import PeerIdentity
import SignedObjects

/// This node as an issuer whose charter names witnesses: it asks all of them for reports, books what was lodged with
/// them, and then that its book has caught up.
///
/// What the book takes for good or refuses is the book's to say (`IssuerBook`). While too few witnesses report, time
/// stands still for it, and after ten minutes it holds nothing more.
actor IssuerWitnesses {
    /// Every bound of it.
    struct Limits: Sendable {
        /// How often it looks whether it is time, in milliseconds.
        var lookMilliseconds: Int64 = 1_000
        /// How long before it asks again where it did not catch up far enough: at first, and at the most, in
        /// milliseconds.
        var pauseMilliseconds: ClosedRange<Int64> = 5_000...60_000
        /// How long looking for the witnesses may take, in milliseconds.
        var reachMilliseconds: Int64 = 10_000
        /// How long a witness may take for its report, in milliseconds.
        var answerMilliseconds: Int64 = 20_000
        /// When it asks.
        var times = CatchUp.Limits()

        /// The defaults.
        init() {}
    }

    /// What came of asking them last.
    private struct Round {
        /// How many reports counted.
        var reports: Int
        /// What was wrong, by the DIDs of witnesses.
        // BOUNDED: by the witnesses of a charter.
        var faults: [DID: String] = [:]
        /// Why the book did not catch up, a clause; nil if it did.
        var refusal: String?
    }

    private let own: IssuerDesk
    private let exchange: WitnessExchange
    private let reach: @Sendable ([PeerID]) async -> Void
    private let onCount: @Sendable (String) -> Void
    private let logger: Logger
    private let limits: Limits
    private var last: Round?
    private var pause: Int64 = 0
    private var nextAt = ContinuousClock.now
    private var isWarned = false

    /// - Parameters:
    ///   - reach: connects to peers that are not connected, as far as it can.
    ///   - onCount: receives the names of what is counted.
    init(
        own: IssuerDesk, host: any StreamHost, reach: @escaping @Sendable ([PeerID]) async -> Void, logger: Logger,
        limits: Limits = Limits(), onCount: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        (self.own, self.reach, self.logger, self.limits, self.onCount) = (own, reach, logger, limits, onCount)
        exchange = WitnessExchange(host: host)
    }

    /// Catches up whenever it is time, until the task is cancelled.
    func run() async {
        await own.join(self)
        repeat {
            if await isTime() { await catchUp() }
        } while (try? await Task.sleep(for: .milliseconds(limits.lookMilliseconds))) != nil
    }

    private func isTime() async -> Bool {
        guard nextAt <= .now, await own.obstacle == nil else { return false }
        let (now, times) = (NodeClock.wallClock, limits.times)
        return await own.read { $0.isToCatchUp(now: now, times) } ?? false
    }

    /// Asks all witnesses once, and books what they have and that it has caught up as far as that goes.
    func catchUp() async {
        let begun = await own.read { (CatchUp($0), $0.charter, $0.caughtUpUntil) }
        guard await own.obstacle == nil, case (var catching, let charter, let from)? = begun,
            !charter.witnesses.isEmpty
        else { return }
        var round = Round(reports: 0)
        for (witness, answer) in await answers(of: charter.witnesses, from: from) {
            switch answer {
            case .success(let answer): round.faults[witness] = catching.take(answer, of: witness)
            case .failure(let failure): round.faults[witness] = failure.description
            }
        }
        round.reports = catching.reportCount
        let caught = catching
        // In their order, as one may be about the one before.
        for object in await own.read({ caught.missing(in: $0) }) ?? [] {
            await book(await own.read { caught.events(for: object, in: $0) } ?? [])
        }
        if caught.reportCount > 0, let event = await own.read({ caught.event(for: $0) }) {
            switch await own.take(event) {
            case .success?: break
            case .failure(let refusal)?: round.refusal = "\(refusal)"
            case nil: round.refusal = "the book is closed"
            }
        } else {
            round.refusal = "none of them reports"
        }
        await finish(round, of: charter)
    }

    /// Has one of several events booked that are about one object.
    private func book(_ events: [BookEvent]) async {
        for event in events {
            switch await own.take(event) {
            case .success?: return
            // The book says of another witness's word whether that does.
            case .failure?: continue
            case nil: return
            }
        }
    }

    /// Why a witness's answer is not there.
    private struct Silence: Error, CustomStringConvertible {
        let description: String
    }

    private func answers(
        of witnesses: [DID], from: UnixMilliseconds
    ) async -> [(DID, Result<WitnessReply, Silence>)] {
        let (peers, reach, exchange, limits) = (witnesses.map(\.peerID), reach, exchange, limits)
        _ = try? await withDeadline(milliseconds: limits.reachMilliseconds) { await reach(peers) }
        return await withTaskGroup(of: (DID, Result<WitnessReply, Silence>).self) { group in
            for witness in witnesses {
                group.addTask {
                    do {
                        let answer = try await withDeadline(milliseconds: limits.answerMilliseconds) {
                            try await exchange.ask(.report(from: from), of: witness.peerID)
                        }
                        return (witness, .success(answer))
                    } catch WitnessExchange.Failure.malformed {
                        return (witness, .failure(Silence(description: "Its answer does not read.")))
                    } catch {
                        return (witness, .failure(Silence(description: "It does not answer.")))
                    }
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
    }

    private func finish(_ round: Round, of charter: IssuerCharter) async {
        let (now, times) = (NodeClock.wallClock, limits.times)
        let isBehind = await own.read { $0.isToCatchUp(now: now, times) } ?? false
        last = round
        if round.refusal == nil {
            onCount("issuer_catch_ups")
            // More may have been lodged than one report has. A witness's clock may be behind, too, and each round is an
            // entry of the log.
            pause = isBehind ? longerPause : limits.pauseMilliseconds.lowerBound
            if isWarned { logger.notice("The book catches up with its witnesses again.") }
            isWarned = false
        } else {
            onCount("issuer_catch_ups_failed")
            pause = longerPause
            if !isWarned { logger.warning("\(Self.words(round, charter))") }
            isWarned = true
        }
        nextAt = .now + .milliseconds(pause)
    }

    private var longerPause: Int64 {
        min(max(pause * 2, limits.pauseMilliseconds.lowerBound), limits.pauseMilliseconds.upperBound)
    }

    // MARK: The owner

    private static func words(_ round: Round, _ charter: IssuerCharter) -> String {
        let refusal = round.refusal.map { ": \($0)" } ?? ""
        let names = round.faults.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value.cut(bytesMax: 256))" }
        let faults = names.isEmpty ? "" : " \(names.joined(separator: " "))"
        return "The book has not caught up with its \(charter.witnesses.count) witnesses, of whom \(round.reports) "
            + "report\(refusal).\(faults)"
    }

    /// What to tell the owner: why holds end soon, or have ended; nil while the book catches up, or needs not.
    func warning() async -> String? {
        guard let last, last.refusal != nil, await own.obstacle == nil,
            let state = await own.read({ ($0.charter, $0.witnessesNeeded, $0.grantsUntil) }),
            let (needed, until) = state.1.flatMap({ needed in state.2.map { (needed, $0) } })
        else { return nil }
        let now = NodeClock.wallClock
        let when =
            now <= until
            ? "It holds nothing more in \(until.milliseconds(since: now) / 1_000) s" : "It holds nothing more"
        return "\(Self.words(last, state.0)) \(when), and nothing expires or is paid by time, until \(needed) report."
    }
}
