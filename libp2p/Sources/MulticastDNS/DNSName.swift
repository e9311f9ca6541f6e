/// A name of the DNS, as labels from the host to the root, in lower case: `_p2p`, `_udp`, `local`.
package struct DNSName: Hashable, Sendable, CustomStringConvertible {
    /// The longest label, in bytes (RFC 1035, 2.3.4).
    package static let labelBytesMax = 63
    /// The longest name in its binary form, in bytes.
    package static let bytesMax = 255

    /// The labels, without the empty one of the root.
    package let labels: [[UInt8]]

    /// A name of labels; nil if one is empty or too long, or all together are.
    package init?(labels: [[UInt8]]) {
        guard labels.allSatisfy({ (1...Self.labelBytesMax).contains($0.count) }),
            labels.reduce(1, { $0 + $1.count + 1 }) <= Self.bytesMax
        else { return nil }
        // Names are compared without regard to case, of ASCII alone (RFC 4343).
        self.labels = labels.map { $0.map { (0x41...0x5A).contains($0) ? $0 + 0x20 : $0 } }
    }

    /// The name of a text with dots between the labels; nil if it is none.
    package init?(_ text: String) {
        self.init(labels: text.utf8.split(separator: 0x2E, omittingEmptySubsequences: false).map(Array.init))
    }

    /// The name of somebody below this one; nil if that is too long.
    package func child(_ label: [UInt8]) -> DNSName? { DNSName(labels: [label] + labels) }

    /// The label of somebody directly below another name; nil if this one is not.
    package func label(below parent: DNSName) -> [UInt8]? {
        labels.count == parent.labels.count + 1 && labels.dropFirst().elementsEqual(parent.labels)
            ? labels.first : nil
    }

    /// The labels with dots between them.
    package var description: String { labels.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ".") }
}
