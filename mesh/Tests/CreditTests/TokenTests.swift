import Credit
import IPLD
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

/// Tokens by which others' jobs are paid: what a book takes of them, and what it counts.
@Suite("Tokens in a book")
struct TokenTests {
    private let guests = CreditWorld.guests

    @Test("A hold by a token takes from the giver's line; what is not paid comes back to the token")
    func spent() throws {
        var world = try CreditWorld()
        let token = try world.token(from: world.members[0], to: guests[0].did)
        let job = try world.job(1, of: guests[0], price: 600)
        let (event, hold) = try world.held(job, by: [token])
        let entry = try world.enter(event)
        #expect(world.again(event) == entry.number)
        let certificate = try #require(try world.core.certificate(of: entry))
        #expect(certificate.debtorDID == guests[0].did && certificate.holdCID == hold)
        func refusal(_ number: UInt64, _ price: UInt64) throws -> BookRefusal? {
            let job = try world.job(number, of: guests[0], price: price)
            return world.refusal(try world.held(job, by: [token]).event)
        }
        #expect(try refusal(2, 401) == .token(.spent(left: 400)))
        try world.enter(try job.settled(hold, try job.receipt(), pays: 100))
        #expect(world.balance(0) == -100 && world.balance(1) == 100)
        #expect(try refusal(3, 901) == .token(.spent(left: 900)))
        let rest = try world.job(4, of: guests[0], price: 900)
        let (last, second) = try world.held(rest, by: [token])
        try world.enter(last)
        #expect(try refusal(5, 1) == .token(.spent(left: 0)))
        try world.enter(try world.released(rest, second))
        #expect(try refusal(6, 901) == .token(.spent(left: 900)))
        let again = try IssuerBook(replaying: world.entries, origin: .arrived)
        #expect(again == world.book)
    }

    @Test("Siblings cannot spend more than the token above them")
    func siblings() throws {
        var world = try CreditWorld()
        let root = try world.token(from: world.members[0], to: guests[0].did, 100)
        let children = try (1...2).map { try world.token(from: guests[0], to: guests[$0].did, below: root, 80) }
        try world.enter(try world.held(try world.job(1, of: guests[1], price: 80), by: [root, children[0]]).event)
        let second = try world.job(2, of: guests[2], price: 21)
        #expect(world.refusal(try world.held(second, by: [root, children[1]]).event) == .token(.spent(left: 20)))
        // Nor does the holder of the upper one have what it gave away and was taken.
        let own = try world.job(3, of: guests[0], price: 21)
        #expect(world.refusal(try world.held(own, by: [root]).event) == .token(.spent(left: 20)))
        try world.enter(try world.held(try world.job(4, of: guests[2], price: 20), by: [root, children[1]]).event)
    }

