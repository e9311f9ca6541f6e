import Crypto
public import Determinism

/// What happened in a simulation: a hash over every event, and the last few in full.
public struct SimulationTrace: Sendable {
    /// The kinds of events.
    public enum Kind: UInt8, Hashable, Sendable {
        /// A node joined or came back.
        case started
        /// A message arrived.
        case delivered
        /// A node was told that a message was lost.
        case sendFailed
        /// The scenario gave a command.
        case commanded
        /// A deadline was reached.
        case deadline
        /// A node noted a fact.
        case note
        /// The scenario changed the network: partition, pause, crash.
        case changed
        /// A node heard of a connection.
        case connection
    }

    /// One event.
    public struct Entry: Hashable, Sendable, CustomStringConvertible {
        /// When.
        public let at: MonotonicInstant
        /// What.
        public let kind: Kind
        /// To which node.
        public let node: SimulatedNodeID
        /// The other node: the sender, or the receiver of the lost message; `nil` for events without one.
        public let other: SimulatedNodeID?
        /// The protocol, or the text of a note.
        public let text: String
        /// How many bytes the message had.
        public let byteCount: Int

        /// A line for people.
        public var description: String {
            let partner = other.map { " \($0)" } ?? ""
            return "\(at.nanoseconds / 1_000) us \(node) \(kind)\(partner) \(text) \(byteCount)"
        }
    }

    /// How many of the last events it keeps in full.
    public static let recentEntriesMax = 256

    private var hash = SHA256()
    private var ring: [Entry] = []
    private var next = 0

    init() {}

    mutating func record(_ entry: Entry, bytes: [UInt8] = []) {
        var line: [UInt8] = []
        line.reserveCapacity(48 + entry.text.utf8.count)
        append(UInt64(bitPattern: entry.at.nanoseconds), to: &line)
        line.append(entry.kind.rawValue)
        append(UInt64(entry.node.index), to: &line)
        append(entry.other.map { UInt64($0.index) } ?? .max, to: &line)
        append(UInt64(entry.text.utf8.count), to: &line)
        line.append(contentsOf: entry.text.utf8)
        append(UInt64(bytes.count), to: &line)
        hash.update(data: line)
        if !bytes.isEmpty { hash.update(data: bytes) }
        if ring.count < Self.recentEntriesMax {
            ring.append(entry)
        } else {
            ring[next] = entry
        }
        next = (next + 1) % Self.recentEntriesMax
    }

    private func append(_ value: UInt64, to line: inout [UInt8]) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) { line.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    /// SHA-256 over all events so far, in hexadecimal: equal for equal runs.
    public var hexadecimal: String {
        let digits = Array("0123456789abcdef")
        return String(hash.finalize().flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }

    /// The last events, oldest first.
    public var recent: [Entry] {
        ring.count < Self.recentEntriesMax ? ring : Array(ring[next...] + ring[..<next])
    }
}
