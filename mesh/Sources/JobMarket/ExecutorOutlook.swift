package import MeshTypes
package import SignedObjects

/// What an originator knows of one executor with regard to one job.
package struct ExecutorStanding: Hashable, Sendable {
    /// The executor.
    package let did: DID
    /// Whether it is this node itself.
    package let isHere: Bool
    /// What keeps it from running the job.
    package let obstacles: [Obstacle]
    /// Whether it bid, answered, or is being asked: there is nothing to ask it.
    package let hasSpoken: Bool
    /// Whether it bid too much, and is no stranger: a job that all refuse then waits for nobody else.
    package let setsPrice: Bool

    package init(
        did: DID, isHere: Bool = false, obstacles: [Obstacle], hasSpoken: Bool = false, setsPrice: Bool = false
    ) {
        self.did = did
        self.isHere = isHere
        self.obstacles = obstacles
        self.hasSpoken = hasSpoken
        self.setsPrice = setsPrice
    }
}

extension [ExecutorStanding] {
    /// After how long a job that they all refuse ends, where it waits so long for executors that nobody knows: at once,
    /// if one that is no stranger set the price.
    package func patience(milliseconds: UInt64?) -> UInt64? { contains(where: \.setsPrice) ? 0 : milliseconds }
}

/// The answer of an executor that was asked why it does not bid on a job.
package enum ExecutorAnswer: Hashable, Sendable {
    /// None yet, or none at all.
    case none
    /// It made, or will make, a bid.
    case willing
    /// It does not bid, for this reason.
    case declined(Refusal)
    /// No connection to it comes about, or lasts.
    case unreachable
}

/// Who could run a job, and what keeps those who do not: a count of the executors that a node knows, and their
/// obstacles, summed up.
package struct ExecutorOutlook: Hashable, Sendable, Codable {
    /// Executors that are known by their offers or bids; this node counts if it runs its own jobs.
    package var known: UInt64
    /// Those with an obstacle that lasts.
    package var refusing: UInt64
    /// Those that only cannot now.
    package var busy: UInt64
    /// Whether this node is one of them, and whether it has no obstacle.
    package var isHere: Bool
    /// Whether this node itself can run the job.
    package var isAbleHere: Bool
    /// The obstacles, those of most executors first.
    package var reasons: [Reason]
    /// How long the job waits at most for executors that nobody knows, in milliseconds, while all that are known
    /// refuse; absent if it does not wait, or nobody can tell for how long.
    package var waitMilliseconds: UInt64?
    /// Executors that the owner of this node banned, besides those that are known; absent if there are none.
    package var banned: UInt64?

    /// An obstacle of one or more executors.
    package struct Reason: Hashable, Sendable, Codable {
        /// What stands for those of all: the least that is missing.
        package var obstacle: Obstacle
        /// How many executors have it.
        package var executors: UInt64
        /// Whether this node is among them.
        package var isHere: Bool
        /// True if they offer different amounts, else absent.
        package var differs: Bool?

        package init(obstacle: Obstacle, executors: UInt64, isHere: Bool = false, differs: Bool? = nil) {
            self.obstacle = obstacle
            self.executors = executors
            self.isHere = isHere
            self.differs = differs
        }
    }

    /// Obstacles that an outlook names.
    package static let reasonsMax = 8

    /// Sums up what is known of executors.
    package init(_ standings: [ExecutorStanding], banned: UInt64? = nil) {
        self.banned = banned
        known = UInt64(standings.count)
        refusing = UInt64(standings.count { $0.obstacles.contains(where: \.lasts) })
        busy = UInt64(standings.count { !$0.obstacles.isEmpty && !$0.obstacles.contains(where: \.lasts) })
        isHere = standings.contains(where: \.isHere)
        isAbleHere = standings.contains { $0.isHere && $0.obstacles.isEmpty }
        var sums: [Reason] = []
        for standing in standings {
            for obstacle in standing.obstacles {
                if let index = sums.firstIndex(where: { $0.obstacle.isAlike(obstacle) }) {
                    if sums[index].obstacle.offered != obstacle.offered { sums[index].differs = true }
                    sums[index].obstacle = sums[index].obstacle.merged(with: obstacle)
                    sums[index].executors += 1
                    sums[index].isHere = sums[index].isHere || standing.isHere
                } else {
                    sums.append(Reason(obstacle: obstacle, executors: 1, isHere: standing.isHere))
                }
            }
        }
        // Always in the same order, whatever the order of the executors; stable among equals.
        let order = sums.enumerated().sorted { left, right in
            if left.element.executors != right.element.executors {
                return left.element.executors > right.element.executors
            }
            let (first, second) = (left.element.obstacle.rank, right.element.obstacle.rank)
            if first != second { return first < second }
            let (code, other) = (left.element.obstacle.code, right.element.obstacle.code)
            return code == other ? left.offset < right.offset : code < other
        }
        reasons = order.prefix(Self.reasonsMax).map(\.element)
    }

    /// The same of a job that waits for nobody.
    var atLast: ExecutorOutlook {
        var outlook = self
        outlook.waitMilliseconds = nil
        return outlook
    }

    /// Executors that may still bid, as far as is known.
    package var able: UInt64 { known - min(known, refusing + busy) }
    /// Whether every executor that is known refuses, and will refuse in a minute, too.
    package var isHopeless: Bool { known > 0 && refusing == known }
    /// Whether nobody is left whom the owner did not ban, as far as is known.
    package var isBannedAll: Bool { known == 0 && banned != nil }
    /// Whether a bid, or all of them, was too dear.
    package var isTooDear: Bool {
        reasons.contains { if case .price = $0.obstacle { true } else { false } }
    }
}