    @Test("A chain that is none, or allows more than what is above, is refused")
    func chains() throws {
        var world = try CreditWorld()
        let (owner, start) = (world.members[0], CreditWorld.start)
        let executors = world.members.prefix(3).map(\.did)
        let root = try world.token(from: owner, to: guests[0].did) {
            $0.scope = TokenScope(
                executors: Array(executors), cooperatives: [world.issuer.did], jobs: [root(1)], regions: ["eu"],
                features: ["simd"], resources: ["gpu"])
        }
        func root(_ number: UInt64) -> CID { CID.hashing(Array("job \(number)".utf8), codec: .dagCBOR) }
        func fault(
            _ chain: [Token], by holder: Identity? = nil
        ) throws -> BookRefusal? {
            let job = try world.job(1, of: holder ?? guests[1])
            return world.refusal(try world.held(job, by: chain).event)
        }
        #expect(try fault([]) == .token(.length))
        let wider: [(String, (inout ScopedResourceToken) -> Void)] = [
            ("amount", { $0.amount = TokenAmount(1_001) }),
            ("unit", { $0.unit = CreditUnit(name: "EUR", decimals: 2) }),
            ("issuer_did", { $0.issuerDID = guests[7].did }),
            ("charter_cid", { $0.charterCID = root.bodyCID }),
            ("not_before", { $0.notBefore = UnixMilliseconds(start.value - 1) }),
            ("expires_at", { $0.expiresAt = $0.expiresAt.advanced(milliseconds: 1) }),
            ("executors", { $0.scope.executors = [guests[5].did] }), ("executors", { $0.scope.executors = nil }),
            ("cooperatives", { $0.scope.cooperatives = [guests[5].did] }),
            ("jobs", { $0.scope.jobs = [root.bodyCID] }), ("regions", { $0.scope.regions = ["eu", "us"] }),
            ("regions", { $0.scope.regions = nil }), ("features", { $0.scope.features = ["gpu"] }),
            ("features", { $0.scope.features = nil }), ("resources", { $0.scope.resources = ["gpu", "ssd"] }),
        ]
        for (field, change) in wider {
            let child = try world.token(from: guests[0], to: guests[1].did, below: root, with: change)
            #expect(try fault([root, child]) == .token(.wider(field: field)), "\(field)")
        }
        // Given by somebody who does not hold the one above, or below another one, or out of order.
        let stolen = try world.token(from: guests[3], to: guests[1].did, below: root)
        #expect(try fault([root, stolen]) == .token(.wider(field: "giver_did")))
        let child = try world.token(from: guests[0], to: guests[1].did, below: root)
        let other = try world.token(1, from: owner, to: guests[0].did)
        #expect(try fault([other, child]) == .token(.notBelow))
        #expect(try fault([child]) == .token(.notBelow))
        #expect(try fault([child, root]) == .token(.notBelow))
        // Back to who gave it.
        let back = try world.token(from: guests[1], to: owner.did, below: child)
        #expect(try fault([root, child, back], by: owner) == .token(.loop))
        let middle = try world.token(from: guests[1], to: guests[0].did, below: child)
        #expect(try fault([root, child, middle], by: guests[0]) == .token(.loop))
        // As long as may be, and longer.
        var chain = [try world.token(2, from: owner, to: guests[0].did)]
        for level in 0..<4 {
            if level < 3 {
                try world.enter(try world.held(try world.job(UInt64(10 + level), of: guests[level]), by: chain).event)
            }
            chain.append(try world.token(from: guests[level], to: guests[level + 1].did, below: chain[level]))
        }
        try world.enter(try world.held(try world.job(20, of: guests[3]), by: Array(chain.prefix(4))).event)
        #expect(try fault(chain, by: guests[4]) == .token(.length))
    }

