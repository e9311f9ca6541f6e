import JobMarket
import NodeAPI
import NodeSetup
import P2PTesting
import SignedObjects
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// How long an originator waits for bids when nobody told it how long.
@Suite("Adaptive bid windows", .serialized)
struct EarlyCloseTests {
    /// Runs a job without a word about its window, and says why its bidding closed.
    private func closing(_ mesh: NodeMesh, _ change: (inout JobSubmission) -> Void = { _ in }) async throws -> String {
        let job = try await mesh.submit(try Assembler.command("nop")) { submission in
            submission.policy.sufficientBids = nil
            change(&submission)
        }
        #expect(try await mesh.result(of: job).ending == .succeeded)
        let story = try await mesh.originator.explain(job).lines.map(\.text)
        return try #require(story.first { $0.contains("Bidding closed") })
    }

    private func run(
        _ prices: [UInt64], window: UInt64, deadline: UInt64 = 30_000, _ body: (NodeMesh) async throws -> Void
    ) async throws {
        func configure(_: Int, _ configuration: inout NodeConfiguration) {
            configuration.originator.bidWindowMilliseconds = window
            configuration.originator.biddingDeadlineMilliseconds = deadline
        }
        try await NodeMesh.run(prices: prices, configure: configure, body)
    }

    private static let notWorth = "those who have not answered are not worth waiting for"
    private static let everybody = "everybody who is known and able has answered"

    private func know(_ executors: Int, _ mesh: NodeMesh) async throws {
        try await eventually("the originator knows who is around it") {
            let core = await mesh.originator.core
            return core.capabilities.count == executors && core.solitude.knowsItsExecutors
        }
    }

    @Test("The window closes once every executor that is known and able has bid, and the cheapest gets the job")
    func everybodyBid() async throws {
        try await run([30, 10, 20], window: 20_000) { mesh in
            try await know(3, mesh)
            let text = try await closing(mesh)
            #expect(text.contains(Self.everybody), "\(text)")
            #expect(text.contains("3. "), "it waited for all three: \(text)")
            // Who could not run a job is not waited for.
            let few = try await closing(mesh) { submission in
                submission.policy.deniedDIDs = [mesh.nodes[1].identity.did.text]
            }
            #expect(few.contains(Self.everybody) || few.contains(Self.notWorth), "\(few)")
            #expect(!few.contains("3. "), "\(few)")
        }
    }

    @Test("An executor that has no place says so, and is not waited for; if all are full, the owner is told")
    func full() async throws {
        try await run([10, 20], window: 20_000) { mesh in
            try await know(2, mesh)
            await mesh.nodes[0].fill()
            let text = try await closing(mesh)
            #expect(text.contains(Self.everybody) && text.contains("1. ") && !text.contains("2. "), "\(text)")
            await mesh.nodes[1].fill()
            let job = try await mesh.submit(try Assembler.command("nop"))
            try await eventually("the reason is told") {
                try await mesh.originator.explain(job).lines.contains { $0.text.contains("full") }
            }
            _ = try await mesh.originator.cancel(job)
        }
    }

    @Test("A job without a bid is announced again where an executor said that it would bid, and goes to it then")
    func fullAtFirst() async throws {
        try await run([10], window: 300, deadline: 1_500) { mesh in
            try await know(1, mesh)
            await mesh.nodes[0].fill()
            let job = try await mesh.submit(try Assembler.command("nop"))
            try await eventually("it is announced again") {
                try await mesh.originator.explain(job).lines.contains { $0.text.contains("Announced again") }
            }
            let told = try await mesh.originator.explain(job).lines.map(\.text)
            #expect(told.contains { $0.contains("full") }, "\(told)")
            await mesh.nodes[0].empty()
            #expect(try await mesh.result(of: job).ending == .succeeded)
        }
    }

    @Test("An executor that offers and stays silent is waited for, as long as the window lasts")
    func silence() async throws {
        try await run([10, 20], window: 300) { mesh in
            try await know(2, mesh)
            try await mesh.withBystander {
                try await know(3, mesh)
                let text = try await closing(mesh)
                #expect(!text.contains(Self.everybody), "\(text)")
            }
        }
    }

    @Test("An executor that offers and stays silent is not waited for where it could not do better")
    func nothingToGain() async throws {
        try await run([10, 20], window: 300) { mesh in
            try await know(2, mesh)
            let denied = [mesh.nodes[1].identity.did.text]
            _ = try await closing(mesh) { $0.policy.deniedDIDs = denied }
            // The window would last, and the silent one has no reputation.
            await mesh.originator.waits(milliseconds: 20_000)
            try await mesh.withBystander {
                try await know(3, mesh)
                let text = try await closing(mesh) {
                    $0.policy.weights = .init(price: 0, reputation: 100, region: 0, latency: 0, load: 0)
                    $0.policy.deniedDIDs = denied
                }
                #expect(text.contains(Self.notWorth), "\(text)")
            }
        }
    }

    @Test("Bids that come before it is known who else would bid close the window once it is known")
    func knownLater() async throws {
        try await run([10, 20], window: 20_000) { mesh in
            try await know(2, mesh)
            await mesh.originator.forgetsWhoIsAround()
            let text = try await closing(mesh)
            #expect(text.contains(Self.everybody) && text.contains("2. "), "\(text)")
        }
    }

    @Test("A node that knows more than countedOffersMax offers lets the window run its course")
    func manyOffers() async throws {
        try await run([10, 20], window: 300) { mesh in
            await mesh.originator.countOffers(atMost: 1)
            try await know(2, mesh)
            let text = try await closing(mesh)
            #expect(!text.contains(Self.everybody), "\(text)")
        }
    }

    @Test("A window that the user names runs its course")
    func named() async throws {
        try await run([10, 20], window: 1_000) { mesh in
            try await know(2, mesh)
            let text = try await closing(mesh) { $0.policy.bidWindowMilliseconds = 300 }
            #expect(!text.contains(Self.everybody), "\(text)")
        }
    }
}

extension MeshNode {
    /// Leaves no place for a job.
    func fill() {
        core.market.configuration.executor?.concurrentRunsMax = 0
        core.market.configuration.executor?.queuedRunsMax = 0
    }

    /// Has a place for a job again.
    fileprivate func empty() { core.market.configuration.executor?.concurrentRunsMax = 1 }

    fileprivate func waits(milliseconds: UInt64) {
        core.market.configuration.originator.bidWindowMilliseconds = milliseconds
    }

    /// As after a start: the next look tells who is there.
    fileprivate func forgetsWhoIsAround() { core.solitude = Solitude() }

    fileprivate func countOffers(atMost offersMax: Int) {
        var limits = JobOutlooks.Limits()
        limits.countedOffersMax = offersMax
        core.outlooks = JobOutlooks(limits: limits)
    }
}
