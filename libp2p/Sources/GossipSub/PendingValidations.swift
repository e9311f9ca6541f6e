import Determinism
import Multiformats
import OrderedCollections

/// The messages that wait for the application's verdict, with all peers that sent them.
struct PendingValidations: Sendable {
    struct Entry: Sendable {
        var message: GossipMessage
        var senders: OrderedSet<PeerID>
        var expires: MonotonicInstant
    }

    private let messagesMax: Int
    private let bytesMax: Int
    private let lifetimeMilliseconds: Int64
    private var entries: [MessageID: Entry] = [:]
    private(set) var bytes = 0

    init(parameters: GossipSubParameters, limits: GossipSubRouter.Limits) {
        lifetimeMilliseconds = parameters.validationMilliseconds
        messagesMax = limits.pendingValidationsMax
        bytesMax = limits.pendingValidationBytesMax
    }

    var count: Int { entries.count }

    func hasRoom(for bytesMore: Int) -> Bool {
        entries.count < messagesMax && bytesMore <= bytesMax - bytes
    }

    mutating func insert(_ message: GossipMessage, from peer: PeerID, now: MonotonicInstant) {
        let expires = now.advanced(milliseconds: lifetimeMilliseconds)
        entries[message.id] = Entry(message: message, senders: [peer], expires: expires)
        bytes += message.encoded.count
    }

    /// Notes that another peer sent a waiting message.
    mutating func sent(_ id: MessageID, by peer: PeerID) {
        entries[id]?.senders.append(peer)
    }

    mutating func take(_ id: MessageID) -> Entry? {
        guard let entry = entries.removeValue(forKey: id) else { return nil }
        bytes -= entry.message.encoded.count
        return entry
    }

    /// Gives up on overdue verdicts, so that a hanging validator cannot hold all places; returns how many.
    mutating func expire(now: MonotonicInstant) -> Int {
        let overdue = entries.filter { $0.value.expires <= now }.keys
        for id in overdue { _ = take(id) }
        return overdue.count
    }

    func checkInvariants() {
        precondition(entries.count <= messagesMax, "\(entries.count) pending validations of \(messagesMax)")
        precondition(bytes <= bytesMax, "\(bytes) bytes of pending validations of \(bytesMax)")
    }
}
