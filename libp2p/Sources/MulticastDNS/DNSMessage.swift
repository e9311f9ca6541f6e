/// A message of multicast DNS (RFC 6762, 18), as far as finding peers needs it: records of other types and classes,
/// and the authority section, are left out where a message is read.
package struct DNSMessage: Hashable, Sendable {
    /// What messages may hold.
    package enum Limits {
        /// A whole message, in bytes (RFC 6762, 17).
        package static let messageBytesMax = 9_000
        /// Questions of one message.
        package static let questionsMax = 32
        /// Records of one message, all sections together.
        package static let recordsMax = 128
        /// Texts of one record.
        package static let textsMax = 64
        /// One text, in bytes.
        package static let textBytesMax = 255
        /// Pointers followed while one name is read.
        package static let pointersMax = 16
        /// Labels of all names of one message, those that pointers lead to each time anew.
        package static let labelsMax = 1_024
    }

    /// The types of records that are read.
    package enum Kind: UInt16, Hashable, Sendable {
        /// A, an IPv4 address.
        case ip4 = 1
        /// PTR, another name.
        case pointer = 12
        /// TXT, texts.
        case texts = 16
        /// AAAA, an IPv6 address.
        case ip6 = 28
        /// SRV, the host and the port of a service.
        case service = 33
        /// In a question: whatever there is.
        case any = 255
    }

    /// What somebody wants to know.
    package struct Question: Hashable, Sendable {
        /// Of whom.
        package let name: DNSName
        /// What.
        package let kind: Kind

        package init(_ name: DNSName, _ kind: Kind) { (self.name, self.kind) = (name, kind) }
    }

    /// What a record says.
    package enum Content: Hashable, Sendable {
        /// An IPv4 address, of 4 bytes.
        case ip4([UInt8])
        /// Another name, such as that of one who offers a service.
        case pointer(DNSName)
        /// Texts, such as `dnsaddr=/ip4/192.0.2.1/tcp/4001`.
        case texts([[UInt8]])
        /// An IPv6 address, of 16 bytes.
        case ip6([UInt8])
        /// The host and the port of a service.
        case service(port: UInt16, host: DNSName)
    }

    /// What somebody knows.
    package struct Record: Hashable, Sendable {
        /// Of whom.
        package let name: DNSName
        /// For how long it is true; 0 takes it back.
        package let lifeSeconds: UInt32
        /// Whether it replaces what was known, as a record that only one host has.
        package let isUnique: Bool
        /// What.
        package let content: Content

        package init(_ name: DNSName, _ content: Content, lifeSeconds: UInt32, isUnique: Bool) {
            (self.name, self.content, self.lifeSeconds, self.isUnique) = (name, content, lifeSeconds, isUnique)
        }

        /// The type of what it says.
        package var kind: Kind {
            switch content {
            case .ip4: .ip4
            case .pointer: .pointer
            case .texts: .texts
            case .ip6: .ip6
            case .service: .service
            }
        }
    }

    /// Whether it answers; otherwise it asks.
    package var isResponse: Bool
    /// What it asks.
    package var questions: [Question] = []
    /// What it answers; of a query, what its sender knows already.
    package var answers: [Record] = []
    /// What it adds to that.
    package var additions: [Record] = []

    package init(isResponse: Bool) { self.isResponse = isResponse }
}

/// Why bytes are no message that is read.
package enum DNSMessageError: Error, Hashable, Sendable, CustomStringConvertible {
    /// It ends before it is whole.
    case truncated
    /// It, a name, a text or a number of them is beyond its limit.
    case tooMuch
    /// Its names have more labels, all together, than are read.
    case tooManyLabels
    /// A name points forward, or at too many others.
    case badName
    /// A record is not as long as its type wants it.
    case badRecord
    /// It is another kind of message than a query or an answer without an error.
    case notUnderstood

    /// One clause, for people.
    package var description: String {
        switch self {
        case .truncated: "the message ends too early"
        case .tooMuch: "the message holds more than one may"
        case .tooManyLabels: "the names in the message have more labels than are read"
        case .badName: "a name in the message leads nowhere"
        case .badRecord: "a record in the message is not as long as it should be"
        case .notUnderstood: "the message neither asks nor answers"
        }
    }
}
