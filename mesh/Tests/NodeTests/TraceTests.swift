import Logging
import MeshTypes
import Multiformats
import NIOHTTP1
import NodeAPI
import NodeSetup
import P2PTesting
import SignedObjects
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// One job's trace over real nodes, and receivers that are no good.
@Suite("Traces", .serialized)
struct TraceTests {
    /// A mesh of which every node sends its spans to one address, each under a name of its own.
    private func run(
        prices: [UInt64], to address: String, _ change: (Int, inout NodeConfiguration) -> Void = { _, _ in },
        _ body: (NodeMesh) async throws -> Void
    ) async throws {
        try await NodeMesh.run(prices: prices) { index, configuration in
            configuration.traces.endpoint = address
            configuration.traces.service = "node-\(index)"
            change(index, &configuration)
        } _: { mesh in
            try await body(mesh)
        }
    }

    private func count(_ name: String, _ node: MeshNode) async throws -> UInt64 {
        try await node.status().counters.first { $0.name == name }?.value ?? 0
    }

    @Test("One job over three nodes is one trace: the originator's, the executor's and the losing bidder's spans")
    func threeNodes() async throws {
        let receiver = try await TraceReceiverStub.open(.taken)
        try await run(prices: [10, 20], to: receiver.address) { mesh in
            try await eventually("the originator knows the executors") {
                await mesh.originator.core.capabilities.count == 2
            }
            let job = try await mesh.submit(try Assembler.command("nop")) { submission in
                submission.policy.sufficientBids = 2
                submission.policy.bidWindowMilliseconds = 20_000
                // So little that base prices make the difference.
                submission.limits.maxFuel = 100_000
            }
            #expect(try await mesh.result(of: job).ending == .succeeded)
            try await eventually("every node's last span came") {
                let names = try receiver.spans().map { "\($0.service) \($0.name)" }
                return Set(["node-2 job", "node-0 execution", "node-1 bid"]).isSubset(of: names)
            }
            let spans = try receiver.spans()
            let trace = TraceContext.text(of: TraceContext.trace(of: JobID(job)))
            #expect(Set(spans.map(\.trace)) == [trace])
            #expect(Set(spans.map(\.instance)) == Set(mesh.nodes.map(\.identity.did.text)))
            let names = Dictionary(spans.map { ($0.id, "\($0.service) \($0.name)") }) { first, _ in first }
            #expect(names.count == spans.count, "no two spans have one identifier")
            let tree = Set(
                spans.map { span in
                    "\(span.service) \(span.name) < \(span.parent.map { names[$0] ?? "?" } ?? "nothing")"
                })
            let expected: Set = [
                "node-2 job < nothing", "node-2 bidding < node-2 job", "node-2 attempt < node-2 job",
                "node-2 assignment < node-2 attempt", "node-2 settlement < node-2 job",
                "node-0 bid < node-2 bidding", "node-1 bid < node-2 bidding", "node-0 execution < node-2 attempt",
                "node-0 queue < node-0 execution", "node-0 fetch < node-0 execution", "node-0 run < node-0 execution",
                "node-0 receipt < node-0 execution",
            ]
            #expect(expected.subtracting(tree) == [])
            #expect(!tree.contains { $0.hasSuffix("?") }, "\(tree)")

            #expect(try await mesh.originator.explain(job).traceID == trace)
            #expect(try await mesh.nodes[0].describe(job).traceID == trace)
            try await eventually("what was sent is counted") {
                try await count("trace_spans_sent", mesh.originator) >= 5
            }
            #expect(try await count("trace_exports_failed", mesh.originator) == 0)
            let head = try #require(receiver.requests.first)
            #expect(head.uri == "/v1/traces" && head.headers["content-type"] == ["application/json"])
        }
        try await receiver.close()
    }

    @Test("Nodes without a receiver record nothing, and an executor records no job that its originator does not")
    func off() async throws {
        let receiver = try await TraceReceiverStub.open(.taken)
        try await run(prices: [10], to: receiver.address) { index, configuration in
            if index == 1 { configuration.traces.endpoint = nil }
        } _: { mesh in
            let job = try await mesh.submit(try Assembler.command("nop"))
            #expect(try await mesh.result(of: job).ending == .succeeded)
            #expect(try await mesh.originator.explain(job).traceID == nil)
            #expect(try await mesh.nodes[0].explain(job).traceID == nil)
        }
        #expect(try receiver.spans().isEmpty)
        try await receiver.close()
    }

