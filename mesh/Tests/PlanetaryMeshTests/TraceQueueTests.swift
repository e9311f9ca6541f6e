import Foundation
import MeshTypes
import Multiformats
import NIOHTTP1
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// Spans on their way: how long they wait, and how they are written.
@Suite("The queue of traces")
struct TraceQueueTests {
    private static let job = JobID(CID.hashing([1], codec: .dagCBOR))

    private func span(_ number: Int, failure: String? = nil) throws -> TraceSpan {
        let node = try Identity(seed: Array(repeating: 1, count: 32)).did
        let context = TraceContext(
            traceID: TraceContext.trace(of: Self.job), spanID: TraceContext.span(of: Self.job, by: node, "\(number)"),
            isSampled: true)
        let start = UnixMilliseconds(1_800_000_000_000)
        return TraceSpan(
            context: context, parentID: [1, 2, 3, 4, 5, 6, 7, 8], name: "span \(number)", kind: .client, start: start,
            end: start.advanced(milliseconds: 7),
            attributes: [
                .init(key: "mesh.text", value: .text("a \"b\" é")), .init(key: "mesh.count", value: .count(.max)),
            ], events: [.init(at: start.advanced(milliseconds: 5), name: "noted")], links: [context], failure: failure)
    }

    private func spans(_ numbers: Range<Int>) throws -> [TraceSpan] { try numbers.map { try span($0) } }

    @Test("spansQueuedMax spans wait, the oldest are dropped, and batchSpansMax go at once")
    func bounds() throws {
        var limits = TraceQueue.Limits()
        (limits.spansQueuedMax, limits.batchSpansMax) = (10, 4)
        var queue = TraceQueue(limits: limits)
        #expect(queue.next().isEmpty)
        #expect(queue.add(try spans(0..<13)) == 3)
        #expect(queue.count == 10 && queue.next().map(\.name) == (3..<7).map { "span \($0)" })
        // What is under way stays, and as many as before may wait besides.
        #expect(queue.add(try spans(13..<20)) == 3)
        #expect(queue.count == 14)
        #expect(queue.ended(.taken(rejected: 1)) == .init(sent: 3, dropped: 1, warning: "it rejected 1 of 4"))
        #expect(queue.next().map(\.name) == (10..<14).map { "span \($0)" })
        #expect(queue.ended(.refused("no")) == .init(dropped: 4), "the owner was warned already")
        #expect(queue.ended(.taken(rejected: 9)) == .init(), "there were none")
    }

    @Test("A receiver that is away gets the same spans again after doubling pauses, attemptsMax times, and one warning")
    func away() throws {
        let limits = TraceQueue.Limits()
        var queue = TraceQueue()
        _ = queue.add(try spans(0..<2))
        var pauses: [Int64] = [queue.pauseMilliseconds]
        for attempt in 1...limits.attemptsMax {
            #expect(queue.next().map(\.name) == ["span 0", "span 1"])
            let report = queue.ended(.unavailable("away"))
            #expect(report.warning == (attempt == 1 ? "away" : nil))
            #expect(report.dropped == (attempt == limits.attemptsMax ? 2 : 0))
            pauses.append(queue.pauseMilliseconds)
        }
        #expect(pauses == [1_000, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
        _ = queue.add(try spans(2..<3))
        #expect(queue.next().map(\.name) == ["span 2"])
        #expect(queue.ended(.taken(rejected: 0)) == .init(sent: 1) && queue.pauseMilliseconds == 1_000)
        _ = queue.add(try spans(3..<4))
        _ = queue.next()
        #expect(queue.ended(.unavailable("again")).warning == "again")
    }

    @Test("A request is what OTLP's JSON says it is, byte for byte")
    func request() throws {
        let resource = OTLPRequest.Resource(service: "alpha", version: "0.9", did: "did:key:z6Mk")
        let body = try OTLPRequest([span(1, failure: "declined")], of: resource).encoded()
        let trace = TraceContext.text(of: TraceContext.trace(of: Self.job))
        let id = try TraceContext.text(of: span(1).context.spanID)
        let expected =
            #"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"alpha"}},"#
            + #"{"key":"service.version","value":{"stringValue":"0.9"}},"#
            + #"{"key":"service.instance.id","value":{"stringValue":"did:key:z6Mk"}}]},"scopeSpans":[{"#
            + #""scope":{"name":"planetary-mesh","version":"0.9"},"spans":[{"attributes":["#
            + #"{"key":"mesh.text","value":{"stringValue":"a \"b\" é"}},"#
            + #"{"key":"mesh.count","value":{"intValue":"9223372036854775807"}},"#
            + #"{"key":"error.type","value":{"stringValue":"declined"}}],"#
            + #""endTimeUnixNano":"1800000000007000000","events":[{"name":"noted","#
            + #""timeUnixNano":"1800000000005000000"}],"flags":1,"kind":3,"links":[{"flags":1,"#
            + #""spanId":"\#(id)","traceId":"\#(trace)"}],"name":"span 1","parentSpanId":"0102030405060708","#
            + #""spanId":"\#(id)","startTimeUnixNano":"1800000000000000000","status":{"code":2,"message":"declined"},"#
            + #""traceId":"\#(trace)"}]}]}]}"#
        #expect(String(decoding: body, as: UTF8.self) == expected)
    }

    @Test("An answer says how many spans were rejected, as a text or a number, or nothing")
    func answers() {
        let table: [(String, UInt64?)] = [
            (#"{"partialSuccess":{"rejectedSpans":"5","errorMessage":"x"}}"#, 5),
            (#"{"partialSuccess":{"rejectedSpans":5}}"#, 5), (#"{"partialSuccess":{}}"#, 0), ("{}", 0), ("", 0),
            (#"{"partialSuccess":{"rejectedSpans":"-5"}}"#, 0), ("<html>", nil), (#"{"partialSuccess":null}"#, 0),
        ]
        for (body, count) in table { #expect(OTLPResponse.rejected(in: Array(body.utf8)) == count, "\(body)") }
        for (code, outcome) in [
            (200, TraceQueue.Outcome.taken(rejected: 0)), (202, .taken(rejected: 0)),
            (301, .refused("it answers with status 301")), (400, .refused("it answers with status 400")),
            (429, .unavailable("it answers with status 429")), (500, .refused("it answers with status 500")),
            (503, .unavailable("it answers with status 503")),
        ] {
            #expect(TraceAnswerHandler.outcome(of: .init(statusCode: code), []) == outcome)
        }
        let page = TraceAnswerHandler.outcome(of: .ok, Array("<html>".utf8))
        #expect(page == .refused("its answer is none of OTLP in JSON"))
    }
}
