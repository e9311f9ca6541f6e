import Foundation
import IPLD
import MeshHTTP
import Multiformats
import NodeAPI
import NodeAPITesting
import P2PTesting
import Testing

@testable import MeshCLI

/// Naming receipts, and what is printed about them, with a node whose answers the test chooses.
@Suite struct CLIReceiptTests {
    private func resolve(
        _ arguments: [String], offline: Bool = false, input: [UInt8] = [], _ node: ScriptedNode = ScriptedNode()
    ) async throws -> [NamedReceipt] {
        try await ReceiptReferences(node: node, isOffline: offline, standardInput: { input }).resolve(arguments)
    }

    private func failure(_ arguments: [String], offline: Bool = false, input: [UInt8] = []) async -> NodeServiceError? {
        do {
            _ = try await resolve(arguments, offline: offline, input: input)
            return nil
        } catch {
            return error as? NodeServiceError
        }
    }

    @Test func receiptsAreNamedByTheirJobsTheirCIDsAndTheirEnds() async throws {
        let (job, receipt) = (Samples.jobID.text, Samples.receiptCID.text)
        let parts = [
            String(job.suffix(12)), String(receipt.suffix(6)), "…\(receipt.suffix(8))", "\(receipt.prefix(9))…",
        ]
        for name in ["last", job, receipt] + parts {
            let named = try await resolve([name])
            #expect(named.map(\.cid) == [Samples.receiptCID], "\(name)")
        }
        let foreign = CID.hashing([7], codec: .dagCBOR)
        let both = try await resolve(["last", foreign.text, job])
        #expect(both.map(\.cid) == [Samples.receiptCID, foreign], "each once, in their order")
        #expect(await failure(["zzzzzz"])?.code == .receiptNotFound)
        #expect(await failure(["abc"])?.message.hasPrefix("\"abc\" is too short for a name: a part of an ID") == true)
        #expect(await failure(["abcd"])?.message == "No job, receipt or file is called \"abcd\".")
        #expect(await failure(["./zzzzzz"]) == nil, "a file that is not there is no failure of the node")
    }

    /// `last` is one job, however it is asked about.
    @Test func theLastReceiptIsThatOfTheLastJob() async throws {
        var newest = Samples.job
        (newest.result, newest.receiptCID, newest.outcome) = (nil, nil, .noBids)
        var script = ScriptedNode.Script()
        (script.jobs, script.job) = ([newest], newest)
        let node = ScriptedNode(script: script)
        #expect(try await JobReference.resolve("last", on: node).text == newest.jobID)
        let refusal = NodeServiceError(
            .receiptNotFound, "The last job, \(newest.jobID), has ended without a receipt.",
            hint: "mesh explain \(newest.jobID) says why.")
        await #expect(throws: refusal) { _ = try await resolve(["last"], node) }
    }

    @Test func aJobWithoutReceiptSaysWhy() throws {
        var job = Samples.job
        job.result = nil
        job.receiptCID = nil
        job.isTerminal = false
        #expect(throws: NodeServiceError.self) { try ReceiptReference.only(of: job) }
        job.isTerminal = true
        do {
            _ = try ReceiptReference.only(of: job)
        } catch {
            #expect(error.message == "The job \(job.jobID) has ended without a receipt.")
            #expect(error.hint == "mesh explain \(job.jobID) says why.")
        }
    }

    @Test func standardInputIsAListOrAFile() async throws {
        let list = "last\n\n  \(CID.hashing([7], codec: .dagCBOR))\r\nlast\n"
        #expect(try await resolve(["-"], input: Array(list.utf8)).count == 2)
        let root = CAR.Block(cid: Samples.receiptCID, bytes: Array("receipt".utf8))
        let file = CAR(roots: [root.cid], blocks: [root])
        let named = try await resolve(["-"], offline: true, input: file.encoded)
        guard case .filed(Samples.receiptCID, _, "standard input")? = named.first else {
            Issue.record("\(named)")
            return
        }
        #expect(await failure(["-"], input: [])?.message == "Standard input names no receipt.")
        #expect(await failure(["-", "-"])?.message == "Standard input can be read only once.")
        #expect(await failure(["-"], input: [0xFF, 0xFE])?.code == .invalidRequest)
        let cut = Array(file.encoded.dropLast())
        #expect(await failure(["-"], input: cut)?.message.contains("it breaks off inside the piece at byte") == true)
        let none = CAR(roots: [], blocks: [root]).encoded
        #expect(await failure(["-"], input: none)?.message.contains("it is about no receipt") == true)
        let many = Array(String(repeating: "last ", count: ReceiptReference.receiptsMax + 5).utf8)
        #expect(await failure(["-"], input: many)?.code == .tooLarge)
    }

    @Test func offlineReadsOnlyFiles() async throws {
        for name in ["last", Samples.receiptCID.text, "abcdef"] {
            #expect(await failure([name], offline: true)?.message.contains("--offline reads only files") == true)
        }
        let folder = try TestFolder()
        let path = folder.path + "/r.car"
        try Data("no receipt".utf8).write(to: URL(filePath: path))
        let told = await failure([path], offline: true)
        #expect(told?.message == "\(path) cannot be read as receipts: it is neither a CAR file nor a signed receipt.")
    }

