import Determinism
import JobMarket
import MeshStore
import MeshTypes
import NodeAPI
import NodeCore
import NodeSetup

extension OwnerOrder {
    /// The setting that holds it.
    private static let key = "owner_order"

    /// What the owner ordered before the last stop; `nil` if nothing, or what a later version knows.
    static func stored(in store: MeshStore) async throws(MeshStoreError) -> OwnerOrder? {
        guard let bytes = try await store.setting(key) else { return nil }
        return OwnerOrder(rawValue: String(decoding: bytes, as: UTF8.self))
    }

    /// Keeps an order over restarts.
    static func keep(_ order: OwnerOrder?, in store: MeshStore) async throws(MeshStoreError) {
        try await store.commit([.setting(key: key, value: Array((order?.rawValue ?? "").utf8))])
    }

    /// The order of the API as the core takes it.
    init?(_ order: ExecutorOrder) {
        switch order {
        case .pause: self = .pause
        case .drain: self = .drain
        case .resume: return nil
        }
    }
}

extension ExecutorState {
    /// What a node's executor does at a moment.
    init(_ core: borrowing NodeCore, _ configured: NodeConfiguration.Executor, at moment: NodeMoment) {
        let (running, waiting) = core.market.placesTaken
        self.init(
            state: Self.name(core), running: UInt64(running), waiting: UInt64(waiting),
            keptMilliseconds: core.pausedUntil.map { UInt64(clamping: $0.milliseconds(since: moment.now)) },
            hours: configured.hours, nice: configured.nice)
    }

    private static func name(_ core: borrowing NodeCore) -> String {
        guard let executor = core.market.configuration.executor else { return "off" }
        if core.isStopping { return "stopping" }
        let (running, waiting) = core.market.placesTaken
        switch executor.ownerOrder {
        case .pause: return "paused"
        case .drain: return running + waiting == 0 ? "drained" : "draining"
        case nil: return executor.isWithinHours ? "open" : "out_of_hours"
        }
    }
}
