import Multiformats

/// Why a record is neither stored nor returned.
public enum RecordRefusal: Error, Hashable, Sendable {
    /// No validator is registered for the key's namespace.
    case unknownNamespace
    /// The value is longer than a value may be.
    case valueTooLong(bytesMax: Int)
    /// The key is empty or longer than a key may be.
    case badKeyLength(bytesMax: Int)
    /// The record in a message is for another key than the message.
    case keyMismatch
    /// The namespace's validator refused it, with this reason.
    case invalid(String)
    /// The record that is stored already is better by the namespace's rule.
    case olderThanStored
    /// The store has no room for a record this far from this node's key.
    case storeFull
}

extension RecordRefusal: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    public var description: String {
        switch self {
        case .unknownNamespace: "its key is of an unknown kind"
        case .valueTooLong(let bytesMax): "its value has more than \(bytesMax) bytes"
        case .badKeyLength(let bytesMax): "its key is empty or has more than \(bytesMax) bytes"
        case .keyMismatch: "its key is not the one asked for"
        case .invalid(let reason): "\(reason)"
        case .olderThanStored: "a newer one is stored"
        case .storeFull: "there is no room for it"
        }
    }
}

/// The rule of one namespace: which values are valid under a key, and which of two valid ones is better.
public struct RecordValidator: Sendable {
    /// What keys of this namespace start with, such as `/pk/`.
    public let prefix: String
    /// Returns `nil` if the value is valid under the key, else the reason. Must not block.
    public let refusal: @Sendable (_ key: [UInt8], _ value: [UInt8]) -> String?
    /// Whether the second of two different valid values should replace the first.
    public let prefersSecond: @Sendable (_ key: [UInt8], _ first: [UInt8], _ second: [UInt8]) -> Bool

    /// A rule for a prefix. Without `prefersSecond` the first value stays, which is right where the key is a hash of
    /// the value.
    public init(
        prefix: String, refusal: @escaping @Sendable (_ key: [UInt8], _ value: [UInt8]) -> String?,
        prefersSecond: @escaping @Sendable (_ key: [UInt8], _ first: [UInt8], _ second: [UInt8]) -> Bool = { _, _, _ in
            false
        }
    ) {
        self.prefix = prefix
        self.refusal = refusal
        self.prefersSecond = prefersSecond
    }

    /// The `/pk/` namespace of libp2p: the value is the public key whose hash, or whose inlined bytes, the key names.
    public static let publicKeys = RecordValidator(prefix: "/pk/") { key, value in
        guard let peer = try? PeerID(bytes: Array(key.dropFirst("/pk/".utf8.count))) else {
            return "the key names no peer"
        }
        return PeerID(publicKeyProtobuf: value) == peer ? nil : "the public key does not hash to the peer ID"
    }
}

/// The validators of a node, the longest matching prefix first.
struct RecordRules: Sendable {
    private let validators: [RecordValidator]
    private let keyBytesMax: Int
    private let valueBytesMax: Int

    init(_ validators: [RecordValidator], limits: KademliaMessageCoding.Limits) {
        self.validators = validators.sorted {
            ($0.prefix.utf8.count, $1.prefix) > ($1.prefix.utf8.count, $0.prefix)
        }
        keyBytesMax = limits.keyBytesMax
        valueBytesMax = limits.valueBytesMax
    }

    func validator(for key: [UInt8]) -> RecordValidator? {
        validators.first { key.starts(with: $0.prefix.utf8) }
    }

    func check(_ record: KademliaRecord, under key: [UInt8]) throws(RecordRefusal) {
        guard record.key == key else { throw .keyMismatch }
        guard !key.isEmpty, key.count <= keyBytesMax else { throw .badKeyLength(bytesMax: keyBytesMax) }
        guard record.value.count <= valueBytesMax else { throw .valueTooLong(bytesMax: valueBytesMax) }
        guard let validator = validator(for: key) else { throw .unknownNamespace }
        if let reason = validator.refusal(key, record.value) { throw .invalid(reason) }
    }

    func isSecondBetter(under key: [UInt8], _ first: [UInt8], _ second: [UInt8]) -> Bool {
        guard first != second, let validator = validator(for: key) else { return false }
        return validator.prefersSecond(key, first, second)
    }
}
