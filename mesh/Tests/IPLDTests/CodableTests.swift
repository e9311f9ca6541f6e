import IPLD
import Multiformats
import Testing

@Suite struct CodableTests {
    struct Inner: Codable, Hashable {
        var name: String
        var amount: UInt64
    }

    enum Outcome: Codable, Hashable {
        case done
        case failed(code: Int32, reason: String)
        case link(CID)
    }

    struct Everything: Codable, Hashable {
        var zebra: UInt64
        var a: Int64
        var text: String
        var bytes: [UInt8]
        var link: CID
        var links: [CID]
        var absent: String?
        var present: String?
        var absentLink: CID?
        var presentLink: CID?
        var inner: Inner
        var inners: [Inner]
        var byName: [String: CID]
        var outcome: Outcome
        var other: Outcome
        var flag: Bool
        var small: Int8
        var blobs: [[UInt8]]
        var texts: [String]
        var ratio: Double
    }

    static let cid = CID.hashing([1], codec: .raw)
    static let everything = Everything(
        zebra: .max, a: .min, text: "höhe", bytes: [0, 255], link: cid, links: [cid, cid], absent: nil,
        present: "here", absentLink: nil, presentLink: cid, inner: Inner(name: "x", amount: 1),
        inners: [Inner(name: "", amount: 0)], byName: ["z": cid, "aa": cid, "b": cid], outcome: .done,
        other: .failed(code: -3, reason: "because"), flag: true, small: -128, blobs: [[], [1]], texts: [], ratio: 0.5)

    @Test func roundTrip() throws {
        let bytes = try DAGCBOREncoder().encode(Self.everything)
        #expect(try DAGCBORDecoder().decode(Everything.self, from: bytes) == Self.everything)
        let value = try DAGCBOR.decode(bytes)
        #expect(try DAGCBOR.encode(value) == bytes)
        #expect(value["zebra"] == .unsigned(.max))
        #expect(value["a"] == .negative(.min))
        #expect(value["bytes"] == .bytes([0, 255]))
        #expect(value["link"] == .link(Self.cid))
        #expect(value["absent"] == nil && value["absentLink"] == nil)
        #expect(value["presentLink"] == .link(Self.cid))
        #expect(value["texts"] == .list([]))
        #expect(value["blobs"] == .list([.bytes([]), .bytes([1])]))
        #expect(value["outcome"] == .map(["done": .map([:])]))
        #expect(value["other"] == .map(["failed": .map(["code": .negative(-3), "reason": .string("because")])]))
        guard case .map(let names)? = value["byName"] else {
            Issue.record("no map")
            return
        }
        #expect(names.entries.map(\.key) == ["b", "z", "aa"])
    }

    @Test(arguments: [0, 1, 22, 23, 24, 25, 255, 256, 257, 70_000])
    func containersOfAnySize(_ count: Int) throws {
        let list = (0..<count).map { UInt64($0) }
        let listBytes = try DAGCBOREncoder().encode(list)
        #expect(try DAGCBORDecoder().decode([UInt64].self, from: listBytes) == list)
        let map = Dictionary(uniqueKeysWithValues: list.prefix(2000).map { ("k\($0)", [$0]) })
        let outer = ["outer": map, "a": [:]]
        let mapBytes = try DAGCBOREncoder().encode(outer)
        #expect(try DAGCBORDecoder().decode([String: [String: [UInt64]]].self, from: mapBytes) == outer)
    }

    /// A map of as many keys of one length as a message can hold: decoding every one of them must not be quadratic.
    @Test func aVeryWideMap() throws {
        let names = (0..<100_000).map { String(100_000 + $0) }
        let map = Dictionary(uniqueKeysWithValues: names.map { ($0, true) })
        let bytes = try DAGCBOREncoder().encode(map)
        #expect(try DAGCBORDecoder().decode([String: Bool].self, from: bytes) == map)
    }

    @Test func unknownFieldsAreIgnoredAndNullIsAbsent() throws {
        let bytes = try DAGCBOR.encode(
            .map(["name": .string("n"), "amount": .unsigned(7), "later": .map(["deep": .list([.null])])]))
        #expect(try DAGCBORDecoder().decode(Inner.self, from: bytes) == Inner(name: "n", amount: 7))
        struct Optional: Codable, Equatable {
            var value: UInt64?
            var text: String?
        }
        let nulls = try DAGCBOR.encode(.map(["value": .null, "text": .null]))
        #expect(try DAGCBORDecoder().decode(Optional.self, from: nulls) == Optional(value: nil, text: nil))
        #expect(try DAGCBOREncoder().encode(Optional(value: nil, text: nil)) == [0xA0])
    }

    private static func refusal<Value: Decodable>(_ type: Value.Type, _ value: IPLDValue) throws -> String {
        let bytes = try DAGCBOR.encode(value)
        do {
            _ = try DAGCBORDecoder().decode(type, from: bytes)
            return "accepted"
        } catch DecodingError.typeMismatch(_, let context), DecodingError.dataCorrupted(let context),
            DecodingError.keyNotFound(_, let context), DecodingError.valueNotFound(_, let context)
        {
            return context.debugDescription
        }
    }

