/// What somebody may do over the API: everything, or what changes nothing.
package enum APIScope: String, Hashable, Sendable, Codable, CaseIterable {
    /// Whatever the owner may.
    case full
    /// Whatever changes nothing.
    case read
}

/// A secret that is hard to guess and easy to paste.
package struct APISecret: Hashable, Sendable {
    /// Its letters and digits.
    package let text: String

    /// The fewest characters of one.
    package static let charactersMin = 32
    /// The most characters of one.
    package static let charactersMax = 256

    /// A text that is long enough, of visible ASCII without spaces; nil for another one.
    package init?(_ text: String) {
        let isVisible = text.utf8.allSatisfy { (0x21...0x7E).contains($0) }
        guard isVisible, (Self.charactersMin...Self.charactersMax).contains(text.utf8.count) else { return nil }
        self.text = text
    }

    /// A new one, of 256 bits from the system's generator.
    package static func random() -> APISecret {
        var generator = SystemRandomNumberGenerator()
        return APISecret(bytes: (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    private init(bytes: [UInt8]) {
        let digits = Array("0123456789abcdef")
        text = String(bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 0xF)]] })
    }

    /// Whether a text is this secret; how long that takes says nothing about where they differ.
    package func matches(_ given: String) -> Bool {
        let (own, other) = (Array(text.utf8), Array(given.utf8))
        var difference = UInt8(own.count == other.count ? 0 : 1)
        for (index, byte) in own.enumerated() { difference |= byte ^ (index < other.count ? other[index] : 0) }
        return difference == 0
    }
}

/// The tokens of a node's API over TCP.
package struct APITokens: Hashable, Sendable {
    /// The one that may do everything.
    package let full: APISecret
    /// The one that only reads.
    package let read: APISecret

    /// Two different tokens.
    package init(full: APISecret, read: APISecret) {
        self.full = full
        self.read = read
    }

    /// What a token may do; nil for one that is not of this node. It compares with both, in constant time.
    package func scope(of given: String) -> APIScope? {
        let (isFull, isRead) = (full.matches(given), read.matches(given))
        return isFull ? .full : isRead ? .read : nil
    }
}

/// A link with which a browser signs in once.
package struct SignInLink: Hashable, Sendable, Codable {
    /// The address of the dashboard, with a code in its fragment, which no browser sends.
    package var url: String
    /// How long the code is good, in seconds.
    package var seconds: Int

    /// What `mesh dashboard` prints.
    package init(url: String, seconds: Int) {
        self.url = url
        self.seconds = seconds
    }
}
