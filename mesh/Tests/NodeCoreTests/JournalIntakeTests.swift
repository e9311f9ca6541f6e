import Determinism
import Economics
import JobMarket
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@testable import NodeCore

/// What a start takes up of journals, and what becomes of jobs whose journals do not read.
@Suite("Journals at a start")
struct JournalIntakeTests {
    private let identity = Identity.generate()
    private let at = UnixMilliseconds(1_700_000_000_000)

    private func core(_ entries: [LedgerEntry] = []) throws -> NodeCore {
        let ledger = try Ledger(entries: [.grant(TokenAmount(1_000), reference: "genesis", at: at)] + entries)
        return NodeCore(
            identity: identity,
            market: JobMarket(identity: identity, configuration: MarketConfiguration(), ledger: ledger))
    }

    /// A job that was submitted, and its journal.
    private func submitted() throws -> (side: JournalIntake.Side, journal: [[UInt8]]) {
        var core = try core()
        var params = MeshJobParams(wasmCID: CID.hashing([1], codec: .raw), limits: .standard)
        params.maxAcceptableBidTokens = TokenAmount(100)
        let request = JobRequest(
            requesterDID: identity.did, submittedAt: at, params: params, idempotencyKey: "once")
        let (result, effects) = core.submit(
            request, nonce: [UInt8](repeating: 1, count: 16), at: NodeMoment(now: .zero, wallClock: at))
        var journal: [[UInt8]] = []
        for case .write(let write) in effects { journal += try write.events.map { try $0.encoded() } }
        return (JournalIntake.Side(job: try result.get().id, role: .originator), journal)
    }

    @Test("A journal that reads is folded in")
    func reads() throws {
        let (side, journal) = try submitted()
        #expect(!journal.isEmpty)
        var core = try core()
        var intake = JournalIntake(at: at)
        #expect(intake.take(journal, damagedRow: nil, of: side, updatedAt: at, into: &core) == nil)
        #expect(core.market.originatedJob(side.job) != nil)
        #expect(intake.leftOut.isEmpty)
        #expect(intake.warning == nil)
    }

    @Test("A job is left out for a reason, and is over where nothing can take it up any more")
    func leftOut() throws {
        let (side, journal) = try submitted()
        let rules = JobRules()
        let life = rules.lifetimeMillisecondsMax + rules.clockSkewMilliseconds
        let cases: [(rows: [[UInt8]], damaged: Int64?, at: UnixMilliseconds, reason: String, isOver: Bool)] = [
            (journal, 7, at, "row 7 of its journal is damaged", true),
            ([], nil, at, "its journal is gone", true),
            (journal + [[0xFF]], nil, at.advanced(milliseconds: life), "its journal does not read: ", false),
            (journal + [[0xFF]], nil, at.advanced(milliseconds: life + 1), "its journal does not read: ", true),
        ]
        for each in cases {
            var core = try core()
            var intake = JournalIntake(at: each.at)
            let reason = intake.take(each.rows, damagedRow: each.damaged, of: side, updatedAt: at, into: &core)
            #expect(reason?.hasPrefix(each.reason) == true, "\(String(describing: reason))")
            #expect(intake.leftOut.map(\.side) == [side])
            #expect(intake.leftOut.first?.isOver == each.isOver)
            #expect(core.market.originatedJob(side.job) == nil, "what was folded in before stays out too")
        }
    }

    @Test("What is held for nobody comes back; what may be held for a job of a later version stays")
    func refunds() throws {
        let (side, journal) = try submitted()
        let hold = LedgerEntry.hold(
            TokenAmount(100), job: side.job, assignment: CID.hashing([2], codec: .dagCBOR), at: at)
        for (damagedRow, units) in [(Int64(1), UInt64(1_000)), (nil, 900)] {
            var core = try core([hold])
            var intake = JournalIntake(at: at)
            let rows = damagedRow == nil ? journal + [[0xFF]] : journal
            _ = intake.take(rows, damagedRow: damagedRow, of: side, updatedAt: at, into: &core)
            let refunds = try intake.refunds(from: &core)
            #expect(refunds.map(\.job) == (damagedRow == nil ? [] : [side.job]))
            #expect(core.market.ledger.wallet.units == units)
        }
    }

    @Test("A ledger is begun once")
    func grant() throws {
        var core = NodeCore(
            identity: identity, market: JobMarket(identity: identity, configuration: MarketConfiguration()))
        let intake = JournalIntake(at: at)
        #expect(try intake.grant(TokenAmount(5), to: &core)?.amount == TokenAmount(5))
        #expect(try intake.grant(TokenAmount(5), to: &core) == nil)
        #expect(core.market.ledger.wallet.units == 5)
    }

    @Test("The first start of a restored home ends what has no end, and gives back what was held for it")
    func restored() throws {
        let (side, journal) = try submitted()
        let held = LedgerEntry.hold(
            TokenAmount(100), job: side.job, assignment: CID.hashing([2], codec: .dagCBOR), at: at)
        var core = try core([held])
        var intake = JournalIntake(at: at, isRestored: true)
        let reason = intake.take(journal, damagedRow: nil, of: side, updatedAt: at, into: &core)
        #expect(reason == "the home was restored from a backup, and what came of the job since is not known")
        #expect(core.market.originatedJob(side.job) == nil)
        #expect(intake.leftOut.map(\.isOver) == [true])
        let refunds = try intake.refunds(from: &core)
        #expect(refunds.map(\.job) == [side.job] && refunds.map(\.refund.amount) == [TokenAmount(100)])
        #expect(core.market.ledger.wallet.units == 1_000)
    }

    @Test("The owner is told of the first job that was left out, and how many others were")
    func warning() throws {
        var core = try core()
        var intake = JournalIntake(at: at)
        for number in 0..<3 {
            let side = JournalIntake.Side(
                job: JobID(CID.hashing([UInt8(number)], codec: .dagCBOR)), role: .executor)
            _ = intake.take([], damagedRow: nil, of: side, updatedAt: at, into: &core)
        }
        let first = JobID(CID.hashing([0], codec: .dagCBOR))
        #expect(
            intake.warning == "A job was left out of the start, and what was held for it came back unless a later "
                + "version may take it up: \(first), its journal is gone, and 2 more that the log names.")
    }
}
