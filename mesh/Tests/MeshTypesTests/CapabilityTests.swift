import IPLD
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// A capability as the first releases know it.
private struct FirstCapability: SignedBody, Hashable, Sendable {
    var nodeDID: DID
    var peerID: PeerID
    var addresses: [Multiaddr] = []
    var resources: ResourceAmounts
    var engines: [EngineDescription] = []
    var abiVersions: [UInt64] = [1]
    var features: [String] = []
    var region: String?
    var loadPermille: UInt64 = 0
    var basePrice = TokenAmount.zero
    var pricePerMillionFuel = TokenAmount.zero
    var issuedAt: UnixMilliseconds
    var validUntil: UnixMilliseconds
    var attestationCID: CID?

    static let typeName = "NodeCapability"
    var signerDID: DID { nodeDID }

    enum CodingKeys: String, CodingKey {
        case nodeDID = "node_did"
        case peerID = "peer_id"
        case addresses
        case resources
        case engines
        case abiVersions = "abi_versions"
        case features
        case region
        case loadPermille = "load_permille"
        case basePrice = "base_price"
        case pricePerMillionFuel = "price_per_million_fuel"
        case issuedAt = "issued_at"
        case validUntil = "valid_until"
        case attestationCID = "attestation_cid"
    }
}

/// The offers of executors, of this version and of earlier ones.
@Suite struct CapabilityTests {
    private let executor = Samples.executor

    private var first: FirstCapability {
        FirstCapability(
            nodeDID: executor.did, peerID: executor.peerID, resources: ["memory_mib": 1], issuedAt: Samples.date,
            validUntil: Samples.date)
    }

    @Test func oneOfAnEarlierVersionSaysNothingAboutLimits() throws {
        let signed = try SignedObject.sign(first, with: executor)
        let read = try SignedObject<NodeCapability>(verifying: signed.bytes).body
        #expect(read.limits == nil && read.isAbridged == nil)
        #expect(read.resources == ["memory_mib": 1])
    }

    @Test func anEarlierVersionTakesOneWithLimitsAndLimitsOfALaterOneAreKept() throws {
        var capability = Samples.capability
        capability.limits = ["max_fuel": 7, "of_tomorrow": 1]
        capability.isAbridged = true
        let signed = try SignedObject.sign(capability, with: executor)
        let read = try SignedObject<FirstCapability>(verifying: signed.bytes)
        #expect(read.body.region == capability.region && read.bodyCID == signed.bodyCID)
        #expect(try SignedObject<NodeCapability>(verifying: signed.bytes).body == capability)
    }

    @Test func whatIsAbsentIsNotWritten() throws {
        let old = try DAGCBOREncoder().encode(first)
        var capability = NodeCapability(
            nodeDID: executor.did, peerID: executor.peerID, issuedAt: Samples.date, validUntil: Samples.date)
        capability.resources = ["memory_mib": 1]
        #expect(try DAGCBOREncoder().encode(capability) == old)
    }

    @Test func everyLimitHasANameOnTheWireAndASetting() {
        #expect(Set(OfferedLimit.allCases.map(\.setting)).count == OfferedLimit.allCases.count)
        var sizes = JobSizes()
        sizes.moduleBytes = 1
        sizes.moduleFunctions = 2
        sizes.functionBytes = 3
        sizes.inputBytes = 4
        let asked = OfferedLimit.allCases.filter { $0.asked(by: Samples.params, sizes) != nil }
        let untold: [OfferedLimit] = [.compileSeconds, .compileMemoryBytes, .jobsAtOnce, .queuedJobs]
        #expect(Set(asked).isDisjoint(with: untold) && asked.count + untold.count == OfferedLimit.allCases.count)
    }
}
