import MeshTypes
import Multiformats
import Receipts
import SignedObjects
import Testing

@Suite struct ReplayAndRecordTests {
    private static func run(_ receipt: ExecutionReceipt) -> ReplayedRun {
        ReplayedRun(
            outcome: receipt.outcome, outputs: receipt.outputs, stdoutCID: receipt.stdoutCID,
            stderrCID: receipt.stderrCID, logCID: receipt.logCID, fuel: receipt.resourceUsage.fuel,
            engine: receipt.engine)
    }

    private static func compare(
        receipt changeReceipt: (inout ExecutionReceipt) -> Void = { _ in }, _ change: (inout ReplayedRun) -> Void
    ) throws -> VerificationReport {
        var chain = try ReceiptChain()
        let cid = try chain.sign(ReceiptChain.Changes())
        var receipt = chain.receipt
        changeReceipt(&receipt)
        var run = run(receipt)
        change(&run)
        return ReplayComparison.compare(
            receipt, receiptCID: cid, of: chain.manifest, under: chain.assignment.terms, with: run)
    }

    @Test func theSameRun() throws {
        let report = try Self.compare { _ in }
        #expect(report.isVerified)
        #expect(report.lines.map(\.code) == ReplayComparison.Check.allCases.map { "replay_\($0.rawValue)" })
    }

    @Test func eachDifference() throws {
        let other = CID.hashing([3], codec: .raw)
        #expect(try Self.compare { $0.outcome = .exited(code: 1) }.codes(.failed) == ["replay_outcome"])
        #expect(try Self.compare { $0.outcome = .limitExceeded(.fuel) }.codes(.failed) == ["replay_outcome"])
        #expect(try Self.compare { $0.outputs["result"] = other }.codes(.failed) == ["replay_outputs"])
        #expect(try Self.compare { $0.outputs["more"] = other }.codes(.failed) == ["replay_outputs"])
        #expect(try Self.compare { $0.outputs = [:] }.codes(.failed) == ["replay_outputs"])
        #expect(try Self.compare { $0.stdoutCID = nil }.codes(.failed) == ["replay_stdout"])
        #expect(try Self.compare { $0.stderrCID = other }.codes(.failed) == ["replay_stderr"])
        #expect(try Self.compare { $0.logCID = other }.codes(.failed) == ["replay_log"])
        #expect(try Self.compare { $0.fuel += 1 }.codes(.failed) == ["replay_fuel"])
    }

    @Test func anotherEngineMayCountFuelDifferently() throws {
        let report = try Self.compare {
            $0.engine.version = "2"
            $0.fuel += 1
        }
        #expect(report.failures.isEmpty)
        #expect(report.codes(.notCheckable) == ["replay_engine", "replay_fuel"])
        let same = try Self.compare { $0.engine.configurationDigest = "def" }
        #expect(same.codes(.notCheckable) == ["replay_engine"])
    }

    @Test func anEngineOfAnEarlierReleaseIsHeldToTheUnit() throws {
        func like(_ change: (inout ReplayedRun) -> Void = { _ in }) throws -> VerificationReport {
            try Self.compare { run in
                run.likeEngines = [run.engine]
                run.engine.configurationDigest = "def"
                change(&run)
            }
        }
        #expect(try like().isVerified)
        #expect(try like { $0.fuel += 1 }.codes(.failed) == ["replay_fuel"])
        #expect(try like { $0.outputs = [:] }.codes(.failed) == ["replay_outputs"])
        #expect(try like { $0.outcome = .exited(code: 1) }.codes(.failed) == ["replay_outcome"])
    }

    @Test func aModuleThatAnotherReleaseRefusedIsNotCompared() throws {
        let refused = { (receipt: inout ExecutionReceipt) in
            receipt.outcome = .moduleRefused(reason: "exceptions")
        }
        let report = try Self.compare(receipt: refused) { run in
            run.likeEngines = [run.engine]
            run.engine.configurationDigest = "def"
            run.outcome = .exited(code: 0)
        }
        #expect(report.failures.isEmpty && report.result == .notCheckable)
        // The same engine must refuse it again.
        let same = try Self.compare(receipt: refused) { $0.outcome = .exited(code: 0) }
        #expect(same.codes(.failed).contains("replay_outcome"))
    }

    @Test func theSameEngineForAnotherProcessorIsHeldToTheUnit() throws {
        func like(_ change: (inout ReplayedRun) -> Void = { _ in }) throws -> VerificationReport {
            try Self.compare { run in
                run.engine.instructionSet = "aarch64"
                run.engine.processorBaseline = "armv8-a"
                change(&run)
            }
        }
        #expect(try like().isVerified)
        #expect(try like { $0.fuel += 1 }.codes(.failed) == ["replay_fuel"])
        #expect(try like { $0.outputs = [:] }.codes(.failed) == ["replay_outputs"])
        #expect(try like { $0.outcome = .exited(code: 1) }.codes(.failed) == ["replay_outcome"])
    }

