import Foundation
import JobMarket
import MeshTypes
import Synchronization
import Testing
import Workflows

/// A write at which a node killed itself, as it said on standard error.
struct CrashPlace: Hashable, CustomStringConvertible {
    /// An event of the write.
    struct Event: Hashable {
        /// Whose journal it belongs to, with its name: `originator:settled`.
        let name: String
        /// What kind of job, or a workflow.
        let kind: String
        /// The state in which the write leaves that.
        let state: String
    }

    /// `before` or `after` the write.
    let side: String
    let events: [Event]

    /// What makes a death another one: the side, and of each event the journal, the kind of job, the name, and the
    /// state in which the write leaves it. Two jobs of a kind are no two pairs, nor are two deaths at one write.
    var description: String { "\(side) " + events.map { "\($0.name):\($0.kind):\($0.state)" }.joined(separator: " ") }

    /// All that a log tells of, in order.
    static func all(in log: String) -> [CrashPlace] { log.split(separator: "\n").compactMap { CrashPlace(line: $0) } }

    /// - Parameter line: a line of a log; nil if it tells of none.
    init?(line: Substring) {
        let words = line.split(separator: " ")
        guard words.count > 2, words[0] == "crash" else { return nil }
        side = String(words[1])
        events = words[2...].compactMap { word in
            let parts = word.split(separator: ":").map(String.init)
            guard parts.count == 4 else { return nil }
            return Event(name: "\(parts[0]):\(parts[1])", kind: parts[2], state: parts[3])
        }
        guard events.count == words.count - 2 else { return nil }
    }

    /// Whether the write has an event.
    func has(_ name: String) -> Bool { events.contains { $0.name == name } }
}

/// Where nodes died in all tests of a suite, which together have to visit every event of the journals.
struct CrashPlaces: SuiteTrait, TestScoping {
    /// How many pairs they visit at the least; what shares a write depends on the machine. Forty are of holds.
    static let pairsMin = 235
    /// Events at which nodes may die on one side only, as the next write took them along on the other.
    private static let oneSidedMax = 4

    private static let visited = Mutex<[CrashPlace]>([])

    /// Notes that a node killed itself.
    static func saw(_ place: CrashPlace) { visited.withLock { $0.append(place) } }

    private static let hedged =
        "a run has to stand still for longer than others take and shorter than its lease, which no busy machine keeps; "
        + "JobMarketTests (HedgeTests) play it, and kill the market at each of its events"

    /// Writes of issuers, arbiters and their members that nodes have to die at, on both sides: `HoldMatrixTests`.
    ///
    /// Not among them: `issuer:hold_released`, which takes a run that costs nothing; `arbiter:part_kept`, of results
    /// longer than a part; `arbiter:forgotten`, a day later; and of `booking` what ends as others do (`disputed`), or
    /// when an issuer is silent for a day (`lost`, `due`).
    private static let creditEvents = [
        "issuer:hold_granted", "issuer:hold_settled", "issuer:hold_expired", "issuer:claim_lodged",
        "issuer:claim_disputed", "issuer:claim_decided", "issuer:claim_paid", "arbiter:result_kept",
        "arbiter:decided", "booking:hold_ordered", "booking:claimed", "booking:ended", "booking:claim_paid_due",
        "booking:claim_disputed_due", "booking:claim_decided_due",
    ]

    /// Events at which no test has to kill a node, and why.
    private static let excusedEvents = [
        "originator:bid_displaced": "a job keeps 64 bids, so 65 executors would have to bid for it",
        "originator:receipt_chosen": hedged,
        "originator:attempt_resumed": hedged,
        "originator:hold_failed":
            "an issuer has to refuse a hold that it promised a line for; JobMarketTests (CreditJobTests) kill the "
            + "market at it",
        "executor:settlement_overdue": "an originator may settle up to 600 s after it had the receipt",
    ]

    /// States of an originator's job in which no write has to leave it here, and why.
    private static let excusedStates: [JobStatus: String] = [
        .producingOutputs: "it is reported where the disk takes more than 250 ms for what a module left last",
        .completed: "the write of a result settles and anchors it as well, which leaves the job ReceiptAnchored",
        .receiptGenerated: "an executor's own state: its originator has the receipt, or knows of none",
    ]

    /// The states in which a write has to leave a job at its executor, for some death. Others are passed within a write
    /// (`Assigned`, `ReceiptGenerated`), are the end of a bid that was not taken (`BiddingClosed`), or of a run that
    /// `SessionCommandTests` (`AwaitingInputs`) and a slow disk (`ProducingOutputs`) have.
    private static let executorStates: [JobStatus] = [
        .biddingOpen, .preparingExecution, .running, .receiptAnchored,
    ]

    /// Every event that a journal can hold, by the types.
    static var catalogue: [String] {
        JobEventKind.Name.allCases.flatMap { name in name.roles.map { "\($0.rawValue):\(name.rawValue)" } }
            + PlanEvent.Name.allCases.map { "plan:\($0.rawValue)" }
    }

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        Self.visited.withLock { $0 = [] }
        try await function()
        let places = Self.visited.withLock(\.self)
        let pairs = Set(places.map(\.description))
        print("\(places.count) deaths, \(pairs.count) pairs")
        // Who runs a part of the tests does not visit all.
        if ProcessInfo.processInfo.environment["MESH_CRASH_MATRIX"] == "part" {
            return print(pairs.sorted().joined(separator: "\n"))
        }
        #expect(pairs.count >= Self.pairsMin)
        var oneSided: [String] = []
        for name in Self.catalogue + Self.creditEvents where Self.excusedEvents[name] == nil {
            let sides = Set(places.filter { $0.has(name) }.map(\.side))
            #expect(!sides.isEmpty, "no death at \(name)")
            if sides.count == 1 { oneSided.append(name) }
        }
        #expect(oneSided.count <= Self.oneSidedMax, "\(oneSided)")
        let states = Set(
            places.flatMap(\.events).filter { $0.name.hasPrefix("originator:") }.map(\.state))
        for state in JobStatus.allCases where Self.excusedStates[state] == nil {
            #expect(states.contains(state.rawValue), "no death leaves a job \(state.rawValue)")
        }
        let runs = Set(places.flatMap(\.events).filter { $0.name.hasPrefix("executor:") }.map(\.state))
        for state in Self.executorStates {
            #expect(runs.contains(state.rawValue), "no death leaves an executor's job \(state.rawValue)")
        }
        let plans = Set(places.flatMap(\.events).filter { $0.name.hasPrefix("plan:") }.map(\.state))
        for status in WorkflowStatus.allCases {
            #expect(plans.contains(status.rawValue), "no death leaves a workflow \(status.rawValue)")
        }
    }
}
