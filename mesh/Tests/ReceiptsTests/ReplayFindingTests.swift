import MeshTypes
import Multiformats
import Testing

@testable import Receipts

@Suite("What a replay shows")
struct ReplayFindingTests {
    private let own = EngineDescription(name: "wasmtime", version: "1", configurationDigest: "aa")
    private let other = EngineDescription(name: "wasmtime", version: "2", configurationDigest: "bb")

    private func receipt(
        _ chain: ReceiptChain, _ outcome: ExecutionOutcome, fuel: UInt64, _ engine: EngineDescription
    ) -> ExecutionReceipt {
        var receipt = chain.receipt
        receipt.outcome = outcome
        receipt.resourceUsage.fuel = fuel
        receipt.engine = engine
        return receipt
    }

    private func replay(
        of receipt: ExecutionReceipt, _ change: (inout ReplayedRun) -> Void = { _ in }
    ) -> ReplayedRun {
        var run = ReplayedRun(
            outcome: receipt.outcome, outputs: receipt.outputs, stdoutCID: receipt.stdoutCID,
            stderrCID: receipt.stderrCID, logCID: receipt.logCID, fuel: receipt.resourceUsage.fuel, engine: own)
        run.readCID = receipt.readCID
        run.anchoredCIDs = receipt.anchoredCIDs
        change(&run)
        return run
    }

    private func finding(
        _ chain: ReceiptChain, _ receipt: ExecutionReceipt, _ run: ReplayedRun, milliseconds: UInt64 = 10_000,
        isClockEarly: Bool = false
    ) -> ReplayFinding {
        let judgement = ReplayJudgement(receipt, of: chain.manifest, under: chain.assignment.terms)
        return judgement.finding(
            of: run, receiptCID: CID.hashing([7], codec: .dagCBOR),
            fuelMax: judgement.fuelMax(isAlike: run.isLike(receipt.engine)), milliseconds: milliseconds,
            isClockEarly: isClockEarly)
    }

    private func name(_ finding: ReplayFinding) -> String {
        switch finding {
        case .confirmed: "confirmed"
        case .fuelUnknown: "fuelUnknown"
        case .refuted: "refuted"
        case .claimRefuted: "claimRefuted"
        case .doubtful: "doubtful"
        case .notMade: "notMade"
        }
    }

    @Test("A difference between equal engines proves fraud, one between others nothing")
    func differences() throws {
        let chain = try ReceiptChain()
        let cid = CID.hashing([9], codec: .raw)
        let changes: [(String, (inout ReplayedRun) -> Void)] = [
            ("outcome", { $0.outcome = .exited(code: 3) }), ("fuel", { $0.fuel += 1 }),
            ("stdout", { $0.stdoutCID = cid }), ("stderr", { $0.stderrCID = cid }), ("log", { $0.logCID = cid }),
            ("outputs", { $0.outputs = CanonicalMap([("x", cid)]) }), ("anchors", { $0.anchoredCIDs = [cid] }),
        ]
        let same = receipt(chain, .exited(code: 0), fuel: 1_000, own)
        #expect(finding(chain, same, replay(of: same)) == .confirmed)
        let foreign = receipt(chain, .exited(code: 0), fuel: 1_000, other)
        #expect(finding(chain, foreign, replay(of: foreign) { $0.fuel = 700 }) == .fuelUnknown(fuel: 700))
        for (what, change) in changes {
            let found = finding(chain, same, replay(of: same, change))
            guard case .refuted(let result, let fuelMax, _) = found else {
                Issue.record("\(what): \(found)")
                continue
            }
            #expect(result == replay(of: same, change).result)
            #expect(fuelMax == min(chain.manifest.params.maxFuel, 101_000))
            guard what != "fuel", what != "anchors" else { continue }
            #expect(name(finding(chain, foreign, replay(of: foreign, change))) == "doubtful", "\(what)")
        }
    }

