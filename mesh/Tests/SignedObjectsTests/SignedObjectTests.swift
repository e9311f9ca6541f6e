import IPLD
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@Suite struct SignedObjectTests {
    /// The same fields under eight type names: only the name keeps them apart.
    protocol Named { static var name: String { get } }
    enum JobManifest: Named { static let name = "JobManifest" }
    enum NodeCapability: Named { static let name = "NodeCapability" }
    enum Bid: Named { static let name = "Bid" }
    enum Assignment: Named { static let name = "Assignment" }
    enum ExecutionReceipt: Named { static let name = "ExecutionReceipt" }
    enum Settlement: Named { static let name = "Settlement" }
    enum ReputationRecord: Named { static let name = "ReputationRecord" }
    enum AnchorEntry: Named { static let name = "AnchorEntry" }
    static var names: [any Named.Type] {
        [
            JobManifest.self, NodeCapability.self, Bid.self, Assignment.self, ExecutionReceipt.self, Settlement.self,
            ReputationRecord.self, AnchorEntry.self,
        ]
    }

    struct Body<Name: Named>: SignedBody, Equatable {
        static var typeName: String { Name.name }
        var signer: DID
        var subject: CID
        var amount: UInt64
        var note: String?
        var signerDID: DID { signer }

        init(_ signer: DID) {
            self.signer = signer
            subject = CID.hashing([1], codec: .raw)
            amount = 5
        }
    }

    private static let identity = Identity.generate()

    private static func signed<Name: Named>(_ name: Name.Type) throws -> SignedObject<Body<Name>> {
        try SignedObject.sign(Body<Name>(identity.did), with: identity)
    }

    @Test func whatIsSignedVerifies() throws {
        let object = try Self.signed(Bid.self)
        let again = try SignedObject<Body<Bid>>(verifying: object.bytes)
        #expect(again == object && again.body == object.body && again.did == Self.identity.did)
        #expect(again.cid == CID.hashing(object.bytes, codec: .dagCBOR))
        #expect(again.bodyCID == CID.hashing(try DAGCBOREncoder().encode(object.body), codec: .dagCBOR))
        #expect(try SignedObject<Body<Bid>>(verifiedBefore: object.bytes) == object)
        let value = try DAGCBOR.decode(object.bytes)
        #expect(value["did"] == .string(Self.identity.did.text))
        #expect(value["sig"] == .bytes(object.signature))
        #expect(try DAGCBOR.encode(value) == object.bytes)
    }

    @Test("A block that was checked before is still checked for its type, and its neighbours for their signatures")
    func checkedBefore() throws {
        let object = try Self.signed(Bid.self)
        let place = try #require(object.bytes.firstRange(of: object.signature)).lowerBound
        var forged = object.bytes
        forged[place + 40] ^= 1
        for _ in 1...2 {
            #expect(try SignedObject<Body<Bid>>(verifying: object.bytes) == object)
            #expect(throws: SignedObjectError.badSignature) {
                try SignedObject<Body<Assignment>>(verifying: object.bytes)
            }
            #expect(throws: SignedObjectError.badSignature) { try SignedObject<Body<Bid>>(verifying: forged) }
        }
    }

    @Test func theSignedMessageIsThatOfTheProtocol() throws {
        let object = try Self.signed(Bid.self)
        let message = Array("icn-mesh/v1/Bid".utf8) + [0] + object.bodyCID.bytes
        #expect(Self.identity.publicKey.isValidSignature(object.signature, for: message))
    }

    @Test func noObjectPassesAsOneOfAnotherType() throws {
        var refused = 0
        func read<Reader: Named>(_ reader: Reader.Type, _ bytes: [UInt8], writtenAs name: String) {
            if Reader.name == name {
                #expect(throws: Never.self) { try SignedObject<Body<Reader>>(verifying: bytes) }
            } else {
                refused += 1
                #expect(throws: SignedObjectError.badSignature, "\(name) as \(Reader.name)") {
                    try SignedObject<Body<Reader>>(verifying: bytes)
                }
            }
        }
        func write<Writer: Named>(_ writer: Writer.Type) throws {
            let object = try Self.signed(writer)
            for reader in Self.names { read(reader, object.bytes, writtenAs: Writer.name) }
        }
        for writer in Self.names { try write(writer) }
        #expect(refused == 8 * 7)
    }

    @Test func everyBitCounts() throws {
        let bytes = try Self.signed(Bid.self).bytes
        for bit in 0..<(bytes.count * 8) {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(throws: SignedObjectError.self, "bit \(bit)") { try SignedObject<Body<Bid>>(verifying: flipped) }
        }
        for count in 0..<bytes.count {
            #expect(throws: SignedObjectError.self) { try SignedObject<Body<Bid>>(verifying: Array(bytes[..<count])) }
        }
        #expect(throws: SignedObjectError.malformedBlock(.trailingBytes(offset: bytes.count))) {
            try SignedObject<Body<Bid>>(verifying: bytes + [0])
        }
    }

    /// Signs any body under any type name and puts it into any envelope.
    private static func envelope(
        body: IPLDValue, did: IPLDValue? = nil, extra: IPLDMap.Entry? = nil, signer: Identity = identity
    ) throws -> [UInt8] {
        let bodyCID = CID.hashing(try DAGCBOR.encode(body), codec: .dagCBOR)
        let signature = try signer.sign(SignedObjectFormat.message("Bid", bodyCID))
        var entries: [IPLDMap.Entry] = [
            .init(key: "body", value: body), .init(key: "sig", value: .bytes(signature)),
            .init(key: "did", value: did ?? .string(signer.did.text)),
        ]
        if let extra { entries.append(extra) }
        return try DAGCBOR.encode(.map(IPLDMap(entries)))
    }

    private static func body(_ signer: DID = identity.did, adding extra: IPLDMap.Entry? = nil) throws -> IPLDValue {
        var entries: [IPLDMap.Entry] = [
            .init(key: "signer", value: .string(signer.text)),
            .init(key: "subject", value: .link(CID.hashing([1], codec: .raw))),
            .init(key: "amount", value: .unsigned(5)),
        ]
        if let extra { entries.append(extra) }
        return .map(try IPLDMap(entries))
    }

    @Test func unknownFieldsStaySigned() throws {
        let body = try Self.body(adding: .init(key: "from_a_later_version", value: .list([.float(0.5)])))
        let bytes = try Self.envelope(body: body)
        let object = try SignedObject<Body<Bid>>(verifying: bytes)
        #expect(object.bytes == bytes)
        #expect(object.bodyCID == CID.hashing(try DAGCBOR.encode(body), codec: .dagCBOR))
        #expect(object.bodyCID != CID.hashing(try DAGCBOREncoder().encode(object.body), codec: .dagCBOR))
    }

    @Test func envelopesOfAnotherShape() throws {
        let bytes = try Self.envelope(body: Self.body(), extra: .init(key: "more", value: .null))
        #expect(throws: SignedObjectError.malformedEnvelope) { try SignedObject<Body<Bid>>(verifying: bytes) }
        let list = try Self.envelope(body: .list([]))
        #expect(throws: SignedObjectError.malformedEnvelope) { try SignedObject<Body<Bid>>(verifying: list) }
        let noText = try Self.envelope(body: Self.body(), did: .bytes([1]))
        #expect(throws: SignedObjectError.malformedEnvelope) { try SignedObject<Body<Bid>>(verifying: noText) }
        let noDID = try Self.envelope(body: Self.body(), did: .string("did:web:x"))
        #expect(throws: SignedObjectError.malformedDID(.notDIDKey)) { try SignedObject<Body<Bid>>(verifying: noDID) }
        for value in [IPLDValue.null, .list([]), .map([:])] {
            let bytes = try DAGCBOR.encode(value)
            #expect(throws: SignedObjectError.malformedEnvelope) { try SignedObject<Body<Bid>>(verifying: bytes) }
        }
        #expect(throws: SignedObjectError.tooLarge(bytesMax: 1 << 20)) {
            try SignedObject<Body<Bid>>(verifying: [UInt8](repeating: 0, count: (1 << 20) + 1))
        }
    }

    @Test func theBodyMustNameItsSigner() throws {
        let other = Identity.generate()
        #expect(throws: SignedObjectError.wrongSigner) {
            try SignedObject.sign(Body<Bid>(other.did), with: Self.identity)
        }
        let forged = try Self.envelope(body: Self.body(other.did))
        #expect(throws: SignedObjectError.wrongSigner) { try SignedObject<Body<Bid>>(verifying: forged) }
        #expect(throws: SignedObjectError.wrongSigner) { try SignedObject<Body<Bid>>(verifiedBefore: forged) }
        let swapped = try Self.envelope(body: Self.body(), did: .string(other.did.text))
        #expect(throws: SignedObjectError.badSignature) { try SignedObject<Body<Bid>>(verifying: swapped) }
        let incomplete = try Self.envelope(body: .map(["signer": .string(Self.identity.did.text)]))
        #expect {
            try SignedObject<Body<Bid>>(verifying: incomplete)
        } throws: { error in
            if case .malformedBody(let reason)? = error as? SignedObjectError { return reason.contains("subject") }
            return false
        }
    }
}
