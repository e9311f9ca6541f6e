import Multiformats

/// The arguments of a request, as the types of the house.
extension PeerRequest {
    /// What a request lacks, or cannot be read.
    struct BadArgument: Error, CustomStringConvertible {
        var description: String
    }

    func required<Value>(_ field: KeyPath<PeerRequest, Value?>, _ name: String) throws -> Value {
        guard let value = self[keyPath: field] else { throw BadArgument(description: "\(name) is missing") }
        return value
    }

    func peerID() throws -> PeerID {
        try PeerID(parsing: required(\.peer, "peer"))
    }

    func contentID() throws -> CID {
        if let cidHex { return try CID(bytes: Self.bytes(hex: cidHex)) }
        return try CID(parsing: required(\.cid, "cid"))
    }

    func payload() throws -> [UInt8] { try bytes(\.data, \.dataHex, "data") }

    func keyBytes() throws -> [UInt8] { try bytes(\.key, \.keyHex, "key") }

    func valueBytes() throws -> [UInt8] { try bytes(\.value, \.valueHex, "value") }

    private func bytes(
        _ text: KeyPath<PeerRequest, String?>, _ hex: KeyPath<PeerRequest, String?>, _ name: String
    ) throws -> [UInt8] {
        if let hex = self[keyPath: hex] { return try Self.bytes(hex: hex) }
        return Array(try required(text, name).utf8)
    }

    private static func bytes(hex: String) throws -> [UInt8] {
        do {
            return try Multibase.decode("f" + hex)
        } catch {
            throw BadArgument(description: "not hex: \(error)")
        }
    }
}

extension Sequence<UInt8> {
    /// Two lower-case digits per byte.
    var hex: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
