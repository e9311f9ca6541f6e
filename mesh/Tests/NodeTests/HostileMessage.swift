import IPLD
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects

@testable import PlanetaryMesh

/// A valid message with the signed objects in it, of which one field can be changed: what lies above the change is
/// linked and signed anew by those who signed it.
struct HostileMessage {
    /// A signed object inside the message.
    struct Object {
        let typeName: String
        let signer: Identity
        let body: IPLDValue
        let block: IPLDValue
        let link: IPLDValue

        init<Body: SignedBody>(_ signed: SignedObject<Body>, by signer: Identity) throws {
            typeName = Body.typeName
            self.signer = signer
            body = try DAGCBOR.decode(signed.bytes)["body"] ?? .null
            block = .bytes(signed.bytes)
            link = .link(signed.cid)
        }

        /// The block of another body under the same signature's key.
        func signing(_ body: IPLDValue) throws -> [UInt8] {
            let bytes = try DAGCBOR.encode(body)
            let bodyCID = CID.hashing(bytes, codec: .dagCBOR)
            let signature = try signer.sign(SignedObjectFormat.message(typeName, bodyCID))
            return try DAGCBOR.encode(
                .map(["did": .string(signer.did.text), "sig": .bytes(signature), "body": body]))
        }
    }

    /// Where a field is: in one of the objects, or in the message around them.
    struct Place: Hashable {
        let object: Int?
        let path: [IPLDValue.Step]
    }

    /// The objects, each after those that it links to.
    let objects: [Object]
    /// The message, with the blocks of the objects in it.
    let message: IPLDValue

    init(_ message: MeshProtocolMessage, _ objects: [Object] = []) throws {
        self.message = try DAGCBOR.decode(message.encoded())
        self.objects = objects
    }

    /// All places, those of blocks inside the message left out.
    var places: [Place] {
        let blocks = Set(objects.map(\.block))
        let around = message.places.filter { path in message.value(at: path[...]).map { !blocks.contains($0) } ?? false
        }
        return around.map { Place(object: nil, path: $0) }
            + objects.indices.flatMap { index in
                objects[index].body.places.map { Place(object: index, path: $0) }
            }
    }

    /// The places of integers.
    var integerPlaces: [Place] {
        places.filter { place in
            switch value(at: place) {
            case .unsigned, .negative: true
            default: false
            }
        }
    }

    func value(at place: Place) -> IPLDValue? {
        (place.object.map { objects[$0].body } ?? message).value(at: place.path[...])
    }

    /// The bytes of the message with another value at a place.
    func bytes(with value: IPLDValue?, at place: Place) throws -> [UInt8] {
        var changes: [IPLDValue: IPLDValue] = [:]
        for (index, object) in objects.enumerated() {
            var body = try object.body.substituting(changes)
            if place.object == index { body = try body.replacing(at: place.path[...], with: value) }
            guard body != object.body else { continue }
            let block = try object.signing(body)
            changes[object.block] = .bytes(block)
            changes[object.link] = .link(CID.hashing(block, codec: .dagCBOR))
            for (lean, path) in Self.leanFields {
                if let after = body.value(at: path[...]) { changes[Self.lean(lean)] = after }
            }
        }
        var whole = try message.substituting(changes)
        if whole["JobBidV1"] != nil {
            for (lean, _) in Self.leanFields {
                guard let after = changes[Self.lean(lean)] else { continue }
                let path: [IPLDValue.Step] = [.key("JobBidV1"), .key("bid"), .key(lean)]
                whole = try whole.replacing(at: path[...], with: after)
            }
        }
        if place.object == nil { whole = try whole.replacing(at: place.path[...], with: value) }
        return try DAGCBOR.encode(whole)
    }

    /// What a lean bid repeats of the signed one.
    private static let leanFields: [(lean: String, path: [IPLDValue.Step])] = [
        ("price", [.key("terms"), .key("price")]), ("region", [.key("region")]),
        ("executor_did", [.key("bidder_did")]), ("execution_node_id", [.key("bidder_peer_id")]),
        ("job_originator", [.key("originator_peer_id")]), ("job_id", [.key("job_id")]),
    ]

    /// A key under which the new value of a lean field waits; no value of a message is one.
    private static func lean(_ name: String) -> IPLDValue { .list([.string("lean"), .string(name)]) }
}