    @Test func aReportEndsWithItsVerdictAndWhatItDoesNotShow() {
        var report = Samples.report
        report.doesNotShow = "It does not show that the result is right."
        let holds = Receipt.text(report)
        #expect(holds.hasPrefix("receipt \(Samples.receiptCID)\n"))
        #expect(holds.hasSuffix("\nThe receipt holds.\nIt does not show that the result is right.\n"))
        let narrow = Receipt.text(report, width: 20)
        #expect(narrow.hasSuffix("\nThe receipt holds.\nIt does not show\nthat the result is\nright.\n"), "\(narrow)")
        #expect(Receipt.text(Samples.receipt, width: 60).split(separator: "\n").allSatisfy { $0.count <= 60 })
        report.lines.append(.init(name: "outputs present", verdict: .skipped, detail: "left out"))
        #expect(Receipt.text(report).contains("The receipt holds; 1 check was skipped, on which it does not depend.\n"))
        #expect(Receipt.status(report) == .success)
        report.isValid = false
        report.doesNotShow = nil
        #expect(Receipt.text(report).hasSuffix("but 1 of its checks could not be made.\n"))
        #expect(Receipt.status(report) == .verificationIncomplete)
        report.lines[0].verdict = .failed
        #expect(Receipt.status(report) == .verificationFailed)
    }

    @Test func aReplaySaysWhatWasTheSameAndWhatDiffered() {
        func line(_ name: String, _ verdict: ReceiptReport.Line.Verdict) -> ReceiptReport.Line {
            .init(name: name, verdict: verdict, detail: "")
        }
        func told(_ lines: [ReceiptReport.Line]) -> String? {
            let report = ReceiptReport(receiptCID: "r", isValid: true, lines: lines)
            return Receipt.text(report, isReplay: true).split(separator: "\n").last.map(String.init)
        }
        let ways = [line("run is reproducible", .passed), line("same engine", .passed)]
        #expect(
            told(ways + [line("same outcome", .passed), line("same outputs", .passed), line("same fuel", .passed)])
                == "The run was repeated here, with the same outcome, outputs and fuel as the receipt says.")
        #expect(
            told(ways + [line("same outputs", .passed), line("same fuel", .failed)])
                == "The run was repeated here, and it differed: not the same fuel. The same: outputs.")
        #expect(
            told([line("same engine", .skipped), line("same outputs", .passed), line("same fuel", .skipped)])
                == "The run was repeated here, with the same outputs as the receipt says. There was no comparing of "
                + "the fuel; the lines above say why.")
        #expect(
            told([line("same fuel", .skipped)])?.hasPrefix("The run was repeated here, but there is nothing") == true)
    }

    @Test func aReplayOfARunCutShortSaysWhetherTheClaimIsTooHigh() {
        func told(_ verdict: ReceiptReport.Line.Verdict) -> [String] {
            let lines: [ReceiptReport.Line] = [
                .init(name: "same outputs", verdict: verdict == .skipped ? .skipped : .passed, detail: ""),
                .init(name: "no earlier end", verdict: verdict, detail: ""),
            ]
            let report = ReceiptReport(receiptCID: "r", isValid: verdict == .passed, lines: lines)
            let words = Receipt.text(report, isReplay: true).split(separator: "\n").last.map(String.init)
            return [words ?? "", "\(Receipt.status(report))"]
        }
        let rest = " The run was repeated here, with the same outputs as the receipt says."
        let passed = "The module had not ended here either before it used the fuel that the receipt claims."
        let failed =
            "The claim is too high: repeated here, the module ended by itself before it used the fuel that its "
            + "executor claims for a run cut short."
        #expect(told(.passed) == [passed + rest, "success"])
        #expect(told(.failed) == [failed + rest, "verificationFailed"])
        let unknown = "Whether the claim is too high is not known; the lines above say why."
        #expect(told(.skipped) == [unknown, "verificationIncomplete"])
    }

    @Test func theStatusOfAReceiptIsAWord() {
        let text = Receipt.text(Samples.receipt)
        #expect(text.contains("status       succeeded\n") && !text.contains("CompletedSuccessfully"), "\(text)")
    }

    /// A receipt is shown before it is checked; its names may be as long as a receipt.
    @Test func anEndlessNameWidensNoOtherLine() {
        var receipt = Samples.receipt
        let long = NamedCID(name: String(repeating: "n", count: 10_000), cid: "end")
        (receipt.inputs, receipt.outputs) = ([long], [long])
        let lines = Receipt.text(receipt).split(separator: "\n")
        #expect(lines.count { $0.contains("nn… ") && $0.hasSuffix(" end") } == 2)
        #expect(lines.allSatisfy { $0.count < 600 })
    }

    @Test func theWorstOfSeveralDecides() {
        typealias Reports = Answers<ReceiptReport>
        #expect(Reports.worst([]) == .success)
        #expect(Reports.worst([.success, .verificationIncomplete]) == .verificationIncomplete)
        #expect(Reports.worst([.verificationIncomplete, .notFound, .success]) == .notFound)
        #expect(Reports.worst([.notFound, .verificationFailed]) == .verificationFailed)
    }

    @Test func objectsComeOutAsDAGJSONAndFilesAsTheyAre() async throws {
        let object = IPLDValue.map(["did": .string("x"), "sig": .bytes([1, 2]), "to": .link(Samples.jobID)])
        let block = try DAGCBOR.encode(object)
        let cid = CID.hashing(block, codec: .dagCBOR)
        let broken = CID.hashing([0xFF], codec: .dagCBOR)
        let raw = CID.hashing(block, codec: .raw)
        let node = ScriptedNode(script: .init(files: [cid: block, raw: block, broken: [0xFF]]))
        let text = String(decoding: try await Get.object(cid, on: node), as: UTF8.self)
        #expect(text == #"{"did":"x","sig":{"/":{"bytes":"AQI"}},"to":{"/":"\#(Samples.jobID)"}}"# + "\n")
        var bytes: [UInt8] = []
        try await TreeReader(raw, on: node).read(raw, bytes: UInt64(block.count)) { bytes += $0 }
        #expect(bytes == block)
        await #expect(throws: NodeServiceError.self) { try await Get.object(broken, on: node) }
    }
}
