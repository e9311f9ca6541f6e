import IPLD
import MeshTypes
import Multiformats
import SignedObjects
import Testing

/// What is read by hand, straight from the bytes, against what the decoder reads: the same values, the same refusals.
@Suite("Reading straight from the bytes")
struct StraightReadingTests {
    /// Every value with one change: a value replaced by one of another kind, an entry left out, renamed or added.
    private func variants(_ tree: IPLDValue) throws -> [IPLDValue] {
        let others: [IPLDValue] = [
            .null, .bool(true), .unsigned(0), .unsigned(7), .negative(-1), .float(1.5), .string(""), .string("x"),
            .bytes([]), .bytes([1]), .list([]), .list([.string("a"), .unsigned(1)]), .list([.link(Samples.input)]),
            .map([:]), .map(["a": .unsigned(1)]), .map(["a": .link(Samples.input)]), .link(Samples.input),
            .string(Samples.executor.did.text), .unsigned(UInt64(Int64.max)),
        ]
        var result = [tree] + others
        switch tree {
        case .list(let list):
            for index in list.indices {
                for change in try variants(list[index]) {
                    result.append(try tree.replacing(change, at: [.index(index)]))
                }
            }
            result.append(.list(Array(list.dropLast())))
            result.append(.list(list + list.prefix(1)))
        case .map(let map):
            for entry in map.entries {
                for change in try variants(entry.value) {
                    result.append(try tree.replacing(change, at: [.key(entry.key)]))
                }
                let rest = map.entries.filter { !$0.key.isSameBytes(as: entry.key) }
                result.append(.map(try IPLDMap(rest)))
                result.append(.map(try IPLDMap(rest + [.init(key: entry.key + "x", value: entry.value)])))
            }
            for key in ["", "a", "zz", "later", "a_field_of_tomorrow", "an_even_longer_field_of_tomorrow"] {
                guard map[key] == nil else { continue }
                result.append(.map(try IPLDMap(map.entries + [.init(key: key, value: .map(["x": .null]))])))
            }
        default: break
        }
        return result
    }

    /// The words of an error, or of the value's bytes.
    private func outcome<Value: Encodable>(_ read: () throws -> Value) -> String {
        do {
            return "\(try DAGCBOREncoder().encode(read()))"
        } catch let error as MeshMessageError {
            return "\(error)"
        } catch {
            return "\(MeshMessageError.malformed(CodingWords.of(error)))"
        }
    }

    private func expectSame<Value: Codable>(_ value: Value, _ read: ([UInt8]) throws -> Value) throws {
        let bounds = MeshProtocolMessage.Limits()
        let limits = DAGCBOR.Limits(
            depthMax: bounds.depthMax, bytesMax: bounds.directBytesMax, integerMax: bounds.integerMax)
        var accepted = 0
        for variant in try variants(DAGCBOR.decode(DAGCBOREncoder().encode(value))) {
            let bytes = try DAGCBOR.encode(variant)
            let straight = outcome { try read(bytes) }
            let decoded = outcome { try DAGCBORDecoder(limits: limits).decode(Value.self, from: bytes) }
            #expect(straight == decoded, "\(variant)")
            if straight.hasPrefix("[") { accepted += 1 }
        }
        #expect(accepted > 1, "\(Value.self)")
    }

    @Test("Messages") func messages() throws {
        for message in Samples.messages { try expectSame(message) { try MeshProtocolMessage.decode($0) } }
    }

    @Test("Bodies of signed objects") func bodies() throws {
        func read<Body: SignedBody>(_ bytes: [UInt8], _ type: Body.Type) throws -> Body {
            let limits = DAGCBOR.Limits(integerMax: SignedObjectFormat.integerMax)
            return try DAGCBORDocument(validating: bytes, limits: limits).root.decode(Body.self)
        }
        var small = Samples.manifest
        small.params = MeshJobParams(wasmCID: Samples.module)
        for manifest in [Samples.manifest, small] { try expectSame(manifest) { try read($0, JobManifest.self) } }
        var bare = Samples.bid
        (bare.region, bare.collateral, bare.nodeMetadataCID) = (nil, nil, nil)
        for bid in [Samples.bid, bare] { try expectSame(bid) { try read($0, Bid.self) } }
        var failed = Samples.receipt
        failed.outcome = .trapped(kind: .other, message: "x")
        (failed.stderrCID, failed.logCID, failed.previousReceiptCID) = (Samples.input, Samples.input, Samples.module)
        (failed.readCID, failed.transcriptCID) = (Samples.module, Samples.module)
        (failed.engine.instructionSet, failed.engine.processorBaseline) = ("x86_64", "x86-64-v3")
        (failed.stageReceipts, failed.anchoredCIDs) = ([Samples.input], [Samples.module, Samples.input])
        for receipt in [Samples.receipt, failed] { try expectSame(receipt) { try read($0, ExecutionReceipt.self) } }
        try expectSame(Samples.assignment) { try read($0, Assignment.self) }
    }

    @Test("What is written reads by hand, so nothing falls back to the decoder for long unseen") func plain() throws {
        func isPlain<Value: DAGCBORReadable & Encodable>(_ value: Value) throws -> Bool {
            let root = try DAGCBORDocument(validating: DAGCBOREncoder().encode(value)).root
            return (try? Value(plain: root)) != nil
        }
        var manifest = Samples.manifest
        #expect(try isPlain(manifest))
        manifest.params.executionPolicy = nil
        #expect(try isPlain(manifest))
        #expect(try isPlain(Samples.bid))
        #expect(try isPlain(Samples.receipt))
        var receipt = Samples.receipt
        (receipt.readCID, receipt.transcriptCID) = (Samples.module, Samples.module)
        (receipt.engine.instructionSet, receipt.engine.processorBaseline) = ("x86_64", "x86-64-v3")
        #expect(try isPlain(receipt))
        for message in Samples.messages {
            switch message {
            case .jobBid(let payload): #expect(try isPlain(payload))
            case .jobAnnouncement(let payload): #expect(try isPlain(payload))
            case .jobBidRefused(let payload): #expect(try isPlain(payload))
            case .assignJob(let payload): #expect(try isPlain(payload))
            case .executionReceiptAvailable(let payload): #expect(try isPlain(payload))
            default: break
            }
        }
    }

    @Test("Replies") func replies() throws {
        for reply in Samples.replies { try expectSame(reply) { try MeshProtocolReply.decode($0) } }
    }
}
