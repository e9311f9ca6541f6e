/// What a failure to encode or decode means, in words for people: a clause without a full stop and without the names of
/// types.
package enum CodingWords {
    /// The clause for a failure; one of this house has its own words.
    package static func of(_ error: any Error) -> String {
        switch error {
        case DecodingError.keyNotFound(let key, _): "the field \(key.stringValue) is missing"
        case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
            "the field \(path(context.codingPath)) is of another type"
        case DecodingError.dataCorrupted(let context): context.debugDescription
        case EncodingError.invalidValue(_, let context): "the field \(path(context.codingPath)) cannot be written"
        case let error as any CustomStringConvertible: error.description
        default: "something in it is not as it must be"
        }
    }

    private static func path(_ keys: [any CodingKey]) -> String {
        keys.isEmpty ? "at the top" : keys.map(\.stringValue).joined(separator: ".")
    }
}
