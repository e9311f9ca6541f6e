import IPLD
import MeshTypes
import Multiformats
import Receipts
import SignedObjects

/// One run of the verifier: collects what the checks find.
struct WorkflowExamination {
    let block: (CID) -> WorkflowVerifier.Block
    let job: (CID) -> WorkflowVerifier.Finding
    private var failed: [WorkflowCheckName: String] = [:]
    private var unknown: [WorkflowCheckName: String] = [:]
    private var passed: [WorkflowCheckName: String] = [:]
    private var missedBlocks: [CID] = []
    private var missedReceipts: [CID] = []
    private var seen: Set<CID> = []
    private var receipts: [CID] = []
    private var ends: [SignedObject<WorkflowReceipt>] = []
    /// What was looked at before: what stands there often is looked at once.
    private var findings: [CID: WorkflowVerifier.Finding] = [:]
    private var pages: [CID: ItemPage] = [:]
    /// Which item each job and each receipt served.
    private var served: [CID: String] = [:]
    /// What came of each work: two receipts of one must not differ.
    private var results: [CID: ComparedResult] = [:]

    init(block: @escaping (CID) -> WorkflowVerifier.Block, job: @escaping (CID) -> WorkflowVerifier.Finding) {
        self.block = block
        self.job = job
    }

    func result(of receipt: CID) -> WorkflowVerifier.Result {
        let lines = WorkflowCheckName.allCases.map { name in
            let (result, detail): (VerificationReport.Result, String) =
                if let detail = failed[name] {
                    (.failed, detail)
                } else if let detail = unknown[name] {
                    (.notCheckable, detail)
                } else if let detail = passed[name] {
                    (.passed, detail)
                } else {
                    (.notCheckable, "a check before it failed, or a block is missing")
                }
            return VerificationReport.Line(
                code: name.rawValue, title: name.title, result: result, detail: PlainText.sanitized(detail))
        }
        return WorkflowVerifier.Result(
            report: VerificationReport(receiptCID: receipt, lines: lines), blocks: missedBlocks,
            receipts: missedReceipts, jobs: receipts, ends: ends)
    }

    mutating func examine(_ cid: CID, twins: [CID: [CID]]) {
        guard let bytes = bytes(of: cid, .block) else { return }
        passed[.block] = "\(GroupedNumber.of(UInt64(bytes.count))) bytes hash to \(cid)"
        let signed: SignedObject<WorkflowReceipt>
        do {
            signed = try SignedObject(verifying: bytes)
        } catch {
            return fail(.signature, "not a valid \(WorkflowReceipt.typeName): \(error)")
        }
        if let fault = signed.body.formFault() { return fail(.signature, fault) }
        passed[.signature] = "signed by \(signed.did)"
        followEnds(from: signed, twins)
        let manifest = manifest(of: signed.body)
        guard let records = records(of: signed.body), findReceipts(signed.body, records) else { return }
        if let manifest { replay(signed.body, manifest, records) }
        refuteReceipts()
    }

    /// Follows the receipt to those of the ends before: an invented one would make room for a second receipt of an end.
    private mutating func followEnds(from last: SignedObject<WorkflowReceipt>, _ twins: [CID: [CID]]) {
        let most = WorkflowReceipt.Limits().previousMax
        var end = last
        while true {
            if let twin = (twins[end.cid] ?? []).first(where: { $0 != end.cid }) {
                let what = end.cid == last.cid ? "the same end" : "an end before, that of \(end.cid)"
                return fail(.onlyOne, "the originator signed \(twin) for \(what), too")
            }
            guard let previous = end.body.previousReceiptCID else { return pass(.onlyOne, "no other is known") }
            guard ends.count < most else { return miss(.onlyOne, "it has more than \(most) ends before it") }
            guard let bytes = bytes(of: previous, .onlyOne) else { return }
            guard let before = WorkflowReceipt.receipt(of: bytes) else {
                return fail(.onlyOne, "\(previous), named as the receipt before, is no receipt of a workflow")
            }
            guard before.body.workflowCID == last.body.workflowCID, before.did == last.did else {
                return fail(.onlyOne, "\(previous), named as the receipt before, is of another workflow")
            }
            guard before.body.endedAt < end.body.endedAt else {
                return fail(.onlyOne, "\(previous), named as the receipt before, has no earlier end")
            }
            ends.append(before)
            end = before
        }
    }

    // MARK: Evidence

    /// Whether a check failed.
    var isRefuted: Bool { !failed.isEmpty }

    mutating func fail(_ check: WorkflowCheckName, _ detail: String) {
        if failed[check] == nil { failed[check] = detail }
    }

    mutating func miss(_ check: WorkflowCheckName, _ detail: String) {
        if unknown[check] == nil { unknown[check] = detail }
    }

    mutating func pass(_ check: WorkflowCheckName, _ detail: String) { passed[check] = detail }

