import Determinism
import Multiformats
import NIOConcurrencyHelpers

/// The node's ledger of bytes held for peers, shared by the event loops and the tasks that use streams.
final class ByteBudget: Sendable {
    private struct Shortage: Sendable {
        var toldAt = MonotonicInstant.zero
        var onShortage: @Sendable () -> Void = {}
    }

    private let shortageMilliseconds: Int64
    private let ledger: NIOLockedValueBox<ByteLedger>
    private let shortage = NIOLockedValueBox(Shortage())

    init(limits: ByteLedger.Limits) {
        shortageMilliseconds = limits.shortageMilliseconds
        ledger = NIOLockedValueBox(ByteLedger(limits: limits))
    }

    /// Sets the closure to call when bytes are short; it may not wait.
    func onShortage(_ body: @escaping @Sendable () -> Void) {
        shortage.withLockedValue { $0.onShortage = body }
    }

    /// Charges an account, and reports a shortage of bytes.
    fileprivate func charge(_ count: Int, to account: ByteLedger.AccountID) -> Bool {
        let (isCharged, isShort) = withLedger { ledger in
            let isCharged = ledger.charge(count, to: account)
            return (isCharged, ledger.isShort)
        }
        if isShort { tellShortage() }
        return isCharged
    }

    private func tellShortage() {
        let now = SwarmClock.now
        let tell = shortage.withLockedValue { shortage -> (@Sendable () -> Void)? in
            guard shortage.toldAt.advanced(milliseconds: shortageMilliseconds) <= now else { return nil }
            shortage.toldAt = now
            return shortage.onShortage
        }
        tell?()
    }

    func withLedger<Value: Sendable>(_ body: (inout ByteLedger) -> Value) -> Value { ledger.withLockedValue(body) }

    /// Opens the account of a connection.
    func addAccount(for peer: PeerID) -> ConnectionCharge {
        ConnectionCharge(budget: self, account: withLedger { $0.addAccount(for: peer) })
    }
}

/// What one connection is charged for: its streams' bytes, and those its socket has not taken.
final class ConnectionCharge: Sendable {
    fileprivate let budget: ByteBudget
    fileprivate let account: ByteLedger.AccountID

    fileprivate init(budget: ByteBudget, account: ByteLedger.AccountID) {
        self.budget = budget
        self.account = account
    }

    deinit {
        close()
    }

    /// The sum.
    var bytes: Int { budget.withLedger { $0.bytes(of: account) } }

    /// Releases the connection's charge. Does nothing the second time.
    func close() {
        budget.withLedger { $0.close(account) }
    }

    /// The socket took bytes that streams had handed over.
    func socketTook(_ count: Int) {
        budget.withLedger { $0.discharge(count, from: account) }
    }
}

/// What one stream is charged for, in any task.
///
/// Bytes within the initial window are charged as they arrive. A window's growth is charged as soon as it is granted,
/// so bytes within the growth are not charged again.
package final class StreamCharge: Sendable {
    private struct State: Sendable {
        /// Bytes received and not taken, within the initial window.
        var received = 0
        /// Received bytes that the charge of `granted` covers.
        var covered = 0
        var granted = 0
        var unsent = 0
        var isClosed = false
        var takenAt: MonotonicInstant
    }

    private let connection: ConnectionCharge
    private let state: NIOLockedValueBox<State>

    init(_ connection: ConnectionCharge) {
        self.connection = connection
        state = NIOLockedValueBox(State(takenAt: SwarmClock.now))
    }

    /// The sum.
    var bytes: Int { state.withLockedValue { $0.received + $0.granted + $0.unsent } }

    /// Bytes received and not taken or written and not sent, and when somebody last took any.
    var held: (bytes: Int, since: MonotonicInstant) {
        state.withLockedValue { ($0.received + $0.covered + $0.unsent, $0.takenAt) }
    }

    /// Charges bytes that arrived; `false` when they do not fit.
    func received(_ count: Int) -> Bool {
        state.withLockedValue { state in
            if state.isClosed { return true }
            let covered = min(count, state.granted - state.covered)
            guard count == covered || charge(count - covered) else { return false }
            state.covered += covered
            state.received += count - covered
            return true
        }
    }

    /// Returns the charge of bytes that the reader took.
    func taken(_ count: Int) {
        state.withLockedValue { state in
            if state.isClosed { return }
            state.takenAt = SwarmClock.now
            let charged = min(count, state.received)
            state.received -= charged
            state.covered -= min(state.covered, count - charged)
            if charged > 0 { discharge(charged) }
        }
    }

    /// Charges a growth of the window; returns by how much it may grow.
    func grant(_ count: Int) -> Int {
        state.withLockedValue { state in
            if state.isClosed { return 0 }
            let granted = connection.budget.withLedger { $0.promise(count, to: connection.account) }
            state.granted += granted
            return granted
        }
    }

    /// Charges written bytes; `false` when they do not fit and the writer has to wait.
    func written(_ count: Int) -> Bool {
        state.withLockedValue { state in
            if state.isClosed { return true }
            guard charge(count) else { return false }
            state.unsent += count
            return true
        }
    }

    /// Moves the charge of written bytes to the connection, until the socket has taken them.
    func movedToSocket(_ count: Int) -> Bool {
        state.withLockedValue { state in
            if state.isClosed { return false }
            state.takenAt = SwarmClock.now
            state.unsent -= count
            return true
        }
    }

    /// Gives back all that the stream was charged for. Does nothing the second time.
    func close() {
        state.withLockedValue { state in
            if state.isClosed { return }
            let all = state.received + state.granted + state.unsent
            if all > 0 { discharge(all) }
            state = State(isClosed: true, takenAt: state.takenAt)
        }
    }

    private func charge(_ count: Int) -> Bool {
        connection.budget.charge(count, to: connection.account)
    }

    private func discharge(_ count: Int) {
        connection.budget.withLedger { $0.discharge(count, from: connection.account) }
    }
}
