import Foundation
import IPLD
import Multiformats
import NodeAPI
import Receipts
import SignedObjects
import Workflows

/// A receipt that a user named, and where it is to be read.
enum NamedReceipt {
    /// The node has it, or gets it from the mesh.
    case asked(CID)
    /// In a file: with what is in it, under the file's name.
    case filed(CID, ReceiptArchive, file: String)

    /// The receipt.
    var cid: CID {
        switch self {
        case .asked(let cid), .filed(let cid, _, _): cid
        }
    }
}

/// How a user names receipts: `last`, a job or a receipt by its CID or a part of it, a file, or `-` for a list or a
/// file on standard input.
struct ReceiptReferences<Node: NodeService> {
    let node: Node
    /// Whether only files may be read, so that no node is asked.
    let isOffline: Bool
    /// Everything on standard input.
    var standardInput: () throws -> [UInt8] = { try ReceiptReference.read(LocalFile.stream) }

    /// The receipts that the arguments name, in their order, each once.
    func resolve(_ arguments: [String]) async throws -> [NamedReceipt] {
        guard arguments.count(where: { $0 == LocalFile.stream }) <= 1 else {
            throw NodeServiceError(.invalidRequest, "Standard input can be read only once.", hint: "Give one -.")
        }
        var found: [NamedReceipt] = []
        for argument in arguments {
            found += try await argument == LocalFile.stream ? streamed() : named(argument)
            guard found.count <= ReceiptReference.receiptsMax else {
                throw NodeServiceError(
                    .tooLarge, "More than \(ReceiptReference.receiptsMax) receipts were named.",
                    hint: "Name fewer at once.")
            }
        }
        var seen: Set<CID> = []
        let receipts = found.filter { seen.insert($0.cid).inserted }
        guard receipts.isEmpty else { return receipts }
        throw NodeServiceError(
            .invalidRequest, "Standard input names no receipt.", hint: "Give one reference a line, or a CAR file.")
    }

    /// What standard input is: a file of receipts, or words that each name one.
    private func streamed() async throws -> [NamedReceipt] {
        let bytes = try standardInput()
        guard let text = String(validating: bytes, as: UTF8.self), !CAR.isLikely(bytes) else {
            return try ReceiptReference.receipts(in: bytes, file: "standard input")
        }
        let words = text.split(whereSeparator: \.isWhitespace).prefix(ReceiptReference.receiptsMax + 1)
        var found: [NamedReceipt] = []
        for word in words { found += try await named(String(word)) }
        return found
    }

    private func named(_ text: String) async throws -> [NamedReceipt] {
        if ReceiptReference.isFile(text) {
            return try ReceiptReference.receipts(in: ReceiptReference.read(text), file: text)
        }
        guard !isOffline else {
            throw NodeServiceError(
                .invalidRequest, "\"\(text)\" is not a file, and --offline reads only files.",
                hint: "Make one with mesh receipt export, or leave --offline away.")
        }
        return [.asked(try await cid(text))]
    }

    /// The receipt of a job, or the CID itself; the beginnings and ends of both are looked up among this node's jobs.
    private func cid(_ text: String) async throws(NodeServiceError) -> CID {
        if text == "last" {
            return try ReceiptReference.only(of: try await node.job(JobReference.last(on: node)), isLast: true)
        }
        guard let cid = try? CID(parsing: text) else { return try await called(text) }
        do {
            return try ReceiptReference.only(of: try await node.job(cid))
        } catch {
            guard error.code == .jobNotFound else { throw error }
            return try await receipt(ofWorkflow: cid)
        }
    }

    /// The receipt of a workflow; any other CID is a receipt's, wherever that is.
    private func receipt(ofWorkflow cid: CID) async throws(NodeServiceError) -> CID {
        guard let workflow = try? await node.workflow(cid) else { return cid }
        guard let receipt = workflow.receiptCID else {
            throw NodeServiceError(
                .receiptNotFound, "The workflow \(cid) has no receipt yet.",
                hint: "Wait for its end (mesh workflow show), then try again.")
        }
        return try JobReference.cid(receipt)
    }

    private func called(_ text: String) async throws(NodeServiceError) -> CID {
        guard let part = try ReceiptReference.part(of: text) else { throw ReceiptReference.unknown(text) }
        let jobs = try await node.jobs(JobQuery(limit: 2, named: part)).jobs
        let ofReceipts = try await receipts(JobQuery(limit: 500), most: 2) {
            $0.hasPrefix(part) || $0.hasSuffix(part)
        }
        let found = Set(jobs.compactMap(ReceiptReference.receipt)).union(ofReceipts)
        guard found.count <= 1 else {
            throw NodeServiceError(
                .invalidRequest, "More than one receipt is called \"\(part)\".", hint: "Give more of the CID.")
        }
        if let only = found.first { return try JobReference.cid(only) }
        guard let without = jobs.first else { throw ReceiptReference.unknown(text) }
        return try ReceiptReference.only(of: without)
    }

    /// The first receipts among the jobs of a query, page by page.
    private func receipts(
        _ first: JobQuery, most: Int, where isMeant: (String) -> Bool
    ) async throws(NodeServiceError) -> [String] {
        var found: [String] = []
        var query = first
        for _ in 0..<JobReference.pagesMax {
            let page = try await node.jobs(query)
            for receipt in page.jobs.compactMap(ReceiptReference.receipt) where isMeant(receipt) {
                if !found.contains(receipt) { found.append(receipt) }
            }
            guard found.count < most, let next = page.next else { break }
            query.after = try JobReference.cid(next)
        }
        return found
    }
}