/// One random change of one field.
struct FieldChange {
    private static let numbers: [UInt64] = [0, 1, 1 << 31, 1 << 53, (1 << 63) - 1, 1 << 63, .max]

    /// A value to put where another one stands; `nil` takes the field out.
    static func random(of old: IPLDValue, using generator: inout some RandomNumberGenerator) -> IPLDValue? {
        switch UInt8.random(in: 0..<10, using: &generator) {
        case 0: return nil
        case 1: return other(using: &generator)
        default: break
        }
        switch old {
        case .unsigned(let number):
            let choices = numbers + [number &+ 1, number &- 1, .random(in: 0 ... .max, using: &generator)]
            return .unsigned(choices.randomElement(using: &generator) ?? 0)
        case .string(let text): return .string(string(of: text, using: &generator))
        case .bytes(let bytes): return .bytes(Self.bytes(of: bytes, using: &generator))
        case .list(let list): return .list(Self.list(of: list, using: &generator))
        case .map(let map): return Self.map(of: map, using: &generator)
        case .link(let cid): return .link(Self.link(of: cid, using: &generator))
        case .bool(let flag): return .bool(!flag)
        default: return other(using: &generator)
        }
    }

    private static func other(using generator: inout some RandomNumberGenerator) -> IPLDValue {
        let choices: [IPLDValue] = [
            .null, .bool(true), .unsigned(7), .negative(-1), .negative(.min), .float(1.5), .string("x"), .bytes([1]),
            .list([]), .map([:]), .link(CID.hashing([1], codec: .raw)),
        ]
        return choices.randomElement(using: &generator) ?? .null
    }

    private static func string(of text: String, using generator: inout some RandomNumberGenerator) -> String {
        let choices = [
            "", text + text, String(text.dropLast()), text.uppercased(), text + "\u{301}", "\u{0}", "\u{1b}[2J",
            "e" + String(repeating: "\u{301}", count: 2500), String(repeating: "\u{202e}x", count: 100),
            String(repeating: "a", count: 20_000), "/", "did:key:z6Mk", "\u{FEFF}\u{10FFFF}",
        ]
        return choices.randomElement(using: &generator) ?? ""
    }

    private static func bytes(of bytes: [UInt8], using generator: inout some RandomNumberGenerator) -> [UInt8] {
        var flipped = bytes
        if let index = bytes.indices.randomElement(using: &generator) {
            flipped[index] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        }
        let choices = [
            [], flipped, flipped, Array(bytes.dropLast()), bytes + [0], [UInt8](repeating: 0xFF, count: 10_000),
        ]
        return choices.randomElement(using: &generator) ?? []
    }

    private static func list(of list: [IPLDValue], using generator: inout some RandomNumberGenerator) -> [IPLDValue] {
        let first = list.first ?? .unsigned(1)
        let choices = [
            [], list + list, Array(list.reversed()), [IPLDValue](repeating: first, count: 300), list + [.null],
        ]
        return choices.randomElement(using: &generator) ?? []
    }

    private static func map(of map: IPLDMap, using generator: inout some RandomNumberGenerator) -> IPLDValue {
        switch UInt8.random(in: 0..<3, using: &generator) {
        case 0: return .map([:])
        case 1:
            let extra = (0..<200).map { IPLDMap.Entry(key: "~unknown \($0)", value: .unsigned(UInt64($0))) }
            return (try? IPLDMap(map.entries + extra)).map { .map($0) } ?? .null
        default:
            let deep = (0..<40).reduce(IPLDValue.unsigned(1)) { value, _ in .list([value]) }
            return (try? IPLDMap(map.entries + [.init(key: "~deep", value: deep)])).map { .map($0) } ?? .null
        }
    }

    private static func link(of cid: CID, using generator: inout some RandomNumberGenerator) -> CID {
        let digest = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let choices = [
            CID.hashing(digest, codec: .raw), CID.hashing(digest, codec: .dagCBOR),
            CID.hashing(digest, codec: .dagJSON), try? CID(bytes: [0x12, 0x20] + digest),
            try? CID(bytes: [1, 0x55, 0, 1, 7]), CID(codec: .raw, multihash: cid.multihash),
        ].compactMap(\.self)
        return choices.randomElement(using: &generator) ?? cid
    }
}
