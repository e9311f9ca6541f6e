import ArgumentParser
import Foundation
import IPLD
import MeshHTTP
import Multiformats
import NodeAPI
import Receipts
import Workflows

extension Receipt {
    /// `mesh receipt export`.
    struct Export: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write receipts and all the evidence behind them into one file.",
            discussion: """
                The file is a CAR (version 1): the receipt, its manifest, bid and assignment, the receipt before it, \
                the settlement if it is known, and the CIDs of the outputs; of a workflow its plan, and all of that \
                of each job. Anybody checks it with mesh receipt \
                verify --offline FILE, without a node. What could not be had is left out; the exit code is then 247.
                """)

        @OptionGroup var global: GlobalOptions

        @Option(name: .shortAndLong, help: "Where to write it; - means standard output.", completion: .file())
        var output: String

        @Flag(help: "Also put the bytes of the outputs into the file.")
        var withOutputs = false

        @Argument(help: ArgumentHelp(ReceiptReference.help, valueName: "receipt"), completion: .file())
        var receipts: [String]

        func validate() throws {
            guard !global.json || output != LocalFile.stream else {
                throw ValidationError("--json and an --output to - cannot share standard output.")
            }
        }

        func perform(_ console: Console) async throws -> ExitCode {
            try OutputPaths.check([output])
            let named = try await ReceiptReferences(node: global.node, isOffline: false).resolve(receipts)
            let file = try await gather(named.map(\.cid))
            let bytes = file.encoded
            // Whoever reads it makes the same checks.
            let archive = ReceiptArchive(file)
            let reports = file.roots.map { ReceiptReport(verified: WorkflowArchive.verify($0, in: archive)) }
            try LocalFile.write(bytes, to: output)
            let exported = ExportedReceipts(
                file: output, receipts: file.roots.map(\.text), blocks: file.blocks.count, bytes: bytes.count,
                withOutputs: withOutputs, isValid: reports.allSatisfy(\.isValid))
            if global.json {
                try console.json(exported)
            } else {
                console.note(Self.text(exported))
                for report in reports where !report.isValid {
                    console.note(Terminal.safe("mesh: \(Self.fault(report))"))
                }
            }
            return ExitCode(Answers<ReceiptReport>.worst(reports.map(Receipt.status)).rawValue)
        }

        /// One file of what the node exports of each.
        private func gather(_ receipts: [CID]) async throws -> CAR {
            let limits = CAR.Limits.ofWorkflows
            var blocks: [CAR.Block] = []
            var seen: Set<CID> = []
            var bytes = 0
            for receipt in receipts {
                let part: CAR
                do {
                    let bytes = try await global.node.exportReceipt(receipt, withOutputs: withOutputs)
                    part = try CAR(decoding: bytes, limits: limits)
                } catch let error as CARError {
                    throw NodeServiceError(.protocolMismatch, "The node's answer is not a file of receipts: \(error).")
                }
                for block in part.blocks where seen.insert(block.cid).inserted {
                    blocks.append(block)
                    bytes += block.bytes.count + 64
                }
                guard blocks.count <= limits.blocksMax, bytes <= limits.bytesMax else {
                    throw NodeServiceError(
                        .tooLarge, "One file can hold \(limits.blocksMax) blocks and \(limits.bytesMax) bytes.",
                        hint: "Export fewer receipts at once, or leave --with-outputs away.")
                }
            }
            return CAR(roots: receipts, blocks: blocks)
        }

        /// "r.car: 1 receipt, 5 blocks, 4.21 KiB; ...".
        static func text(_ exported: ExportedReceipts) -> String {
            let receipts = exported.receipts.count == 1 ? "1 receipt" : "\(exported.receipts.count) receipts"
            let blocks = Readable.count(UInt64(clamping: exported.blocks))
            let name = Terminal.safe(exported.file == LocalFile.stream ? "standard output" : exported.file)
            return "\(name): \(receipts) with \(blocks) blocks, \(Readable.bytes(UInt64(clamping: exported.bytes))). "
                + "Check it anywhere with mesh receipt verify --offline."
        }

        private static func fault(_ report: ReceiptReport) -> String {
            let faults = report.lines.filter { $0.verdict == .failed } + report.lines.filter { $0.verdict == .skipped }
            let first = faults.first.map { "\($0.name): \($0.detail)" } ?? "not every check was made"
            return "\(report.receiptCID) will not verify from the file: \(first)."
        }
    }
}

/// A file of receipts that was written, as JSON.
struct ExportedReceipts: Encodable {
    let file: String
    let receipts: [String]
    let blocks: Int
    let bytes: Int
    let withOutputs: Bool
    /// Whether every receipt verifies from the file alone.
    let isValid: Bool

    private enum CodingKeys: String, CodingKey {
        case file, receipts, blocks, bytes
        case withOutputs = "with_outputs"
        case isValid = "valid"
    }
}
