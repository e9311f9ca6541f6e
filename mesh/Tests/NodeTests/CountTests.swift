import NodeAPI
import P2PTesting
import Testing

@testable import PlanetaryMesh

/// What a real node counts of its jobs, which its metrics are made of.
@Suite("What a node counts", .serialized)
struct CountTests {
    @Test("Both sides of a job are counted by its phase and its events, and no counter goes back")
    func counts() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            let (executor, originator) = (mesh.nodes[0], mesh.originator)
            let looping = try await mesh.submit(try Assembler.command("(loop (br 0))")) { submission in
                submission.limits.maxFuel = 900_000_000_000
                submission.limits.timeoutSeconds = 300
            }
            try await eventually("both sides tell of the run") {
                let told = try await (executor.status().jobs, originator.status().jobs)
                return told.0 == [.init(side: "executor", outcome: .running, count: 1)]
                    && told.1?.map(\.side) == ["originator"]
            }
            var before = [try await executor.status(), try await originator.status()]
            _ = try await originator.cancel(looping)
            _ = try await mesh.result(of: looping)
            let job = try await mesh.submit(try Assembler.command("nop"))
            #expect(try await mesh.result(of: job).ending == .succeeded)
            for (index, node) in [executor, originator].enumerated() {
                let after = try await node.status()
                // Their ends become labels.
                for name in after.counters.map(\.name) + (after.events ?? []).map(\.event) {
                    #expect(name.wholeMatch(of: /[a-z0-9_]+/) != nil, "\(name)")
                }
                let gauges = ["store_blocks", "store_block_bytes", "jobs_originated_open", "jobs_executed_open"]
                for counter in before[index].counters where !gauges.contains(counter.name) {
                    let now = after.counters.first { $0.name == counter.name }?.value ?? 0
                    #expect(now >= counter.value, "\(counter.name)")
                }
                for event in before[index].events ?? [] {
                    let now = after.events?.first { $0.side == event.side && $0.event == event.event }
                    #expect(now?.count ?? 0 >= event.count, "\(event)")
                }
                before[index] = after
            }
            #expect(Self.count("executor", "execution_started", before[0]) == 2)
            #expect(Self.count("originator", "submitted", before[1]) == 2)
            #expect(Self.count("originator", "result_reached", before[1]) >= 1)
        }
    }

    private static func count(_ side: String, _ event: String, _ status: NodeStatus) -> UInt64 {
        status.events?.first { $0.side == side && $0.event == event }?.count ?? 0
    }
}