    @Test("What this node could not do says nothing about the executor")
    func ownFaults() throws {
        let chain = try ReceiptChain()
        let honest = receipt(chain, .exited(code: 0), fuel: 1_000, own)
        // The clock of a slow machine, too: while files are collected it ends the run itself.
        let outcomes: [ExecutionOutcome] = [
            .nodeFailed(reason: "full"), .fetchFailed(reason: "gone"), .cancelled, .limitExceeded(.wallClock),
        ]
        for outcome in outcomes {
            #expect(name(finding(chain, honest, replay(of: honest) { $0.outcome = outcome })) == "notMade")
        }
    }

    @Test("A replay costs no more than is claimed, where fuel can be compared")
    func cost() throws {
        let chain = try ReceiptChain()
        let most = chain.manifest.params.maxFuel
        func fuelMax(_ outcome: ExecutionOutcome, _ fuel: UInt64, isAlike: Bool) -> UInt64 {
            ReplayJudgement(
                receipt(chain, outcome, fuel: fuel, own), of: chain.manifest, under: chain.assignment.terms
            ).fuelMax(isAlike: isAlike)
        }
        #expect(fuelMax(.exited(code: 0), 5, isAlike: true) == min(most, 100_005))
        #expect(fuelMax(.exited(code: 0), 5, isAlike: false) == most)
        #expect(fuelMax(.exited(code: 0), .max, isAlike: true) == most)
        #expect(fuelMax(.limitExceeded(.wallClock), 5, isAlike: true) == 5)
    }

    @Test("A clock that stopped a run early is not believed where this node was far faster")
    func pace() throws {
        let chain = try ReceiptChain()
        let stopped = receipt(chain, .limitExceeded(.wallClock), fuel: 1_000, own)
        let run = replay(of: stopped) { $0.outcome = .limitExceeded(.fuel) }
        let timeout = chain.manifest.params.timeoutSeconds * 1_000
        let limits = ReplayJudgement.Limits()
        #expect(name(finding(chain, stopped, run, milliseconds: timeout / limits.slownessMax - 1)) == "doubtful")
        #expect(name(finding(chain, stopped, run, milliseconds: timeout / limits.slownessMax)) == "confirmed")
        // A guest that slept too long comes to the same end anywhere.
        let slept = replay(of: stopped)
        #expect(name(finding(chain, stopped, slept, milliseconds: 1)) == "confirmed")
        // One that ended before it used what is claimed never got there.
        let ended = replay(of: stopped) { ($0.outcome, $0.fuel) = (.exited(code: 0), 900) }
        #expect(name(finding(chain, stopped, ended)) == "refuted")
    }

    @Test("A clock that cannot have stopped the run is refuted by one that goes on there, and by no other")
    func earlyClock() throws {
        let chain = try ReceiptChain()
        let stopped = receipt(chain, .limitExceeded(.wallClock), fuel: 1_000, own)
        func shown(by run: ReplayedRun, _ receipt: ExecutionReceipt) -> String {
            name(finding(chain, receipt, run, milliseconds: 1_000_000, isClockEarly: true))
        }
        #expect(shown(by: replay(of: stopped) { $0.outcome = .limitExceeded(.fuel) }, stopped) == "claimRefuted")
        // A guest that slept past its time, and one whose files were long in being collected.
        #expect(shown(by: replay(of: stopped), stopped) == "confirmed")
        #expect(shown(by: replay(of: stopped) { $0.outcome = .exited(code: 0) }, stopped) == "confirmed")
        // A claim that was cut down to its time does not say where the run was stopped.
        let most = chain.assignment.terms.claimMax(milliseconds: 10)
        let cut = receipt(chain, .limitExceeded(.wallClock), fuel: most, own)
        #expect(shown(by: replay(of: cut) { $0.outcome = .limitExceeded(.fuel) }, cut) == "doubtful")
    }

    @Test("A refused module is refuted by an engine that runs it, if it is the same")
    func refusals() throws {
        let chain = try ReceiptChain()
        for (engine, expected) in [(own, "refuted"), (other, "doubtful")] {
            let refused = receipt(chain, .moduleRefused(reason: "no"), fuel: 0, engine)
            let run = replay(of: refused) { $0.outcome = .exited(code: 0) }
            #expect(name(finding(chain, refused, run)) == expected)
        }
    }
}
