import Multiformats

/// The protobuf encoding of DHT messages, `dht.pb` of the kad-dht specification.
///
/// Decoding cuts lists at their limit and leaves out addresses and peers that it cannot read (networks name transports
/// that we do not speak). Any other fault is an error and costs the stream.
public enum KademliaMessageCoding {
    /// Bounds of one message.
    public struct Limits: Sendable, Hashable {
        /// Bytes of a whole message: a record, its keys and two full lists of peers.
        public var messageBytesMax = 256 * 1024
        /// Bytes of a key.
        public var keyBytesMax = 128
        /// Bytes of a record's value.
        public var valueBytesMax = 65 * 1024
        /// Peers taken from each of the two lists; further ones are ignored.
        public var peersPerListMax = 32
        /// Addresses taken or written per peer; further ones are ignored.
        public var addressesPerPeerMax = 16
        /// Bytes of an address; longer ones are ignored.
        public var addressBytesMax = 256

        /// The defaults.
        public init() {}
    }

    /// Fields in one message or one peer; more are refused.
    private static let fieldsMax = 2048

    /// The bytes of a message, without the length before it.
    public static func encode(_ message: KademliaMessage, limits: Limits = Limits()) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.varint(1, message.kind.rawValue)
        if !message.key.isEmpty { writer.bytes(2, message.key) }
        if let record = message.record {
            writer.message(3) { nested in
                nested.bytes(1, record.key)
                nested.bytes(2, record.value)
            }
        }
        for peer in message.closerPeers.prefix(limits.peersPerListMax) { write(peer, field: 8, limits, to: &writer) }
        for peer in message.providerPeers.prefix(limits.peersPerListMax) { write(peer, field: 9, limits, to: &writer) }
        return writer.bytes
    }

    /// Decodes a message.
    public static func decode(
        _ bytes: [UInt8], limits: Limits = Limits()
    ) throws(KademliaMessageError) -> KademliaMessage {
        guard bytes.count <= limits.messageBytesMax else { throw .messageTooLarge(bytesMax: limits.messageBytesMax) }
        // proto3 leaves a zero out, and zero is PUT_VALUE.
        var message = KademliaMessage(kind: .putValue)
        var reader = ProtobufReader(bytes, maxFields: fieldsMax)
        while let field = try next(&reader) {
            switch field.number {
            case 1:
                guard let raw = field.varint else { throw .wrongWireType(field: 1) }
                guard let kind = KademliaMessage.Kind(rawValue: raw) else { throw .unknownKind(raw) }
                message.kind = kind
            case 2:
                let key = try slice(of: field)
                guard key.count <= limits.keyBytesMax else { throw .keyTooLong(bytesMax: limits.keyBytesMax) }
                message.key = Array(key)
            case 3: message.record = try record(try slice(of: field), limits)
            case 8:
                let part = try slice(of: field)
                guard message.closerPeers.count < limits.peersPerListMax else { continue }
                if let peer = try peer(part, limits) { message.closerPeers.append(peer) }
            case 9:
                let part = try slice(of: field)
                guard message.providerPeers.count < limits.peersPerListMax else { continue }
                if let peer = try peer(part, limits) { message.providerPeers.append(peer) }
            default: continue
            }
        }
        return message
    }

    private static func write(
        _ peer: PeerInfo, field: UInt32, _ limits: Limits, to writer: inout ProtobufWriter
    ) {
        writer.message(field) { nested in
            nested.bytes(1, peer.peerID.bytes)
            for address in peer.addresses.prefix(limits.addressesPerPeerMax).map({ $0.withoutPeerID() })
            where address.bytes.count <= limits.addressBytesMax && !address.components.isEmpty && address.peerID == nil
            {
                nested.bytes(2, address.bytes)
            }
        }
    }

    private static func record(
        _ bytes: ArraySlice<UInt8>, _ limits: Limits
    ) throws(KademliaMessageError) -> KademliaRecord {
        var record = KademliaRecord(key: [], value: [])
        var reader = ProtobufReader(bytes, maxFields: fieldsMax)
        while let field = try next(&reader) {
            switch field.number {
            case 1:
                let key = try slice(of: field)
                guard key.count <= limits.keyBytesMax else { throw .keyTooLong(bytesMax: limits.keyBytesMax) }
                record.key = Array(key)
            case 2:
                let value = try slice(of: field)
                guard value.count <= limits.valueBytesMax else { throw .valueTooLong(bytesMax: limits.valueBytesMax) }
                record.value = Array(value)
            default: continue
            }
        }
        return record
    }

    private static func peer(
        _ bytes: ArraySlice<UInt8>, _ limits: Limits
    ) throws(KademliaMessageError) -> PeerInfo? {
        var peerID: PeerID?
        var addresses: [Multiaddr] = []
        var reader = ProtobufReader(bytes, maxFields: fieldsMax)
        while let field = try next(&reader) {
            switch field.number {
            case 1: peerID = try? PeerID(bytes: Array(try slice(of: field)))
            case 2:
                let part = try slice(of: field)
                guard addresses.count < limits.addressesPerPeerMax, part.count <= limits.addressBytesMax else {
                    continue
                }
                guard let address = try? Multiaddr(bytes: Array(part)) else { continue }
                let plain = address.withoutPeerID()
                // An address that ends in two peers says nothing, and would not read back as the same address.
                guard !plain.components.isEmpty, plain.peerID == nil, !addresses.contains(plain) else { continue }
                addresses.append(plain)
            default: continue
            }
        }
        return peerID.map { PeerInfo(peerID: $0, addresses: addresses) }
    }

    private static func next(_ reader: inout ProtobufReader) throws(KademliaMessageError) -> ProtobufField? {
        do {
            return try reader.next()
        } catch {
            throw .malformed(error)
        }
    }

    private static func slice(of field: ProtobufField) throws(KademliaMessageError) -> ArraySlice<UInt8> {
        guard let slice = field.slice else { throw .wrongWireType(field: field.number) }
        return slice
    }
}
