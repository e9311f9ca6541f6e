import GossipSub
import P2PServices

/// Joins and leaves the topics of single jobs, in the order in which the core wants it: leaving one never overtakes
/// joining it.
struct FollowedTopics: Sendable {
    private enum Order: Sendable {
        case join(String)
        case leave(String)
    }

    private let orders: AsyncStream<Order>
    private let ordersIn: AsyncStream<Order>.Continuation

    init() {
        // BOUNDED: a job has two orders for each of its two topics, and the market bounds jobs (`MarketLimits`).
        (orders, ordersIn) = AsyncStream.makeStream(of: Order.self)
    }

    func join(_ topic: String) { ordersIn.yield(.join(topic)) }

    func leave(_ topic: String) { ordersIn.yield(.leave(topic)) }

    /// Carries the orders out until the task is cancelled. Where gossip takes no more topics, a job does with direct
    /// messages.
    func run(on gossip: GossipService, validator: @escaping GossipService.Validator) async {
        for await order in orders {
            switch order {
            // The validator takes in what it accepts; nobody needs the stream of accepted messages.
            case .join(let topic): _ = try? await gossip.subscribe(topic, validator: validator)
            case .leave(let topic): await gossip.unsubscribe(topic)
            }
        }
    }
}