    @Test func whereTheStackEndsIsNotComparedWithAnotherEngine() throws {
        let deep = { (receipt: inout ExecutionReceipt) in receipt.outcome = .limitExceeded(.stack) }
        for isLike in [false, true] {
            let report = try Self.compare(receipt: deep) { run in
                if isLike {
                    run.engine.processorBaseline = "armv8-a"
                } else {
                    run.engine.configurationDigest = "def"
                }
                run.outcome = .exited(code: 0)
                run.fuel += 1
                run.stdoutCID = nil
            }
            #expect(report.failures.isEmpty && report.result == .notCheckable)
            #expect(report.codes(.passed).contains("replay_engine") == isLike)
        }
        let shallow = try Self.compare {
            $0.engine.configurationDigest = "def"
            $0.outcome = .limitExceeded(.stack)
        }
        #expect(shallow.failures.isEmpty && shallow.result == .notCheckable)
        // On the same engine it is compared as ever.
        #expect(try Self.compare(receipt: deep) { $0.outcome = .exited(code: 0) }.codes(.failed) == ["replay_outcome"])
        #expect(try Self.compare(receipt: deep) { $0.fuel += 1 }.codes(.failed) == ["replay_fuel"])
    }

    @Test func messagesOfTrapsAreNotCompared() throws {
        let trapped = { (receipt: inout ExecutionReceipt) in
            receipt.outcome = .trapped(kind: .unreachable, message: "there")
        }
        #expect(
            try Self.compare(receipt: trapped) { $0.outcome = .trapped(kind: .unreachable, message: "here") }.isVerified
        )
        #expect(
            try Self.compare(receipt: trapped) { $0.outcome = .trapped(kind: .arithmetic, message: "there") }.codes(
                .failed)
                == ["replay_outcome"])
    }

    @Test func runsThatNobodyCanReproduce() throws {
        for outcome: ExecutionOutcome in [.nodeFailed(reason: ""), .fetchFailed(reason: "")] {
            let unlike = { (receipt: inout ExecutionReceipt) in receipt.outcome = outcome }
            let report = try Self.compare(receipt: unlike) { $0.outcome = .exited(code: 0) }
            #expect(report.failures.isEmpty && report.result == .notCheckable)
        }
        let word = { (receipt: inout ExecutionReceipt) in receipt.determinism = .attested }
        let attested = try Self.compare(receipt: word) { $0.fuel = 0 }
        #expect(attested.codes(.passed) == ["replay_engine"])
    }

    @Test func recordsOfTheDHT() throws {
        var chain = try ReceiptChain()
        let cid = try chain.sign()
        let block = try #require(chain.blocks[cid])
        let key = ReceiptRecord.key(of: cid)
        #expect(key == Array("/icn/receipt/".utf8) + cid.bytes)
        #expect(ReceiptRecord.cid(ofKey: key) == cid)
        func refusal(_ key: [UInt8], _ value: [UInt8]) -> ReceiptRecordRefusal? {
            if case .failure(let refusal) = ReceiptRecord.validate(key: key, value: value) { return refusal }
            return nil
        }
        #expect(try ReceiptRecord.validate(key: key, value: block).get().body == chain.receipt)
        #expect(refusal(key, block + [0]) == .wrongHash)
        #expect(refusal(key, [UInt8](repeating: 0, count: (64 << 10) + 1)) == .tooLarge(bytesMax: 64 << 10))
        for other in [
            [], Array("/icn/receipt/".utf8), Array("/ipns/".utf8) + cid.bytes, key + [0], Array(key.dropLast()),
        ] {
            #expect(refusal(other, block) == .notAReceiptKey)
        }
        #expect(refusal(ReceiptRecord.key(of: CID.hashing(block, codec: .raw)), block) == .notAReceiptKey)
        for (count, isRefused) in [(128, false), (129, true)] {
            var calls = try ReceiptChain()
            var changes = ReceiptChain.Changes()
            changes.receipt = { receipt in
                receipt.resourceUsage.hostCalls = CanonicalMap((0..<count).map { ("f\($0)", 1) })
            }
            let cid = try calls.sign(changes)
            let fault = ReceiptFault.tooMany(.hostCalls, count: 129, max: 128)
            #expect(
                refusal(ReceiptRecord.key(of: cid), try #require(calls.blocks[cid]))
                    == (isRefused ? .formNotAccepted(fault) : nil))
        }
        let bid = chain.assignment.bidCID
        #expect(
            refusal(ReceiptRecord.key(of: bid), try #require(chain.blocks[bid])) == .invalidReceipt(.badSignature))
        for index in stride(from: 0, to: block.count, by: 7) {
            var changed = block
            changed[index] ^= 0x10
            #expect(refusal(key, changed) == .wrongHash)
            let own = ReceiptRecord.key(of: CID.hashing(changed, codec: .dagCBOR))
            guard case .invalidReceipt? = refusal(own, changed) else {
                Issue.record("byte \(index) was accepted")
                continue
            }
        }
    }
}
