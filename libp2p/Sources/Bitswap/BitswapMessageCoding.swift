import Multiformats

/// The protobuf encoding of Bitswap 1.2 messages (https://specs.ipfs.tech/bitswap-protocol/).
///
/// Blocks in the form of version 1.0.0 (field 2) carry no prefix and are ignored, and so are entries whose CID cannot
/// be read. Any other fault is an error and costs the stream.
public enum BitswapMessageCoding {
    /// Bounds of one message.
    public struct Limits: Sendable, Hashable {
        /// Bytes of a message, by the specification.
        public var messageBytesMax = 4 * 1024 * 1024
        /// Bytes of a block, by the specification.
        public var blockBytesMax = 2 * 1024 * 1024
        /// Fields of a message or of its list of wants.
        public var fieldsMax = 4_096

        /// The defaults.
        public init() {}
    }

    /// The bytes of a message, without the length before it.
    public static func encode(_ message: BitswapMessage) -> [UInt8] {
        var writer = ProtobufWriter()
        if !message.wants.isEmpty || message.replacesWants {
            writer.message(1) { list in
                for want in message.wants { list.message(1) { write(want, to: &$0) } }
                if message.replacesWants { list.bool(2, true) }
            }
        }
        for block in message.blocks {
            writer.message(3) { nested in
                nested.bytes(1, block.prefix)
                nested.bytes(2, block.data)
            }
        }
        for presence in message.presences {
            writer.message(4) { nested in
                nested.bytes(1, presence.cid.bytes)
                nested.varint(2, presence.isPresent ? 0 : 1)
            }
        }
        return writer.bytes
    }

    /// Decodes a message.
    public static func decode(
        _ bytes: [UInt8], limits: Limits = Limits()
    ) throws(BitswapMessageError) -> BitswapMessage {
        guard bytes.count <= limits.messageBytesMax else { throw .messageTooLarge(bytesMax: limits.messageBytesMax) }
        var message = BitswapMessage()
        var reader = ProtobufReader(bytes, maxFields: limits.fieldsMax)
        while let field = try next(&reader) {
            switch field.number {
            case 1: try readWants(try slice(of: field), limits, into: &message)
            case 3: message.blocks.append(try block(try slice(of: field), limits))
            case 4: if let presence = try presence(try slice(of: field), limits) { message.presences.append(presence) }
            default: continue
            }
        }
        return message
    }

    private static func write(_ want: BitswapMessage.Want, to entry: inout ProtobufWriter) {
        entry.bytes(1, want.cid.bytes)
        entry.varint(2, 1)
        if want.isCancel { entry.bool(3, true) }
        if want.kind == .have { entry.varint(4, want.kind.rawValue) }
        if want.sendDontHave { entry.bool(5, true) }
    }

    private static func readWants(
        _ bytes: ArraySlice<UInt8>, _ limits: Limits, into message: inout BitswapMessage
    ) throws(BitswapMessageError) {
        var reader = ProtobufReader(bytes, maxFields: limits.fieldsMax)
        while let field = try next(&reader) {
            switch field.number {
            case 1:
                // A message may have several lists; the bound is on all of them together.
                guard message.wants.count < limits.fieldsMax else {
                    throw .malformed(.tooManyFields(fieldsMax: limits.fieldsMax))
                }
                if let want = try want(try slice(of: field), limits) { message.wants.append(want) }
            case 2: message.replacesWants = try varint(of: field) != 0
            default: continue
            }
        }
    }

    private static func want(
        _ bytes: ArraySlice<UInt8>, _ limits: Limits
    ) throws(BitswapMessageError) -> BitswapMessage.Want? {
        var cid: CID?
        var kind = BitswapMessage.WantKind.block
        var isCancel = false
        var sendDontHave = false
        var reader = ProtobufReader(bytes, maxFields: 16)
        while let field = try next(&reader) {
            switch field.number {
            case 1: cid = try? CID(bytes: Array(try slice(of: field)))
            case 3: isCancel = try varint(of: field) != 0
            case 4:
                let raw = try varint(of: field)
                guard let known = BitswapMessage.WantKind(rawValue: raw) else { throw .unknownKind(raw) }
                kind = known
            case 5: sendDontHave = try varint(of: field) != 0
            default: continue
            }
        }
        return cid.map { .init(cid: $0, kind: kind, sendDontHave: sendDontHave, isCancel: isCancel) }
    }

    private static func block(
        _ bytes: ArraySlice<UInt8>, _ limits: Limits
    ) throws(BitswapMessageError) -> BitswapMessage.Block {
        var prefix: ArraySlice<UInt8> = []
        var data: ArraySlice<UInt8> = []
        var reader = ProtobufReader(bytes, maxFields: 16)
        while let field = try next(&reader) {
            switch field.number {
            case 1: prefix = try slice(of: field)
            case 2: data = try slice(of: field)
            default: continue
            }
        }
        guard data.count <= limits.blockBytesMax else { throw .blockTooLarge(bytesMax: limits.blockBytesMax) }
        return BitswapMessage.Block(prefix: Array(prefix), data: Array(data))
    }

    private static func presence(
        _ bytes: ArraySlice<UInt8>, _ limits: Limits
    ) throws(BitswapMessageError) -> BitswapMessage.Presence? {
        var cid: CID?
        var isPresent = true
        var reader = ProtobufReader(bytes, maxFields: 16)
        while let field = try next(&reader) {
            switch field.number {
            case 1: cid = try? CID(bytes: Array(try slice(of: field)))
            case 2:
                let raw = try varint(of: field)
                guard raw <= 1 else { throw .unknownKind(raw) }
                isPresent = raw == 0
            default: continue
            }
        }
        return cid.map { .init(cid: $0, isPresent: isPresent) }
    }

    private static func next(_ reader: inout ProtobufReader) throws(BitswapMessageError) -> ProtobufField? {
        do {
            return try reader.next()
        } catch {
            throw .malformed(error)
        }
    }

    private static func slice(of field: ProtobufField) throws(BitswapMessageError) -> ArraySlice<UInt8> {
        guard let slice = field.slice else { throw .wrongWireType(field: field.number) }
        return slice
    }

    private static func varint(of field: ProtobufField) throws(BitswapMessageError) -> UInt64 {
        guard let value = field.varint else { throw .wrongWireType(field: field.number) }
        return value
    }
}