    /// The bytes of a block; if they are not at hand, that is said of a check.
    mutating func bytes(of cid: CID, _ check: WorkflowCheckName) -> [UInt8]? {
        switch block(cid) {
        case .bytes(let bytes):
            if cid.matches(bytes) { return bytes }
            fail(check, "the block does not hash to \(cid)")
        case .gone: miss(check, "the block \(cid) is missing")
        case .unknown:
            miss(check, "the block \(cid) was not fetched")
            if seen.insert(cid).inserted { missedBlocks.append(cid) }
        }
        return nil
    }

    /// The entries of a folder; `nil` if it is not at hand, or no folder, which is said of the check of folders.
    mutating func entries(of folder: CID, _ what: String) -> [ChildOutput]? {
        var limits = UnixFSLimits()
        limits.entriesMax = min(limits.entriesMax, WorkflowLimits().itemsMax + 1)
        var reader = UnixFSDirectoryReader(root: folder, limits: limits)
        do {
            while let next = reader.next {
                guard let bytes = bytes(of: next, .folders) else {
                    // The rest of a folder of many blocks is asked for at once.
                    for cid in reader.needed { _ = self.bytes(of: cid, .folders) }
                    return nil
                }
                try reader.received(bytes)
            }
        } catch {
            fail(.folders, "\(what) is no folder that can be read: \(error)")
            return nil
        }
        var entries: [ChildOutput] = []
        for entry in reader.entries {
            guard let name = String(validating: entry.name, as: UTF8.self) else {
                fail(.folders, "\(what) has a name that is no text in UTF-8")
                return nil
            }
            entries.append(ChildOutput(name: name, cid: entry.cid, isFolder: entry.cid.codec == .dagPB))
        }
        return entries
    }

    private mutating func manifest(of receipt: WorkflowReceipt) -> WorkflowManifest? {
        guard let bytes = bytes(of: receipt.workflowCID, .plan) else { return nil }
        let signed: SignedObject<WorkflowManifest>
        do {
            signed = try SignedObject(verifying: bytes)
        } catch {
            fail(.plan, "not a valid \(WorkflowManifest.typeName): \(error)")
            return nil
        }
        guard signed.did == receipt.originatorDID else {
            fail(.plan, "signed by \(signed.did) instead of \(receipt.originatorDID)")
            return nil
        }
        let rules = DefinitionRules()
        let definition = signed.body.definition
        if let fault = rules.fault(in: definition) ?? rules.unresolved(in: definition) {
            fail(.plan, "the plan is not well formed: \(fault.path): \(fault.message)")
            return nil
        }
        pass(.plan, "stages: \(definition.stages.count)")
        return signed.body
    }

    /// The records of all items by their stages; `nil` if a block of them is missing or wrong.
    private mutating func records(of receipt: WorkflowReceipt) -> [String: [ItemRecord]]? {
        var records: [String: [ItemRecord]] = [:]
        var isWhole = true
        for stage in receipt.stages {
            var items: [ItemRecord] = []
            for page in stage.pages {
                if let list = pages[page] {
                    items += list.items
                    continue
                }
                guard let bytes = bytes(of: page, .items) else {
                    isWhole = false
                    continue
                }
                guard let list = ItemPage(bytes, of: page) else {
                    fail(.items, "\(page) is no list of items")
                    return nil
                }
                pages[page] = list
                items += list.items
            }
            if isWhole, items.count != Int(clamping: stage.items) {
                fail(.items, "\(stage.id) has \(items.count) records, and is to have \(stage.items)")
                return nil
            }
            guard records.updateValue(items, forKey: stage.id) == nil else {
                fail(.items, "the stage \(stage.id) stands there twice")
                return nil
            }
        }
        return isWhole ? records : nil
    }

    /// Asks for the receipts of all jobs at once; `false` if there are more than a workflow has jobs.
    private mutating func findReceipts(_ receipt: WorkflowReceipt, _ records: [String: [ItemRecord]]) -> Bool {
        let most = WorkflowLimits().jobsMax
        var named: Set<CID> = []
        for cid in receipt.stages.flatMap({ (records[$0.id] ?? []).compactMap(\.receiptCID) })
        where named.insert(cid).inserted {
            guard receipts.count < most else {
                fail(.items, "its items name more receipts than a workflow may have jobs, \(most)")
                return false
            }
            receipts.append(cid)
        }
        for cid in receipts {
            if case .unknown = finding(cid), seen.insert(cid).inserted { missedReceipts.append(cid) }
        }
        return true
    }

    /// What is known of a job, looked at once.
    private mutating func finding(_ receipt: CID) -> WorkflowVerifier.Finding {
        if let known = findings[receipt] { return known }
        let found = job(receipt)
        findings[receipt] = found
        return found
    }

    /// A receipt that does not hold refutes the whole, whether the plan comes to it or not.
    private mutating func refuteReceipts() {
        for cid in receipts {
            switch finding(cid) {
            case .wrong(let reason): fail(.receipts, "the receipt \(cid) is none: \(reason)")
            case .found(let job):
                if let line = job.report.failures.first {
                    fail(.receipts, "the receipt \(cid): \(line.title): \(line.detail)")
                }
            case .gone, .unknown: break
            }
        }
    }

    // MARK: Items

