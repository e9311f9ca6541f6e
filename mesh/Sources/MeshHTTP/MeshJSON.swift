import Foundation

/// The API's JSON: snake_case by the types' own keys, keys sorted, one line.
package enum MeshJSON {
    /// A value on one line.
    package static func encode(_ value: some Encodable) throws -> [UInt8] {
        if let text = JSONText.bytes(of: value) { return text }
        return try encodeByFoundation(value)
    }

    /// The same by Foundation alone, which knows what `JSONText` does not.
    static func encodeByFoundation(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return [UInt8](try encoder.encode(value))
    }

    /// A value over several lines, for people.
    package static func render(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    /// A value from its bytes.
    package static func decode<Value: Decodable>(_ type: Value.Type, from bytes: [UInt8]) throws -> Value {
        try JSONDecoder().decode(type, from: Data(bytes))
    }

    /// The first field of a text, as `policy.budgett`, that the value which was read from it does not have; nil if it
    /// has all. What is null is not there.
    static func unread(_ bytes: [UInt8], by value: some Encodable) throws -> String? {
        let given = try JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
        let known = try JSONSerialization.jsonObject(with: Data(try encode(value)), options: .fragmentsAllowed)
        return unread(given, known, "")
    }

    private static func unread(_ given: Any, _ known: Any, _ path: String) -> String? {
        if let given = given as? [Any], let known = known as? [Any], given.count == known.count {
            return zip(given, known).enumerated().lazy.compactMap { unread($1.0, $1.1, "\(path)[\($0)]") }.first
        }
        guard let given = given as? [String: Any], let known = known as? [String: Any] else { return nil }
        for (name, value) in given.sorted(by: { $0.key < $1.key }) where !(value is NSNull) {
            let place = path.isEmpty ? name : "\(path).\(name)"
            guard let read = known[name] else { return place }
            if let deeper = unread(value, read, place) { return deeper }
        }
        return nil
    }

    /// What is wrong with a text, in words without a full stop.
    static func words(_ error: DecodingError) -> String {
        func place(_ path: [any CodingKey]) -> String {
            path.reduce(into: "") { text, key in
                if let index = key.intValue {
                    text += "[\(index)]"
                } else {
                    text += (text.isEmpty ? "" : ".") + key.stringValue
                }
            }
        }
        switch error {
        case .keyNotFound(let key, let context): return "\(place(context.codingPath + [key])) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            return context.codingPath.isEmpty
                ? "it is a value of another type" : "\(place(context.codingPath)) is of another type"
        case .dataCorrupted(let context):
            return context.codingPath.isEmpty
                ? "it does not parse" : "\(place(context.codingPath)) has a value that cannot be read"
        @unknown default: return "it cannot be read"
        }
    }
}

/// The types that Foundation's encoder writes otherwise than they would write themselves.
enum FoundationTypes {
    /// Whether a type is one of them.
    static func have<Value>(_ type: Value.Type) -> Bool {
        type == Data.self || type == Date.self || type == URL.self || type == Decimal.self
    }
}
