import JobMarket
import MeshTypes
import NodeAPI

extension ExecutorsView {
    /// What is known of executors, for the API.
    init(_ outlook: ExecutorOutlook) {
        self.init(
            known: outlook.known, refusing: outlook.refusing, busy: outlook.busy,
            reasons: outlook.reasons.map { reason in
                let (asked, offered) = reason.obstacle.figures
                return Reason(
                    code: reason.obstacle.code, text: reason.text, executors: reason.executors, asked: asked,
                    offered: offered, setting: reason.obstacle.setting, isHere: reason.isHere, advice: reason.advice)
            })
        banned = outlook.banned
    }
}

extension Obstacle {
    /// What is asked for and what is offered, where these are numbers.
    fileprivate var figures: (asked: UInt64?, offered: UInt64?) {
        switch self {
        case .limit(_, let asked, let offered), .resource(_, let asked, let offered): (asked, offered)
        case .reputation(let best, let min): (min, best)
        case .price(let price): (price.budget.units, price.cheapest.units)
        case .region, .feature, .excluded, .late, .answered: (nil, nil)
        }
    }
}