    /// What the record of an item proves: the end of its job as its plan is told it; `nil` if it proves nothing.
    ///
    /// - Parameter plan: a plan in which the item is the next to have its job.
    mutating func end(
        of record: ItemRecord, _ key: ChildKey, _ plan: WorkflowPlan, _ originator: DID
    ) -> ChildEnd? {
        let place = plan.definition(of: key.stage)?.forEach == nil ? key.stage : "\(key.stage), \(record.name)"
        guard let receipt = record.receiptCID, let jobCID = record.jobCID else {
            guard record.end == .failed else {
                fail(.ends, "\(place) is said to be done, and has no receipt")
                return nil
            }
            miss(.words, "\(place) failed by the originator's word: \(record.reason ?? "no reason is given")")
            return ChildEnd(.failed(reason: record.reason ?? "", ofMesh: false), jobID: record.jobCID)
        }
        // What served again may serve many.
        for cid in Set([receipt, jobCID]) where record.servedBy == nil {
            if let other = served.updateValue(place, forKey: cid) {
                fail(.once, "\(cid) serves \(other) and \(place)")
                return nil
            }
        }
        switch finding(receipt) {
        case .unknown:
            miss(.receipts, "the receipt of \(place), \(receipt), was not fetched")
            return nil
        case .wrong(let reason):
            fail(.receipts, "the receipt of \(place), \(receipt), is none: \(reason)")
            return nil
        case .gone(let reason):
            miss(.receipts, "the receipt of \(place), \(receipt), cannot be checked: \(reason)")
            return nil
        case .found(let job): return end(of: record, job, jobCID, key, plan, originator, place)
        }
    }

    private mutating func end(
        of record: ItemRecord, _ job: WorkflowVerifier.Job, _ jobCID: CID, _ key: ChildKey, _ plan: WorkflowPlan,
        _ originator: DID, _ place: String
    ) -> ChildEnd? {
        if let line = job.report.failures.first {
            fail(.receipts, "\(place): \(line.title): \(line.detail)")
            return nil
        }
        if !job.report.isVerified {
            let line = job.report.lines.first { $0.isNeeded && $0.result == .notCheckable }
            miss(.receipts, "\(place): \(line.map { "\($0.title): \($0.detail)" } ?? "not every check was made")")
        }
        guard job.receipt.jobID.cid == jobCID else {
            fail(.jobs, "the receipt of \(place) is of another job than the one that it is to have run")
            return nil
        }
        guard job.receipt.originatorDID == originator else {
            fail(.jobs, "the job of \(place) is of another originator, \(job.receipt.originatorDID)")
            return nil
        }
        guard let planned = plan.params(of: key) else { return nil }
        let isRepeated = plan.memo(of: key.stage) != .off
        if let executor = record.servedBy {
            let isWanted = isRepeated && record.end == .done
            let reason =
                executor == job.receipt.executorDID
                ? PlannedJob(planned).reasonNotServed(by: job.manifest, executor: executor)
                : "is of another executor than \(executor)"
            if let reason = isWanted ? reason : "is to serve again, and the plan wants none that does so" {
                fail(.jobs, "the receipt of \(place) \(reason)")
                return nil
            }
        } else if let what = PlannedJob(planned).difference(from: job.manifest.params) {
            fail(.jobs, "\(place) has another \(what) in its manifest than in the plan")
            return nil
        } else if isRepeated, !job.manifest.isRepeatable {
            fail(.jobs, "the job of \(place) has a seed and a clock of its own, and its result is to serve again")
            return nil
        }
        if let work = job.manifest.executionCID {
            let result = ComparedResult(job.receipt)
            guard results.updateValue(result, forKey: work) ?? result == result else {
                fail(.receipts, "the receipt of \(place) says something else than another one of the same work")
                return nil
            }
        }
        return outcome(of: record, job.receipt, key, plan, place)
    }

    private mutating func outcome(
        of record: ItemRecord, _ receipt: ExecutionReceipt, _ key: ChildKey, _ plan: WorkflowPlan, _ place: String
    ) -> ChildEnd? {
        let accepted = plan.definition(of: key.stage)?.accept ?? []
        var end = ChildEnd(
            .failed(reason: "\(receipt.outcome)", ofMesh: false), jobID: record.jobCID, receiptCID: record.receiptCID)
        end.outputs = receipt.namedOutputs.map {
            ChildOutput(name: $0.name, cid: $0.cid, isFolder: $0.cid.codec == .dagPB)
        }
        if case .exited(let code) = receipt.outcome { end.outcome = .exited(code: Int64(code)) }
        let isGood = if case .exited(let code) = receipt.outcome { accepted.contains(Int64(code)) } else { false }
        switch record.end {
        case .done where !isGood:
            fail(.ends, "\(place) is said to be done, and its receipt says: \(receipt.outcome)")
            return nil
        case .failed where isGood:
            miss(.words, "\(place) failed by the originator's word, although its receipt says: \(receipt.outcome)")
            end.outcome = .failed(reason: record.reason ?? "", ofMesh: false)
        case .done, .failed, .notRun: break
        }
        return end
    }
}