    @Test("A program's own span decides, and the job's trace links to it")
    func client() async throws {
        let receiver = try await TraceReceiverStub.open(.taken)
        try await run(prices: [10], to: receiver.address) { index, configuration in
            configuration.traces.ratioPermille = 0
        } _: { mesh in
            _ = try await mesh.result(of: try await mesh.submit(try Assembler.command("nop")))
            let job = try await mesh.submit(try Assembler.command("nop")) { submission in
                submission.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
            }
            _ = try await mesh.result(of: job)
            try await eventually("the root came") { try receiver.spans().contains { $0.name == "job" } }
            let spans = try receiver.spans()
            #expect(Set(spans.map(\.trace)) == [TraceContext.text(of: TraceContext.trace(of: JobID(job)))])
            #expect(spans.filter { $0.name == "job" }.map(\.links) == [1])
        }
        try await receiver.close()
    }

    @Test("A receiver that refuses, redirects, or says too much loses its spans, which are counted, and no job fails")
    func refusing() async throws {
        let elsewhere = try await TraceReceiverStub.open(.taken)
        let answers: [TraceReceiverStub.Answer] = [
            .status(500), .bytes(1 << 20), .redirect(elsewhere.address + "/v1/traces"), .nonsense,
        ]
        for answer in answers {
            let receiver = try await TraceReceiverStub.open(answer)
            try await run(prices: [10], to: receiver.address) { mesh in
                let job = try await mesh.submit(try Assembler.command("nop"))
                #expect(try await mesh.result(of: job).ending == .succeeded)
                try await eventually("the lost spans are counted: \(answer)") {
                    try await count("trace_spans_dropped", mesh.originator) > 0
                }
                #expect(try await count("trace_exports_failed", mesh.originator) > 0)
                #expect(try await count("trace_spans_sent", mesh.originator) == 0)
            }
            try await receiver.close()
        }
        #expect(elsewhere.requests.isEmpty, "no redirect is followed")
        try await elsewhere.close()
    }

    @Test("A receiver that is away, or silent, is in the way of no job")
    func away() async throws {
        let gone = try await TraceReceiverStub.open(.taken)
        let silent = try await TraceReceiverStub.open(.silent)
        try await gone.close()
        for address in [gone.address, silent.address] {
            try await run(prices: [10], to: address) { mesh in
                let first = try await mesh.submit(try Assembler.command("nop"))
                #expect(try await mesh.result(of: first).ending == .succeeded)
                try await eventually("the receiver was asked") {
                    let failed = try await count("trace_exports_failed", mesh.originator)
                    return failed > 0 || !silent.requests.isEmpty
                }
                let second = try await mesh.submit(try Assembler.command("nop"))
                #expect(try await mesh.result(of: second).ending == .succeeded)
                #expect(try await count("trace_spans_sent", mesh.originator) == 0)
            }
        }
        #expect(try !silent.spans().isEmpty)
        try await silent.close()
    }

    @Test("A request waits answerMilliseconds for its answer, of answerBytesMax bytes at the most")
    func limits() async throws {
        let silent = try await TraceReceiverStub.open(.silent)
        var limits = TraceReceiver.Limits()
        limits.answerMilliseconds = 50
        let endpoint = try #require(TraceEndpoint(silent.address))
        #expect(
            await TraceReceiver(endpoint, limits: limits).post([1])
                == .unavailable("it gave no answer within 50 ms"))
        try await silent.close()
        let gone = await TraceReceiver(endpoint, limits: limits).post([1])
        #expect(gone == .unavailable("it cannot be reached (connection refused)"))
        for (count, outcome) in [
            (100, TraceQueue.Outcome.refused("its answer is none of OTLP in JSON")),
            (101, .refused("its answer has more than 100 bytes")),
        ] {
            let receiver = try await TraceReceiverStub.open(.bytes(count))
            limits.answerMilliseconds = 10_000
            limits.answerBytesMax = 100
            let place = try #require(TraceEndpoint(receiver.address))
            #expect(await TraceReceiver(place, limits: limits).post([1]) == outcome)
            try await receiver.close()
        }
    }
}