    @Test("A token is no pay for another's order, another book, another time or without a line that gives")
    func orders() throws {
        var world = try CreditWorld()
        let owner = world.members[0]
        let token = try world.token(from: owner, to: guests[0].did)
        var number: UInt64 = 0
        func refusal(
            _ token: Token, of holder: Identity? = nil, to executor: Int = 1, arbiter: DID? = nil,
            _ change: (inout PaymentOrder) -> Void = { _ in }
        ) throws -> BookRefusal? {
            number += 1
            let job = try world.job(number, of: holder ?? guests[0], to: executor) {
                if let arbiter { $0.arbiterDID = arbiter }
            }
            return world.refusal(try world.held(job, by: [token], change).event)
        }
        // Whoever has its bytes does not have its holder's key.
        #expect(try refusal(token, of: guests[1]) == .token(.otherOrder))
        #expect(try refusal(token) { $0.tokenCID = $0.charterCID } == .token(.otherOrder))
        #expect(try refusal(token) { $0.tokenCID = nil } == .token(.otherOrder))
        #expect(
            try refusal(token) {
                $0.hold = nil
                $0.tokenCID = nil
            } == .token(.otherOrder))
        #expect(try refusal(token, to: 0) == .token(.otherOrder), "the giver is paid by its own line")
        #expect(try refusal(token, arbiter: owner.did) == .token(.otherOrder))
        for change: (inout ScopedResourceToken) -> Void in [
            { $0.issuerDID = guests[6].did }, { $0.charterCID = token.bodyCID },
        ] {
            #expect(try refusal(try world.token(from: owner, to: guests[0].did, with: change)) == .otherBook)
        }
        let money = try world.token(from: owner, to: guests[0].did) { $0.unit = CreditUnit(name: "EUR", decimals: 2) }
        #expect(try refusal(money) == .noLine)
        #expect(try refusal(try world.token(from: guests[2], to: guests[0].did)) == .noLine)
        let late = try world.token(from: owner, to: guests[0].did) {
            $0.notBefore = world.now.advanced(milliseconds: 1)
        }
        #expect(try refusal(late) == .token(.outOfTime))
        // An order without terms has no token, nor does one that comes without its chain.
        let transfer = try SignedObject.sign(
            PaymentOrder(
                issuerDID: world.book.issuer, charterCID: world.book.charterCID, debtorDID: guests[0].did,
                creditorDID: world.members[1].did, amount: TokenAmount(1), unit: CreditWorld.unit,
                tokenCID: token.bodyCID, nonce: [UInt8](repeating: 1, count: 16),
                validUntil: world.now.advanced(milliseconds: 1_000)), with: guests[0])
        let malformed = BookRefusal.malformed(.outOfBounds(field: "token_cid"))
        #expect(world.refusal(.transferred(order: transfer.bytes)) == malformed)
        let (event, _) = try world.held(try world.job(90, of: owner), by: [token])
        let bare = BookEvent.holdGranted(order: try #require(event.holdOrder))
        #expect(world.refusal(bare) == .notThisKind)
        try world.enter(try world.order(.freeze(line: LineID(owner.did, CreditWorld.unit), frozen: true)))
        #expect(try refusal(token) == .frozen)
        try world.enter(try world.order(.freeze(line: LineID(owner.did, CreditWorld.unit), frozen: false)))
        // The line itself may have less than the token.
        #expect(
            try refusal(try world.token(from: owner, to: guests[0].did, 20_000)) { $0.amount = TokenAmount(10_001) }
                == .insufficient(spendable: 10_000))
        world.now = token.body.expiresAt
        #expect(try world.enter(try world.held(try world.job(91, of: guests[0]), by: [token]).event).number > 0)
        world.now = token.body.expiresAt.advanced(milliseconds: 1)
        #expect(try refusal(token) == .token(.outOfTime))
    }

    @Test("A line of another issuer gives no tokens")
    func issuers() throws {
        var world = try CreditWorld()
        let other = CreditWorld.identity(60)
        try world.open(LineID(other.did, CreditWorld.unit), owed: 1_000, owing: 1_000, isIssuer: true)
        let token = try world.token(from: other, to: guests[0].did)
        #expect(world.refusal(try world.held(try world.job(1, of: guests[0]), by: [token]).event) == .notItsOwn)
        // Its members can be paid by one.
        let own = try world.token(from: world.members[0], to: guests[0].did) {
            $0.scope = TokenScope(cooperatives: [other.did])
        }
        let here = try world.job(2, of: guests[0])
        #expect(
            world.refusal(try world.held(here, by: [own]).event) == .token(.outOfScope(field: "cooperatives")))
        let there = try HeldJob(
            3, from: guests[0], to: CreditWorld.identity(61), arbiter: world.arbiter.did, price: 100, now: world.now)
        try world.enter(try world.held(there, by: [own]) { $0.creditorDID = other.did }.event)
    }

    @Test("Each list of a scope is held against the hold, or against the job's own manifest")
    func scopes() throws {
        var world = try CreditWorld()
        var number: UInt64 = 0
        func manifest(
            of holder: Identity? = nil, _ change: (inout MeshJobParams) -> Void = { _ in }
        ) throws -> SignedObject<JobManifest> {
            number += 1
            return try TokenJobs.manifest(of: holder ?? guests[0], number, change)
        }
        func refusal(
            _ scope: TokenScope, _ shown: SignedObject<JobManifest>? = nil, of job: SignedObject<JobManifest>? = nil
        ) throws -> BookRefusal? {
            let token = try world.token(UInt8(number), from: world.members[0], to: guests[0].did) { $0.scope = scope }
            var held = try world.job(100 + number, of: guests[0])
            number += 1
            if let job = job ?? shown { held.terms.jobID = JobID(job.cid) }
            let event = try world.held(held, by: [token], manifest: shown?.bytes).event
            if case .success = world.core.record(event, now: world.now) { return nil }
            return world.refusal(event)
        }
        let us = world.members[1].did
        #expect(try refusal(TokenScope(executors: [guests[1].did])) == .token(.outOfScope(field: "executors")))
        #expect(try refusal(TokenScope(executors: [us, guests[1].did])) == nil)
        #expect(try refusal(TokenScope(cooperatives: [world.issuer.did])) == nil)
        #expect(try refusal(TokenScope(jobs: [world.book.charterCID])) == .token(.outOfScope(field: "jobs")))
        // What the issuer cannot see without the manifest is refused without it, and what is not needed is not kept.
        for scope in [TokenScope(regions: ["eu"]), TokenScope(features: ["simd"]), TokenScope(resources: ["gpu"])] {
            #expect(try refusal(scope) == .token(.manifest))
            #expect(try refusal(scope, try manifest(), of: try manifest()) == .token(.manifest), "another job's")
            #expect(try refusal(scope, try manifest(of: guests[1])) == .token(.manifest), "another's job")
        }
        #expect(try refusal(TokenScope(), try manifest()) == .token(.manifest))
        func policy(_ change: (inout ExecutionPolicy) -> Void) throws -> SignedObject<JobManifest> {
            try manifest { params in
                var policy = ExecutionPolicy()
                change(&policy)
                params.executionPolicy = policy
            }
        }
        let regions = TokenScope(regions: ["de", "fr"])
        #expect(try refusal(regions, try manifest()) == .token(.outOfScope(field: "regions")))
        #expect(
            try refusal(regions, try policy { $0.regionFilter = ["fr", "us"] }) == .token(.outOfScope(field: "regions"))
        )
        #expect(try refusal(regions, try policy { $0.regionFilter = ["fr"] }) == nil)
        let features = TokenScope(features: ["gpu", "simd"])
        #expect(
            try refusal(features, try policy { $0.requiredFeatures = ["gpu"] })
                == .token(.outOfScope(field: "features")))
        #expect(try refusal(features, try policy { $0.requiredFeatures = ["simd", "x", "gpu"] }) == nil)
        let resources = TokenScope(resources: ["cpu_millicores"])
        #expect(
            try refusal(resources, try manifest { $0.resourcesRequired = ["gpu": 1] })
                == .token(.outOfScope(field: "resources")))
        #expect(try refusal(resources, try manifest { $0.resourcesRequired = ["cpu_millicores": 1] }) == nil)
        #expect(try refusal(resources, try manifest()) == nil, "a job that asks for nothing")
    }

    @Test("The bounds of a token and of its scope")
    func bounds() throws {
        let world = try CreditWorld()
        let dids = (100...116).map { CreditWorld.identity($0).did }
        let cases: [(String, (inout ScopedResourceToken) -> Void)] = [
            ("giver_did", { $0.issuerDID = $0.giverDID }), ("holder_did", { $0.issuerDID = $0.holderDID }),
            ("amount", { $0.amount = .zero }), ("amount", { $0.amount = TokenAmount((1 << 53) + 1) }),
            ("unit", { $0.unit = CreditUnit(name: "", decimals: 0) }), ("nonce", { $0.nonce = [1] }),
            ("expires_at", { $0.expiresAt = $0.notBefore }),
            (
                "expires_at",
                {
                    $0.expiresAt = $0.notBefore.advanced(
                        milliseconds: ScopedResourceToken.Limits.lifeMilliseconds + 1)
                }
            ),
            ("executors", { $0.scope.executors = [] }), ("executors", { $0.scope.executors = dids.sorted() }),
            ("executors", { $0.scope.executors = [dids[0], dids[0]] }), ("jobs", { $0.scope.jobs = [] }),
            ("cooperatives", { $0.scope.cooperatives = [] }), ("regions", { $0.scope.regions = [""] }),
            ("features", { $0.scope.features = ["b", "a"] }),
            ("resources", { $0.scope.resources = [String(repeating: "a", count: 257)] }),
        ]
        for (field, change) in cases {
            let token = try world.token(from: world.members[0], to: guests[0].did, with: change)
            #expect(throws: CreditObjectError.outOfBounds(field: field), "\(field)") {
                try SignedObject<ScopedResourceToken>(reading: token.bytes)
            }
        }
        let most = try world.token(from: world.members[0], to: guests[0].did) {
            $0.scope.executors = Array(dids.prefix(16)).sorted()
            $0.expiresAt = $0.notBefore.advanced(milliseconds: ScopedResourceToken.Limits.lifeMilliseconds)
        }
        #expect(try SignedObject<ScopedResourceToken>(reading: most.bytes) == most)
    }
}

/// Manifests of jobs that are paid by tokens.
enum TokenJobs {
    static func manifest(
        of holder: Identity, _ number: UInt64, _ change: (inout MeshJobParams) -> Void
    ) throws -> SignedObject<JobManifest> {
        var params = MeshJobParams(wasmCID: CID.hashing(Array("module".utf8), codec: .raw))
        change(&params)
        return try SignedObject.sign(
            JobManifest(
                params: params, originatorDID: holder.did, originatorPeerID: holder.peerID, originatorAddresses: [],
                nonce: [UInt8](repeating: UInt8(number), count: 16), submittedAt: CreditWorld.start,
                biddingDeadline: CreditWorld.start, expiresAt: CreditWorld.start), with: holder)
    }
}
