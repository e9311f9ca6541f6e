package import MeshTypes

/// One stretch of a job's time at a node, as OpenTelemetry has it.
package struct TraceSpan: Hashable, Sendable {
    /// How it stands to the span above it, by OpenTelemetry's numbers.
    package enum Kind: Int, Hashable, Sendable {
        /// Within a node.
        case `internal` = 1
        /// Carries out what a client asked for.
        case server = 2
        /// Asks another node and waits.
        case client = 3
        /// Asks whoever hears it.
        case producer = 4
        /// Answers what a producer asked.
        case consumer = 5
    }

    /// A fact about it.
    package struct Attribute: Hashable, Sendable {
        /// What a fact is.
        package enum Value: Hashable, Sendable {
            /// A text of this program's own, an identifier or a DID.
            case text(String)
            /// A number.
            case count(UInt64)
        }

        /// Its name, as docs/traces.md lists it.
        package let key: String
        /// What it is.
        package let value: Value
    }

    /// Something that happened in it.
    package struct Event: Hashable, Sendable {
        /// When, on this node's calendar.
        package let at: UnixMilliseconds
        /// What, in words of this program's own.
        package let name: String
    }

    /// Where it belongs, and its own identifier.
    package let context: TraceContext
    /// The identifier of the span above it; nil for the root.
    package let parentID: [UInt8]?
    /// What is done in it.
    package let name: String
    /// How it stands to the span above it.
    package let kind: Kind
    /// When it began, on this node's calendar.
    package let start: UnixMilliseconds
    /// When it ended, on this node's calendar; never before its start.
    package internal(set) var end: UnixMilliseconds
    /// Facts about it, in the order in which they became known.
    package internal(set) var attributes: [Attribute] = []
    /// What happened in it.
    package internal(set) var events: [Event] = []
    /// Spans of other traces that it follows from.
    package internal(set) var links: [TraceContext] = []
    /// Why it failed, as a word of this program's own; nil if it did not.
    package internal(set) var failure: String?
}
