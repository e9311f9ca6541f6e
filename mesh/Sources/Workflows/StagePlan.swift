package import Multiformats
package import SignedObjects

/// One stage of a plan: its items, what they cost, and what came of them.
package struct StagePlan: Hashable, Sendable {
    /// Where an item is.
    package enum ItemPhase: Hashable, Sendable {
        /// It was not begun, or is to be repeated.
        case waiting
        /// Its job was submitted and has not ended.
        case running
        /// Its job ended with an exit code that counts as success.
        case done
        /// It has failed for good.
        case failed(reason: String)
    }

    /// One item.
    package struct Item: Hashable, Sendable {
        /// The name of its output in the folder of all: the entry of the folder, or the number of the item.
        package var name: String
        /// What `{item}` stands for.
        package var text: String
        /// The file or folder that it stands for.
        package var content: ChildTemplate.Content?
        /// Where it is.
        package var phase = ItemPhase.waiting
        /// The attempt that runs or ran last; nil before the first.
        package var attempt: Int?
        /// Failures of the mesh in this round.
        var retried: UInt64 = 0
        /// The module's exit code.
        package var exitCode: Int64?
        /// The last job.
        package var jobID: CID?
        /// Its receipt.
        package var receiptCID: CID?
        /// Who had run it, if it is an earlier job whose result served.
        package var servedBy: DID?
        /// Its outputs.
        package var outputs: [ChildOutput] = []
        /// What its jobs cost.
        package var paid: UInt64 = 0
    }

    /// As it is defined.
    package let definition: StageDefinition
    /// Where it is.
    package internal(set) var status = StageStatus.waiting
    /// Why it failed or was skipped.
    package internal(set) var reason: String?
    /// The items; empty until it is known what they are.
    package internal(set) var items: [Item] = []
    /// The number of rounds before, by which what is told late is known.
    package internal(set) var round = 0
    /// What is held for jobs that have not ended, in the smallest unit.
    package internal(set) var held: UInt64 = 0
    /// What was paid, all rounds together.
    package internal(set) var paid: UInt64 = 0
    /// Its outputs, once it succeeded.
    package internal(set) var outputs: [ChildOutput] = []
    /// Items whose jobs run.
    package internal(set) var running = 0
    /// Items that are done.
    package internal(set) var done = 0
    /// Items that failed for good.
    package internal(set) var failed = 0
    /// Items for which an earlier result served.
    package internal(set) var served = 0
    /// The first attempt at an item that has none yet: one that no job of the stage has had.
    var nextAttempt = 0
    /// One more than the highest attempt of any item.
    var attemptsBegun = 0
    /// No item before this one waits, but for those to repeat.
    var nextItem = 0
    /// Items to repeat.
    var repeats: [Int] = []

    init(_ definition: StageDefinition) { self.definition = definition }

    /// The exit code of a stage that runs once.
    var exitCode: Int64? { definition.forEach == nil ? items.first?.exitCode : nil }

    /// Items that wait.
    package var waiting: Int { items.count - running - done - failed }

    /// Whether every item has its end.
    var isThrough: Bool { done + failed == items.count }

    /// The next item to begin.
    mutating func takeNext() -> Int? {
        if let item = repeats.popLast() { return item }
        while nextItem < items.count {
            defer { nextItem += 1 }
            if items[nextItem].phase == .waiting { return nextItem }
        }
        return nil
    }

    /// Gives it its items, and forgets what those before had come to.
    mutating func begin(_ items: [Item]) {
        (self.items, running, done, failed, served, nextItem, repeats) = (items, 0, 0, 0, 0, 0, [])
        status = .running
    }

    mutating func enter(_ status: StageStatus, _ reason: String? = nil) {
        (self.status, self.reason) = (status, reason)
        held = 0
    }
}
