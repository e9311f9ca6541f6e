public import MeshTypes
public import Multiformats

/// How far the anchoring of a receipt is.
public enum AnchorState: Hashable, Sendable {
    /// Nothing is anchored.
    case none
    /// The entry is signed; its heads are to be published until a date.
    case pending(CID, until: UnixMilliseconds)
    /// The heads are published, or their time was over.
    case done(CID, inTime: Bool)

    var isPending: Bool {
        if case .pending = self { true } else { false }
    }

    var isNone: Bool { self == .none }

    /// The heads were published, or their time was over.
    mutating func published(inTime: Bool) {
        if case .pending(let cid, _) = self { self = .done(cid, inTime: inTime) }
    }

    /// Sets the timer of what is pending, where that changed, and clears it where nothing is.
    func armTimer(_ timer: MarketTimer, from old: AnchorState?, _ context: inout MarketContext) {
        if case .pending(_, let until) = self {
            if old != self { context.setTimer(timer, at: until) }
        } else {
            context.timers.clear(timer)
        }
    }
}
