import LibP2P
package import Logging
package import NodeAPI

/// Hands the head of a node's log to its witnesses whenever it has grown, and keeps what they cosign.
package struct WitnessCourier: Sendable {
    private let log: any LogWitness
    private let witnesses: [WitnessAddress]
    private let seconds: UInt64
    private let logger: Logger

    /// A courier to the witnesses, every so many seconds.
    package init(log: any LogWitness, witnesses: [WitnessAddress], seconds: UInt64, logger: Logger) {
        self.log = log
        self.witnesses = witnesses
        self.seconds = seconds
        self.logger = logger
    }

    /// Goes round until the task is cancelled; says once when a witness cannot be had, and once when it can again.
    package func run() async {
        guard !witnesses.isEmpty else { return }
        var away: Set<String> = []
        repeat { away = await round(away) } while (try? await Task.sleep(for: .seconds(seconds))) != nil
    }

    /// Hands one head to all witnesses, so that all cosign the same, and says who is away then.
    private func round(_ away: Set<String>) async -> Set<String> {
        let size: UInt64
        do {
            size = try await log.logHead(since: nil).size
        } catch {
            logger.warning("The log cannot be handed to witnesses.", metadata: ["reason": "\(Self.reason(error))"])
            return away
        }
        return await withTaskGroup(of: String?.self) { group in
            for witness in witnesses {
                group.addTask { await visit(witness, size, wasAway: away.contains(witness.key)) ? nil : witness.key }
            }
            return await group.reduce(into: []) { away, key in
                if let key { away.insert(key) }
            }
        }
    }

    /// Whether a witness has cosigned a head then.
    private func visit(_ witness: WitnessAddress, _ size: UInt64, wasAway: Bool) async -> Bool {
        do {
            try await hand(size, to: witness)
            if wasAway { logger.notice("A witness cosigns again.", metadata: ["witness": "\(witness.name)"]) }
            return true
        } catch {
            if !wasAway, !Task.isCancelled {
                logger.warning(
                    "A witness does not cosign the log; it is asked again.",
                    metadata: ["witness": "\(witness.name)", "reason": "\(Self.reason(error))"])
            }
            return false
        }
    }

    /// Hands a head to a witness, unless it has cosigned that, and not long ago.
    func hand(_ size: UInt64, to witness: WitnessAddress) async throws {
        let last = try await log.headCosigned(by: witness.key)
        guard size > last.size || (size == last.size && size > 0 && !last.isFresh) else { return }
        var head = try await log.logHead(of: size, since: last.size)
        let client = WitnessClient(place: witness)
        var answer = try await client.add(Array(head.text.utf8))
        // It knows another head than it told this node of, as where the answer was lost.
        if answer.status == 409, let known = UInt64(String(decoding: answer.body, as: UTF8.self).filter(\.isNumber)) {
            guard known <= size else { throw Refusal(status: 409, size: known) }
            head = try await log.logHead(of: size, since: known)
            answer = try await client.add(Array(head.text.utf8))
        }
        guard answer.status == 200 else { throw Refusal(status: answer.status, size: nil) }
        try await log.keep(answer.body, by: witness.key, of: head)
    }

    /// A witness that does not cosign.
    struct Refusal: Error, Hashable, CustomStringConvertible {
        let status: Int
        /// The size of the log that it has cosigned, where that is beyond what there is here.
        let size: UInt64?

        var description: String {
            if let size {
                return
                    "it has cosigned a head with \(size) entries, more than the log has here: this home may be a copy"
            }
            return switch status {
            case 404: "it does not witness this log: its owner has to name this node's DID in witness.authors"
            case 429: "it has cosigned as many heads in this minute as it does"
            case 422: "it has cosigned another history of this log: this home may be a copy"
            default: "it answered with status \(status)"
            }
        }
    }

    private static func reason(_ error: any Error) -> String {
        switch error {
        case let error as Refusal: error.description
        case let error as NodeServiceError: error.message
        default: "it cannot be reached: \(SystemWords.of(error))"
        }
    }
}
