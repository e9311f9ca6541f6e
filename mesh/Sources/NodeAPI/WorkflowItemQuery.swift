package import Multiformats

/// Which items of a workflow to list: stage by stage, by their numbers.
package struct WorkflowItemQuery: Hashable, Sendable {
    /// The place of an item in the list.
    package struct Place: Hashable, Sendable {
        /// Its stage.
        package var stage: String
        /// Its number within the stage, from 0.
        package var number: Int

        package init(stage: String, number: Int) {
            self.stage = stage
            self.number = number
        }

        /// The place that a text names: the stage, a slash, and the number; nil if it names none.
        package init?(text: String) {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, let number = UInt32(parts[1]) else { return nil }
            self.init(stage: String(parts[0]), number: Int(number))
        }

        /// The place as a text.
        package var text: String { "\(stage)/\(number)" }
    }

    /// How far an item is.
    package enum Phase: String, Hashable, Sendable, CaseIterable {
        /// No job was made for it yet.
        case waiting
        /// Its job is under way.
        case running
        /// Its job ended with an exit code.
        case done
        /// It came to nothing.
        case failed
    }

    /// Only items of this stage.
    package var stage: String?
    /// Only items that are so far.
    package var phase: Phase?
    /// Only items behind this one.
    package var after: Place?
    /// The most items.
    package var limit: Int

    package init(stage: String? = nil, phase: Phase? = nil, after: Place? = nil, limit: Int) {
        self.stage = stage
        self.phase = phase
        self.after = after
        self.limit = limit
    }
}

extension NodeService {
    /// How many items one call asks for.
    private var itemsPerCall: Int { 1_000 }

    /// All items of a workflow's stages, read a page at a time.
    package func allItems(of id: CID) async throws(NodeServiceError) -> [WorkflowItemView] {
        var query = WorkflowItemQuery(limit: itemsPerCall)
        var all: [WorkflowItemView] = []
        while true {
            let page = try await items(of: id, query)
            all += page
            guard page.count == query.limit, let last = page.last, let place = last.place else { return all }
            query.after = place
        }
    }
}
