import Hummingbird
import Multiformats

/// The name of an answer's bytes, which are always the same under it.
///
/// Source: https://www.rfc-editor.org/rfc/rfc9110#section-8.8.3
struct EntityTag: Hashable {
    /// The tag as a header has it, in quotes.
    let text: String

    /// A tag out of characters that need no escape, as those of a CID.
    init(_ name: String) { text = "\"\(name)\"" }

    /// The tag that is in quotes already.
    init(quoted text: String) { self.text = text }

    /// The tag of bytes that have no CID of their own.
    init(hashing bytes: [UInt8]) { self.init(CID.hashing(bytes, codec: .raw).text) }

    /// Whether an `If-None-Match` header names the answer, by this tag or as any that there is.
    func isKnown(by header: String) -> Bool {
        let tags = Self.tags(in: header)
        return tags.contains("*") || names(one: tags)
    }

    /// Whether the caller has the answer already, if there is one.
    func isKnown(to request: Request) -> Bool { isKnown(by: Self.header(of: request)) }

    /// Whether the caller has the answer already, whether it is here or not.
    func isNamed(by request: Request) -> Bool { names(one: Self.tags(in: Self.header(of: request))) }

    private func names(one tags: [Substring]) -> Bool { tags.contains { $0 == text || $0 == "W/" + text } }

    private static func header(of request: Request) -> String {
        request.headers[values: .ifNoneMatch].joined(separator: ",")
    }

    private static func tags(in header: String) -> [Substring] {
        header.split(separator: ",").map { part in
            var tag = part.drop { $0 == " " || $0 == "\t" }
            while tag.last == " " || tag.last == "\t" { tag = tag.dropLast() }
            return tag
        }
    }
}

/// The part of an answer that a request asks for.
///
/// Source: https://www.rfc-editor.org/rfc/rfc9110#section-14.2
enum ByteRange: Hashable {
    /// All of it: the request asks for no range, for several, for one of other bytes than these, or for none that can
    /// be read.
    case whole
    /// These bytes of it.
    case part(Range<UInt64>)
    /// Bytes that it does not have.
    case outside

    /// What a request asks for of an answer of this size.
    init(of request: Request, size: UInt64, tag: EntityTag) {
        let fields = request.headers[values: .range]
        let conditions = request.headers[values: .ifRange]
        guard fields.count == 1, conditions.isEmpty || conditions == [tag.text] else {
            self = .whole
            return
        }
        self.init(fields[0], size: size)
    }

    /// What a `Range` header asks for.
    init(_ header: String, size: UInt64) {
        let parts = header.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let ends = parts.last?.split(separator: "-", omittingEmptySubsequences: false) ?? []
        guard parts.count == 2, parts[0].lowercased() == "bytes", ends.count == 2,
            let first = Self.number(ends[0]), let last = Self.number(ends[1])
        else {
            self = .whole
            return
        }
        switch (first, last) {
        case (let first?, let last?) where first > last: self = .whole
        case (let first?, let last):
            self = first < size ? .part(first..<min(size - 1, last ?? .max) + 1) : .outside
        case (nil, let count?):
            self = count > 0 && size > 0 ? .part(size - min(size, count)..<size) : .outside
        case (nil, nil): self = .whole
        }
    }

    /// The number of a text of digits; none of an empty one, and nil of any other text. One that is too large counts as
    /// the largest.
    private static func number(_ text: Substring) -> UInt64?? {
        if text.isEmpty { return .some(nil) }
        guard text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) else { return nil }
        return .some(UInt64(text) ?? .max)
    }
}
