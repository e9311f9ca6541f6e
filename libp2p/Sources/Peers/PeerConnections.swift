/// The connections to one peer, oldest first: which of them new streams use, and which have to prove that they are
/// alive.
///
/// A peer that connects anew may have lost its other connections silently, so each of those is doubted until something
/// comes over it; meanwhile new streams prefer one that nobody doubts.
package struct PeerConnections<Connection: Identifiable & Sendable>: Sendable where Connection.ID: Sendable {
    private struct Entry: Sendable {
        let connection: Connection
        var isDoubted = false
    }

    private var entries: [Entry] = []

    package init() {}

    /// Connections that stand.
    package var count: Int { entries.count }
    /// Whether none stands.
    package var isEmpty: Bool { entries.isEmpty }

    /// All of them, the oldest first.
    package var all: [Connection] { entries.map(\.connection) }

    /// The one for new streams: the oldest that nobody doubts, else the newest.
    package var preferred: Connection? {
        if entries.count == 1 { return entries.first?.connection }
        return (entries.first { !$0.isDoubted } ?? entries.last)?.connection
    }

    /// Enters a connection; returns the older ones, which have to prove that they are alive.
    package mutating func opened(_ connection: Connection) -> [Connection] {
        let older = doubtAll()
        entries.append(Entry(connection: connection))
        return older
    }

    /// Doubts all of them, and returns them for the shell to probe.
    package mutating func doubtAll() -> [Connection] {
        for index in entries.indices { entries[index].isDoubted = true }
        return all
    }

    /// Notes that something came over a connection, so it is alive.
    package mutating func proved(_ id: Connection.ID) {
        guard let index = entries.firstIndex(where: { $0.connection.id == id }) else { return }
        entries[index].isDoubted = false
    }

    /// Whether a connection still has to prove that it is alive.
    package func isDoubted(_ id: Connection.ID) -> Bool {
        entries.first { $0.connection.id == id }?.isDoubted ?? false
    }

    /// Removes a connection; `nil` if it was not among them.
    package mutating func closed(_ id: Connection.ID) -> Connection? {
        guard let index = entries.firstIndex(where: { $0.connection.id == id }) else { return nil }
        return entries.remove(at: index).connection
    }
}
