import IPLD
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import MeshTypes

/// Contexts of traces, as W3C has them, beside what is signed.
@Suite("Trace contexts")
struct TraceContextTests {
    /// The example of https://www.w3.org/TR/trace-context-2/#traceparent-header.
    private static let example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    @Test("The specification's example reads and is written the same")
    func example() throws {
        let context = try #require(TraceContext(parsing: Self.example))
        #expect(context.isSampled && context.text == Self.example)
        #expect(TraceContext.text(of: context.traceID) == "4bf92f3577b34da6a3ce929d0e0e4736")
        #expect(TraceContext.text(of: context.spanID) == "00f067aa0ba902b7")
        let unsampled = try #require(TraceContext(parsing: Self.example.dropLast(2) + "02"))
        #expect(!unsampled.isSampled && unsampled.text == Self.example.dropLast(2) + "00")
    }

    @Test("A later version reads by its beginning, and whatever else is not of the form is no context")
    func others() {
        let ids = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"
        #expect(TraceContext(parsing: "cc-\(ids)-01-what-the-future-will-be-like")?.isSampled == true)
        #expect(TraceContext(parsing: "01-\(ids)-01")?.isSampled == true)
        let none = [
            "", "00", "00-\(ids)-01-x", "cc-\(ids)-01.x", "ff-\(ids)-01", "0-\(ids)-001", "00-\(ids)-1",
            "00-\(ids.uppercased())-01", "00_\(ids)-01", "00-\(ids)-0g", "00-\(ids) -01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", String(repeating: "é", count: 55),
        ]
        for text in none { #expect(TraceContext(parsing: text) == nil, "\(text)") }
    }

    @Test("Traces and spans follow from the job, its node and the span's name")
    func derived() throws {
        let job = try JobID(CID(parsing: "bafyreifepiu23okq5zuyvyhsoiazv2icw2van3s7ko6d3ixl5jx2yj2yhu"))
        let trace = Multihash.sha256(of: Array("icn-mesh/v1/Trace\0".utf8) + job.cid.bytes).digest.prefix(16)
        #expect(TraceContext.trace(of: job) == Array(trace))
        let node = Samples.executor.did
        let name = Array("icn-mesh/v1/Span\0".utf8) + job.cid.bytes + Array("\(node.text)\0bid".utf8)
        #expect(TraceContext.span(of: job, by: node, "bid") == Array(Multihash.sha256(of: name).digest.prefix(8)))
        let other = JobID(.hashing([1], codec: .dagCBOR))
        #expect(TraceContext.trace(of: other) != TraceContext.trace(of: job))
        let others = TraceContext.span(of: job, by: Samples.originator.did, "bid")
        #expect(others != TraceContext.span(of: job, by: node, "bid"))
    }

    @Test("A message carries a context beside what is signed, is the same as ever without one, and reads with any text")
    func messages() throws {
        var assignment = AssignJobV1(manifest: [1], bid: [2], assignment: [3])
        let plain = try MeshProtocolMessage.assignJob(assignment).encoded()
        #expect(plain.firstRange(of: Array("traceparent".utf8)) == nil)
        for text in [Self.example, "", "no context", String(repeating: "x", count: 10_000)] {
            assignment.traceparent = text
            let message = MeshProtocolMessage.assignJob(assignment)
            let bytes = try message.encoded()
            #expect(bytes != plain)
            #expect(try MeshProtocolMessage.decode(bytes) == message)
        }
        var announcement = JobAnnouncementV1(
            jobID: Samples.bid.jobID, manifest: [1], originatorPeerID: Samples.originator.peerID,
            providerAddresses: [Samples.address], expiresAt: Samples.date)
        announcement.traceparent = Self.example
        let message = MeshProtocolMessage.jobAnnouncement(announcement)
        #expect(try MeshProtocolMessage.decode(try message.encoded()) == message)
    }

    @Test("A node that knows no contexts reads a message that carries one")
    func earlierNodes() throws {
        struct Earlier: Decodable, Hashable {
            let manifest: [UInt8]
            let bid: [UInt8]
            let assignment: [UInt8]
        }
        var assignment = AssignJobV1(manifest: [1], bid: [2], assignment: [3])
        assignment.traceparent = Self.example
        let bytes = try MeshProtocolMessage.assignJob(assignment).encoded()
        let read = try DAGCBORDecoder().decode([String: Earlier].self, from: bytes)
        #expect(read == ["AssignJobV1": Earlier(manifest: [1], bid: [2], assignment: [3])])
    }
}
