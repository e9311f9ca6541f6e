package import MeshTypes
package import Multiformats

/// How far the anchoring of a receipt has come.
package enum AnchorState: Hashable, Sendable {
    /// Nothing is anchored.
    case none
    /// The entry is signed, and its heads have to be published by a date.
    case pending(CID, until: UnixMilliseconds)
    /// The heads are published, or their time is over.
    case done(CID, inTime: Bool)

    var isPending: Bool {
        if case .pending = self { true } else { false }
    }

    var isNone: Bool { self == .none }

    /// Notes that the heads are published, or their time is over.
    mutating func published(inTime: Bool) {
        if case .pending(let cid, _) = self { self = .done(cid, inTime: inTime) }
    }

    /// Sets the timer of what is pending if that changed, and clears it if nothing is.
    func armTimer(_ timer: MarketTimer, from old: AnchorState?, _ context: inout MarketContext) {
        if case .pending(_, let until) = self {
            if old != self { context.setTimer(timer, at: until) }
        } else {
            context.timers.clear(timer)
        }
    }
}