/// Rules of naming receipts that need no node.
enum ReceiptReference {
    /// The most receipts of one command.
    static let receiptsMax = 1_000

    /// Help for an argument that names receipts.
    static let help =
        "Receipts: last for that of the last job, a job or a receipt by its CID or the beginning or end of it, a "
        + "workflow or its receipt by its CID, a file of mesh receipt export, or - for a list or a file on standard "
        + "input. What is a file's name is that file; ./NAME always is."

    /// Whether a text names a file. A CID, and `last`, do so only with a slash in it.
    static func isFile(_ text: String) -> Bool {
        if text.contains("/") { return true }
        return text != "last" && !CID.isText(text) && FileManager.default.fileExists(atPath: text)
    }

    /// A whole file, or standard input.
    static func read(_ path: String) throws -> [UInt8] {
        do {
            return try LocalFile.read(path, bytesMax: CAR.Limits().bytesMax)
        } catch let error as NodeServiceError where error.code == .tooLarge {
            throw NodeServiceError(
                .tooLarge, "\(path) has more than the \(CAR.Limits().bytesMax) bytes that are read of such a file.",
                hint: "Export fewer receipts into one file, or without the outputs.")
        }
    }

    /// The receipts in a file: the roots of an archive, or the one block that it is.
    static func receipts(in bytes: [UInt8], file: String) throws(NodeServiceError) -> [NamedReceipt] {
        let archive: ReceiptArchive
        if CAR.isLikely(bytes) {
            do {
                archive = ReceiptArchive(try CAR(decoding: bytes, limits: .ofWorkflows))
            } catch {
                throw unreadable(file, "\(error)")
            }
        } else {
            guard let cid = signed(bytes) else {
                let reason = "it is neither a CAR file nor a signed receipt"
                // What is no object of the mesh at all was not meant to be a receipt, and no check of one failed.
                guard bytes.isEmpty || (try? DAGCBOR.decode(bytes)) != nil else {
                    throw NodeServiceError(
                        .invalidRequest, "\(file) cannot be read as receipts: \(reason).",
                        hint: "mesh receipt export makes one; a receipt's CID or a job names one, too.")
                }
                throw unreadable(file, reason)
            }
            archive = ReceiptArchive(
                CAR(roots: [cid], blocks: [CAR.Block(cid: cid, bytes: bytes)]))
        }
        guard !archive.receipts.isEmpty else { throw unreadable(file, "it is about no receipt") }
        return archive.receipts.map { .filed($0, archive, file: file) }
    }

    /// The CID of a block that is a signed receipt, of a job or of a workflow.
    private static func signed(_ block: [UInt8]) -> CID? {
        (try? SignedReceipt(verifying: block))?.cid ?? (try? SignedObject<WorkflowReceipt>(verifying: block))?.cid
    }

    /// The part of an identifier that a text gives; nil if it gives none. Throws if it has too few characters.
    static func part(of text: String) throws(NodeServiceError) -> String? {
        var part = text[...]
        while part.hasPrefix("…") { part.removeFirst() }
        while part.hasSuffix("…") { part.removeLast() }
        guard part.count >= JobReference.partMin else { throw JobReference.tooShort(text) }
        return part.utf8.allSatisfy { (0x30...0x7A).contains($0) } ? String(part) : nil
    }

    /// The receipt of a job; nil if it has none.
    static func receipt(of job: JobView) -> String? { job.receiptCID ?? job.result?.receiptCID }

    /// The receipt of a job, or a failure that says why there is none; `isLast` if it was named so.
    static func only(of job: JobView, isLast: Bool = false) throws(NodeServiceError) -> CID {
        if let receipt = receipt(of: job) { return try JobReference.cid(receipt) }
        let name = isLast ? "The last job, \(job.jobID)," : "The job \(job.jobID)"
        guard !job.outcome.isOfBid else {
            throw NodeServiceError(
                .receiptNotFound,
                "This node only bid on the job \(job.jobID) (\(JobWords.outcome(job))), so it does not know its "
                    + "receipt.",
                hint: "Ask on the job's originator, or on the node that ran it, or give the receipt's whole CID.")
        }
        throw job.isTerminal
            ? NodeServiceError(
                .receiptNotFound, "\(name) has ended without a receipt.", hint: "mesh explain \(job.jobID) says why.")
            : NodeServiceError(
                .receiptNotFound, "\(name) has no receipt yet.", hint: "Wait for its end, then try again.")
    }

    /// What no job or receipt of this node is called.
    static func unknown(_ text: String) -> NodeServiceError {
        NodeServiceError(
            .receiptNotFound, "No job, receipt or file is called \"\(text)\".",
            hint: "Give a receipt's whole CID, or the beginning or end of a job's ID or of its receipt's CID.")
    }

    private static func unreadable(_ file: String, _ reason: String) -> NodeServiceError {
        NodeServiceError(
            .receiptInvalid, "\(file) cannot be read as receipts: \(reason).",
            hint: "Make the file again with mesh receipt export.")
    }
}
