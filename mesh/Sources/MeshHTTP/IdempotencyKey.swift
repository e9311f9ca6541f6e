import Hummingbird
import NodeAPI

/// The key under which a request counts once, however often it comes.
enum IdempotencyKey {
    /// The key that a request has in its header or in its body, where both may have the same.
    ///
    /// The header's value is a string in quotes, as the draft of the IETF has it
    /// (https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/), or the same without them.
    static func of(_ request: Request, orBody body: String?, bytesMax: Int) throws(NodeServiceError) -> String? {
        let fields = name.map { request.headers[values: $0] } ?? []
        guard let field = fields.first else { return body }
        guard fields.count == 1, let key = key(in: field, bytesMax: bytesMax) else {
            throw NodeServiceError(
                .invalidRequest, "Idempotency-Key is no key.",
                hint: "It is one text of 1 to \(bytesMax) letters, digits and signs of ASCII, in quotes or without.")
        }
        guard body == nil || body == key else {
            throw NodeServiceError(
                .invalidRequest, "Idempotency-Key and idempotency_key are different.", hint: "Leave one of them out.")
        }
        return key
    }

    private static let name = HeaderName("idempotency-key")

    private static func key(in field: String, bytesMax: Int) -> String? {
        let isQuoted = field.count > 1 && field.hasPrefix("\"") && field.hasSuffix("\"")
        let key = isQuoted ? String(field.dropFirst().dropLast()) : field
        // A key with an escape in it would be another one to each who reads it otherwise.
        let isPlain = key.utf8.allSatisfy { (0x20...0x7E).contains($0) && $0 != UInt8(ascii: "\"") && $0 != 0x5C }
        return isPlain && (1...bytesMax).contains(key.utf8.count) ? key : nil
    }
}
