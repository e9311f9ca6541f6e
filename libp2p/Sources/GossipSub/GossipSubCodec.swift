import Multiformats

/// The protobuf of `RPC` and its parts (libp2p/specs, `pubsub/README.md` and `gossipsub-v1.1.md`).
///
/// Decoding counts every field at every depth against one budget, so an RPC costs memory in proportion to what it may
/// hold, not to how cleverly it is nested. Unknown fields are skipped, among them IDONTWANT of `/meshsub/1.2.0`.
public enum GossipSubCodec {
    /// How much longer an RPC is than the one message in it: the field's key and the longest length.
    static let messageOverheadBytesMax = 6

    /// The bytes of an RPC, without the length before it on a stream.
    public static func encode(_ rpc: GossipSubRPC) -> [UInt8] {
        var writer = ProtobufWriter()
        for entry in rpc.subscriptions {
            writer.message(1) {
                $0.bool(1, entry.subscribes)
                $0.text(2, entry.topic)
            }
        }
        for message in rpc.messages { writer.bytes(2, message) }
        guard rpc.hasControl else { return writer.bytes }
        writer.message(3) { control in
            for entry in rpc.ihave {
                control.message(1) {
                    $0.text(1, entry.topic)
                    for id in entry.messageIDs { $0.bytes(2, id.bytes) }
                }
            }
            for ids in rpc.iwant {
                control.message(2) {
                    for id in ids { $0.bytes(1, id.bytes) }
                }
            }
            for topic in rpc.graft { control.message(3) { $0.text(1, topic) } }
            for entry in rpc.prune {
                control.message(4) {
                    $0.text(1, entry.topic)
                    if let seconds = entry.backoffSeconds { $0.varint(3, seconds) }
                }
            }
        }
        return writer.bytes
    }

    /// The RPC in `bytes`; entries beyond a limit are left out and counted in `entriesLeftOut`.
    public static func decode(
        _ bytes: [UInt8], limits: GossipSubRouter.Limits
    ) throws(GossipSubCodecError) -> GossipSubRPC {
        guard bytes.count <= limits.rpcBytesMax else {
            throw .tooLong(bytes: bytes.count, bytesMax: limits.rpcBytesMax)
        }
        var decoding = Decoding(limits: limits)
        try decoding.rpc(bytes[...])
        return decoding.rpc
    }

    private struct Decoding {
        let limits: GossipSubRouter.Limits
        var rpc = GossipSubRPC()
        var elementsLeft: Int

        init(limits: GossipSubRouter.Limits) {
            self.limits = limits
            elementsLeft = limits.rpcElementsMax
        }

        /// The next field of one of the nested messages, charged to the budget of the whole RPC.
        mutating func next(_ reader: inout ProtobufReader) throws(GossipSubCodecError) -> ProtobufField? {
            do {
                guard let field = try reader.next() else { return nil }
                elementsLeft -= 1
                return field
            } catch .tooManyFields {
                throw .tooManyElements(elementsMax: limits.rpcElementsMax)
            } catch {
                throw .malformed
            }
        }

        func reader(_ bytes: ArraySlice<UInt8>) -> ProtobufReader {
            ProtobufReader(bytes, maxFields: max(0, elementsLeft))
        }

        func slice(_ field: ProtobufField) throws(GossipSubCodecError) -> ArraySlice<UInt8> {
            guard let slice = field.slice else { throw .malformed }
            return slice
        }

        mutating func topic(_ field: ProtobufField) throws(GossipSubCodecError) -> String? {
            guard try slice(field).count <= limits.topicBytesMax else { return nil }
            return field.text
        }

        /// Adds an entry while there are fewer than `entriesMax`.
        mutating func keep<Entry>(
            _ entry: Entry?, in list: WritableKeyPath<GossipSubRPC, [Entry]>, entriesMax: Int
        ) {
            guard let entry, rpc[keyPath: list].count < entriesMax else {
                rpc.entriesLeftOut += 1
                return
            }
            rpc[keyPath: list].append(entry)
        }

        mutating func rpc(_ bytes: ArraySlice<UInt8>) throws(GossipSubCodecError) {
            var reader = reader(bytes)
            while let field = try next(&reader) {
                switch field.number {
                case 1:
                    keep(
                        try subscription(try slice(field)), in: \.subscriptions,
                        entriesMax: limits.subscriptionsPerRPCMax)
                case 2: keep(Array(try slice(field)), in: \.messages, entriesMax: limits.messagesPerRPCMax)
                case 3: try control(try slice(field))
                default: continue
                }
            }
        }

        mutating func subscription(
            _ bytes: ArraySlice<UInt8>
        ) throws(GossipSubCodecError) -> GossipSubRPC.Subscription? {
            var subscribes = false
            var topic: String?
            var reader = reader(bytes)
            while let field = try next(&reader) {
                switch field.number {
                case 1:
                    guard let value = field.varint else { throw .malformed }
                    subscribes = value != 0
                case 2: topic = try self.topic(field)
                default: continue
                }
            }
            return topic.map { .init(subscribes: subscribes, topic: $0) }
        }

        mutating func control(_ bytes: ArraySlice<UInt8>) throws(GossipSubCodecError) {
            let entriesMax = limits.controlEntriesPerRPCMax
            var reader = reader(bytes)
            while let field = try next(&reader) {
                switch field.number {
                case 1:
                    let (topic, ids) = try topicAndIDs(try slice(field), topicField: 1, idsField: 2)
                    keep(topic.map { .init(topic: $0, messageIDs: ids) }, in: \.ihave, entriesMax: entriesMax)
                case 2:
                    let ids = try topicAndIDs(try slice(field), topicField: nil, idsField: 1).ids
                    keep(ids, in: \.iwant, entriesMax: entriesMax)
                case 3:
                    let topic = try topicAndIDs(try slice(field), topicField: 1, idsField: nil).topic
                    keep(topic, in: \.graft, entriesMax: entriesMax)
                case 4: keep(try prune(try slice(field)), in: \.prune, entriesMax: entriesMax)
                default: continue
                }
            }
        }

        mutating func topicAndIDs(
            _ bytes: ArraySlice<UInt8>, topicField: UInt32?, idsField: UInt32?
        ) throws(GossipSubCodecError) -> (topic: String?, ids: [MessageID]) {
            var topic: String?
            var ids: [MessageID] = []
            var reader = reader(bytes)
            while let field = try next(&reader) {
                if field.number == topicField {
                    topic = try self.topic(field)
                } else if field.number == idsField {
                    let id = try slice(field)
                    if !id.isEmpty, id.count <= limits.messageIDBytesMax {
                        ids.append(MessageID(bytes: Array(id)))
                    } else {
                        rpc.entriesLeftOut += 1
                    }
                }
            }
            return (topic, ids)
        }

        mutating func prune(_ bytes: ArraySlice<UInt8>) throws(GossipSubCodecError) -> GossipSubRPC.Prune? {
            var topic: String?
            var backoff: UInt64?
            var exchanged = 0
            var reader = reader(bytes)
            while let field = try next(&reader) {
                switch field.number {
                case 1: topic = try self.topic(field)
                case 2: exchanged += 1
                case 3:
                    guard let value = field.varint else { throw .malformed }
                    backoff = value
                default: continue
                }
            }
            return topic.map { .init(topic: $0, backoffSeconds: backoff, exchangedPeers: exchanged) }
        }
    }
}
