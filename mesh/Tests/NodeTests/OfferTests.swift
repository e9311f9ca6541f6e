import JobMarket
import MeshTypes
import Multiformats
import NodeAPI
import NodeSetup
import P2PTesting
import SignedObjects
import Testing

@testable import NodeCore
@testable import PlanetaryMesh

/// What an originator is told of the executors around it before it submits a job.
@Suite("Offers", .serialized)
struct OfferTests {
    private func know(_ executors: Int, _ mesh: NodeMesh) async throws {
        try await eventually("the originator knows the executors") {
            await mesh.originator.core.capabilities.count == executors
        }
    }

    @Test("A job that is only described names who would run it, at what price, and what keeps the others")
    func described() async throws {
        func configure(index: Int, _ configuration: inout NodeConfiguration) {
            configuration.region = index == 0 ? "eu" : "us"
            if index == 2 { configuration.executor.fuelMax = 1_000 }
        }
        try await NodeMesh.run(prices: [30, 10, 5], configure: configure) { mesh in
            try await know(3, mesh)
            let known = try await mesh.originator.offers(for: nil)
            #expect(known.job == nil)
            #expect(known.offers.map(\.basePrice) == [5, 10, 30], "the cheapest first")
            #expect(known.offers.allSatisfy { $0.isAble && $0.priceMax == nil })

            let module = try await mesh.originator.add(try Assembler.command("nop"))
            var submission = JobSubmission(moduleCID: module.cid)
            submission.limits.maxFuel = 2_000_000
            let view = try await mesh.originator.offers(for: submission)
            #expect(view.offers.map(\.basePrice) == [10, 30, 5], "who cannot comes last")
            #expect(view.offers.map(\.isAble) == [true, true, false])
            #expect(view.offers.last?.obstacles == ["fuel 2,000,000 is above its limit of 1,000"])
            let offer = try #require(view.offers.first)
            #expect(offer.priceMax == offer.basePrice + 2 * offer.pricePerMillionFuel)
            #expect(view.job?.pastRuns == 0 && view.job?.usualFuel == nil)
            #expect(try await mesh.originator.jobs(limit: 10).isEmpty, "nothing was submitted")

            #expect(view.job?.checks == nil, "nothing is checked")
            submission.verification = "quorum:2/3"
            submission.budget = 1_000
            let checks = try #require(try await mesh.originator.offers(for: submission).job?.checks)
            #expect(checks.verification == "quorum:2/3" && checks.executorsMax == 3 && checks.agreeing == 2)
            #expect(checks.priceMax == 3_000 && checks.ownFuelMax == 2_000_000)
            submission.verification = "spot:10%"
            let spot = try #require(try await mesh.originator.offers(for: submission).job?.checks)
            #expect(spot.executorsMax == 1 && spot.agreeing == nil && spot.priceMax == 1_000)
            submission.verification = nil

            submission.policy.regions = ["eu"]
            submission.budget = 1
            let narrow = try await mesh.originator.offers(for: submission)
            #expect(narrow.offers.allSatisfy { !$0.isAble })
            #expect(
                narrow.offers.first { $0.basePrice == 30 }?.obstacles.first?.contains("above the budget of 1") == true)
        }
    }

    @Test("What runs of the same module used tells what the next one will cost")
    func pastRuns() async throws {
        try await NodeMesh.run(prices: [10]) { mesh in
            try await know(1, mesh)
            let bytes = try Assembler.command("nop")
            let job = try await mesh.submit(bytes)
            let result = try await mesh.result(of: job)
            #expect(result.ending == .succeeded)
            let module = try await mesh.originator.add(bytes)
            let view = try await mesh.originator.offers(for: JobSubmission(moduleCID: module.cid))
            #expect(view.job?.pastRuns == 1 && view.job?.usualFuel == result.fuel)
            let offer = try #require(view.offers.first)
            #expect(offer.usualPrice.map { $0 >= 10 && $0 < offer.priceMax ?? 0 } == true, "\(offer)")
            let store = mesh.originator.store
            let cid = try CID(parsing: module.cid)
            #expect(try await PastRuns(store: store).fuel(of: cid).count == 1)
            #expect(try await PastRuns(store: store, limits: .init(jobsMax: 0)).fuel(of: cid).isEmpty)
            let other = try await mesh.originator.add(try Assembler.command("nop nop"))
            #expect(try await mesh.originator.offers(for: JobSubmission(moduleCID: other.cid)).job?.pastRuns == 0)
        }
    }

    @Test("The whole policy of a submission stands in the manifest, and is what the job is run by")
    func wholePolicy() async throws {
        try await NodeMesh.run(prices: [30, 10]) { mesh in
            try await know(2, mesh)
            let cheap = mesh.nodes[1].identity.did.text
            let job = try await mesh.submit(try Assembler.command("nop")) { submission in
                submission.policy.deniedDIDs = [cheap]
                submission.policy.requiredFeatures = ["files-v1"]
                submission.policy.resources = [.init(name: "memory_mib", amount: 1)]
                submission.policy.deadline = NodeClock.wallClock.value + 3_600_000
                submission.policy.weights = .init(load: 3)
                submission.policy.maxAttempts = 2
                (submission.policy.publicBids, submission.policy.publicStatus) = (true, true)
            }
            let result = try await mesh.result(of: job)
            #expect(result.executorDID == mesh.nodes[0].identity.did.text)
            let words = try await mesh.originator.describe(job).request?.policy ?? []
            #expect(words.first { $0.name == "attempts at most" }?.text == "2")
            #expect(words.contains { $0.name == "weights" && $0.text.contains("load 3") })
            #expect(words.filter { $0.text == "public" }.map(\.name) == ["bids", "status"])
            #expect(words.first { $0.name == "features" }?.text == "files-v1", "what the node adds is not told")
            #expect(words.contains { $0.name == "at least of memory_mib" && $0.text == "1" })
            let twice = await #expect(throws: NodeServiceError.self) {
                _ = try await mesh.submit(try Assembler.command("nop")) { submission in
                    submission.policy.resources = [.init(name: "a", amount: 1), .init(name: "a", amount: 2)]
                }
            }
            #expect(twice?.message == "The resource a is asked for twice.")
        }
    }
}