    @Test func whatDoesNotFitTheType() throws {
        #expect(try Self.refusal(Inner.self, .map(["name": .string("")])) == "no \"amount\" in the map at byte 0")
        #expect(try Self.refusal(Inner.self, .list([])).hasPrefix("expected"))
        #expect(try Self.refusal(UInt8.self, .unsigned(256)).contains("out of the range of UInt8"))
        #expect(try Self.refusal(UInt64.self, .negative(-1)).contains("out of the range of UInt64"))
        #expect(try Self.refusal(Int64.self, .unsigned(1 << 63)).contains("out of the range of Int64"))
        #expect(try Self.refusal(String.self, .bytes([])).contains("expected String"))
        #expect(try Self.refusal([UInt8].self, .list([.unsigned(1)])).contains("found list"))
        #expect(try Self.refusal(CID.self, .string(Self.cid.text)).contains("expected CID"))
        #expect(try Self.refusal(Double.self, .unsigned(1)).contains("expected Double"))
        #expect(try Self.refusal(Bool.self, .unsigned(1)).contains("expected Bool"))
        #expect(try Self.refusal([String].self, .map([:])).contains("found map"))
    }

    @Test func whatHasNoEncoding() {
        #expect(throws: EncodingError.self) { try DAGCBOREncoder().encode(Double.nan) }
        #expect(throws: EncodingError.self) { try DAGCBOREncoder().encode(["a": Float.infinity]) }
        #expect(throws: EncodingError.self) { try DAGCBOREncoder().encode(TwiceTheKey()) }
        indirect enum Chain: Encodable {
            case end
            case link(Chain)
            func encode(to encoder: any Encoder) throws {
                var container = encoder.unkeyedContainer()
                if case .link(let next) = self { try container.encode(next) }
            }
        }
        func chain(_ depth: Int) -> Chain { (1..<depth).reduce(.end) { next, _ in .link(next) } }
        #expect(throws: Never.self) { try DAGCBOREncoder().encode(chain(128)) }
        #expect(throws: EncodingError.self) { try DAGCBOREncoder().encode(chain(129)) }
    }

    struct TwiceTheKey: Encodable {
        func encode(to encoder: any Encoder) throws {
            for _ in 0..<2 {
                var container = encoder.container(keyedBy: Key.self)
                try container.encode(1, forKey: .key)
            }
        }
        enum Key: CodingKey { case key }
    }

    /// Every way of nesting by hand, with writes in turns.
    struct ByHand: Encodable {
        enum Key: String, CodingKey { case zz, list, map, a }
        func encode(to encoder: any Encoder) throws {
            var outer = encoder.container(keyedBy: Key.self)
            var map = outer.nestedContainer(keyedBy: Key.self, forKey: .map)
            try map.encode(1, forKey: .zz)
            var list = outer.nestedUnkeyedContainer(forKey: .list)
            try list.encode("first")
            var inner = list.nestedContainer(keyedBy: Key.self)
            try list.encode("third")
            try inner.encode([UInt8(1)], forKey: .a)
            try map.encode(2, forKey: .a)
            try outer.encode(3, forKey: .a)
            var innerList = list.nestedUnkeyedContainer()
            try list.encodeNil()
            try innerList.encode(true)
            try Inner(name: "s", amount: 9).encode(to: outer.superEncoder())
        }
    }

    @Test func containersByHand() throws {
        let value = try DAGCBOR.decode(DAGCBOREncoder().encode(ByHand()))
        #expect(
            value
                == .map([
                    "a": .unsigned(3), "map": .map(["a": .unsigned(2), "zz": .unsigned(1)]),
                    "list": .list([
                        .string("first"), .map(["a": .bytes([1])]), .string("third"), .list([.bool(true)]), .null,
                    ]),
                    "super": .map(["name": .string("s"), "amount": .unsigned(9)]),
                ]))
    }

    @Test func nodesOfADocument() throws {
        let bytes = try DAGCBOREncoder().encode(["one": [Inner(name: "n", amount: 1)], "four": []])
        let root = try DAGCBORDocument(validating: bytes).root
        #expect(root.isMap && !root.isList && root.count == 2)
        #expect(root.entries.map(\.key) == ["one", "four"])
        let list = try #require(root["one"])
        #expect(list.isList && list.count == 1 && list.text == nil && list.link == nil)
        #expect(try list.decode([Inner].self) == [Inner(name: "n", amount: 1)])
        #expect(try DAGCBOR.decode(Array(list.slice)) == list.value)
        #expect(root["none"] == nil && list["one"] == nil && list.entries.isEmpty)
        let link = try DAGCBORDocument(validating: DAGCBOR.encode(.link(Self.cid))).root
        #expect(link.link == Self.cid && link.count == nil && link.byteString == nil)
    }
}
