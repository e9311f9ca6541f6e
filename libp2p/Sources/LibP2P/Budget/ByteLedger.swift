import Multiformats

/// The bytes that a node holds for its peers, charged in one place: received and not taken, or written and not sent. A
/// value; `ByteBudget` shares it under a lock.
///
/// A connection is charged for all of its streams, a peer for all of its connections, the node for all of its peers.
/// Near the total, every bound becomes a share of what is left: a quarter of the free bytes for a connection, half of
/// them for a peer. So one flood leaves room for others. Once half of the total is charged (`isShort`), connections
/// that hold more than `fairBytes` give up what nobody takes, so that whoever came first does not keep all of it.
struct ByteLedger: Sendable {
    /// The bounds of a ledger.
    struct Limits: Hashable, Sendable {
        var connectionBytesMax: Int
        var peerBytesMax: Int
        var totalBytesMax: Int
        /// How often, while bytes are short, connections are asked to give up what they hold beyond their fair share.
        var shortageMilliseconds: Int64 = 100
    }

    /// One connection's account; valid from `addAccount` to `close`.
    struct AccountID: Hashable, Sendable {
        fileprivate let index: Int
        fileprivate let generation: UInt64
    }

    private struct Account: Sendable {
        var generation: UInt64
        var peer: Int
        var bytes = 0
    }

    private struct Peer: Sendable {
        var peerID: PeerID
        var accounts = 0
        var bytes = 0
    }

    private let limits: Limits
    private var accounts: [Account?] = []
    private var freeAccounts: [Int] = []
    private var peers: [Peer?] = []
    private var freePeers: [Int] = []
    private var peerIndices: [PeerID: Int] = [:]
    private var nextGeneration: UInt64 = 0
    private var accountCount = 0
    /// All charged bytes.
    private(set) var totalBytes = 0

    init(limits: Limits) {
        self.limits = limits
    }

    /// Opens the account of a connection.
    mutating func addAccount(for peerID: PeerID) -> AccountID {
        let peer: Int
        if let known = peerIndices[peerID] {
            peer = known
        } else {
            peer = freePeers.popLast() ?? peers.count
            if peer == peers.count { peers.append(nil) }
            peers[peer] = Peer(peerID: peerID)
            peerIndices[peerID] = peer
        }
        peers[peer]?.accounts += 1
        nextGeneration += 1
        let index = freeAccounts.popLast() ?? accounts.count
        if index == accounts.count { accounts.append(nil) }
        accounts[index] = Account(generation: nextGeneration, peer: peer)
        accountCount += 1
        return AccountID(index: index, generation: nextGeneration)
    }

    /// Gives back all that a connection is charged for. Does nothing the second time.
    mutating func close(_ id: AccountID) {
        guard let account = account(id) else { return }
        accounts[id.index] = nil
        accountCount -= 1
        freeAccounts.append(id.index)
        totalBytes -= account.bytes
        guard var peer = peers[account.peer] else { return }
        peer.bytes -= account.bytes
        peer.accounts -= 1
        peers[account.peer] = peer
        if peer.accounts == 0 {
            peers[account.peer] = nil
            peerIndices[peer.peerID] = nil
            freePeers.append(account.peer)
        }
    }

    /// Charges all of the bytes or none; `false` when a bound forbids it or the account is closed.
    mutating func charge(_ count: Int, to id: AccountID) -> Bool {
        guard count <= room(of: id) else { return false }
        book(count, id)
        return true
    }

    /// Charges as much of `count`, which is only promised, as leaves half of every bound to others; returns how much.
    mutating func promise(_ count: Int, to id: AccountID) -> Int {
        guard let account = account(id), let peer = peers[account.peer] else { return 0 }
        let granted = max(
            0,
            min(
                count, connectionBytesMax / 2 - account.bytes, peerBytesMax / 2 - peer.bytes,
                limits.totalBytesMax / 2 - totalBytes))
        book(granted, id)
        return granted
    }

    /// Gives bytes back. Does nothing once the account is closed.
    mutating func discharge(_ count: Int, from id: AccountID) {
        guard let account = account(id) else { return }
        precondition(count <= account.bytes, "\(count) bytes given back of \(account.bytes)")
        book(-count, id)
    }

    /// How many bytes more a connection may be charged for.
    func room(of id: AccountID) -> Int {
        guard let account = account(id), let peer = peers[account.peer] else { return -1 }
        return max(0, min(connectionBytesMax - account.bytes, peerBytesMax - peer.bytes))
    }

    /// Whether more than half of the total is charged.
    var isShort: Bool { totalBytes > limits.totalBytesMax / 2 }

    /// What each connection may hold if all hold the same, and half of the total together.
    var fairBytes: Int { limits.totalBytesMax / 2 / max(1, accountCount) }

    private var connectionBytesMax: Int { min(limits.connectionBytesMax, (limits.totalBytesMax - totalBytes) / 4) }
    private var peerBytesMax: Int { min(limits.peerBytesMax, (limits.totalBytesMax - totalBytes) / 2) }

    private func account(_ id: AccountID) -> Account? {
        guard accounts.indices.contains(id.index), let account = accounts[id.index],
            account.generation == id.generation
        else { return nil }
        return account
    }

    private mutating func book(_ count: Int, _ id: AccountID) {
        guard let peer = accounts[id.index]?.peer else { return }
        accounts[id.index]?.bytes += count
        peers[peer]?.bytes += count
        totalBytes += count
    }

    /// What a connection is charged for.
    func bytes(of id: AccountID) -> Int { account(id)?.bytes ?? 0 }

    /// What a peer is charged for.
    func bytes(of peerID: PeerID) -> Int { peerIndices[peerID].flatMap { peers[$0]?.bytes } ?? 0 }

    /// Whether no account is open.
    var isEmpty: Bool { peerIndices.isEmpty && totalBytes == 0 }

    /// Stops the process when the books disagree.
    func checkInvariants() {
        let open = accounts.compactMap { $0 }
        precondition(accountCount == open.count, "the number of accounts is off")
        precondition(totalBytes == open.reduce(0) { $0 + $1.bytes }, "the total is not the sum of the connections")
        precondition(totalBytes <= limits.totalBytesMax, "more charged than there is")
        for (index, peer) in peers.enumerated() {
            guard let peer else { continue }
            let own = open.filter { $0.peer == index }
            precondition(peer.accounts == own.count, "a peer's connections are off")
            precondition(peer.bytes == own.reduce(0) { $0 + $1.bytes }, "a peer is not the sum of its connections")
            precondition(peer.bytes <= limits.peerBytesMax, "a peer holds more than its bound")
            precondition(own.allSatisfy { (0...limits.connectionBytesMax).contains($0.bytes) }, "a connection's bytes")
        }
    }
}
