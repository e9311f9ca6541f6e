import ArgumentParser
import Foundation
import IPLD
import MeshHTTP
import Multiformats
import NodeAPI

/// `mesh outputs`: what a job wrote.
struct Outputs: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "List what a job wrote, or write it to files.",
        discussion: """
            The names stdout, stderr and log are what the module wrote there; the others are its named outputs. On an \
            executor these are the outputs of its own run. A requested output that the job did not make is exit code \
            215; the others are written all the same. What was collected of the job's files may be a folder, which is \
            written with all that is in it. A node that only bid on the job does not know its outputs.
            """)

    @OptionGroup var global: GlobalOptions

    @Option(
        name: .customLong("output"),
        help: ArgumentHelp(
            "Write the output NAME to FILE, or to standard output for -; may be given several times.",
            valueName: "name=file"),
        transform: NamedPath.reading("NAME=FILE or NAME=-"))
    var outputs: [NamedPath] = []

    @Option(
        help: ArgumentHelp(
            "Write every output to a new file of its name in this folder, which is made if it is not there.",
            valueName: "folder"), completion: .directory)
    var into: String?

    @Argument(help: ArgumentHelp(JobReference.help))
    var job = "last"

    func validate() throws {
        guard !global.json || !outputs.contains(where: { $0.path == LocalFile.stream }) else {
            throw ValidationError("--json and an --output to - cannot share standard output.")
        }
    }

    func perform(_ console: Console) async throws -> ExitCode {
        try OutputPaths.check(outputs.map(\.path))
        let node = global.node
        let view = try await node.job(JobReference.resolve(job, on: node))
        var report = OutputReport(jobID: view.jobID, outputs: try await JobOutputs.of(view, on: node))
        if let into { try report.choose(into: into) }
        for wanted in outputs { report.choose(wanted) }
        let new = report.outputs.filter(\.isNew).compactMap(\.file)
        try OutputPaths.checkNew(new.filter(OutputPaths.isFolder))
        try OutputPaths.check(report.outputs.compactMap(\.file))
        for index in report.outputs.indices {
            guard let path = report.outputs[index].file else { continue }
            try await report.outputs[index].write(to: path, from: node)
        }
        let isMissing = !report.missing.isEmpty
        if global.json {
            try console.json(report)
        } else {
            tell(report, view, console)
        }
        return isMissing ? ExitCode(ExitStatus.outputMissing.rawValue) : .success
    }

    private func tell(_ report: OutputReport, _ job: JobView, _ console: Console) {
        if report.outputs.isEmpty {
            console.note("The job wrote nothing (\(Terminal.safe(JobWords.outcome(job)))).")
        } else if into == nil, outputs.isEmpty {
            console.out(Self.text(report.outputs))
        }
        for output in report.outputs {
            guard let file = output.file, file != LocalFile.stream else { continue }
            let files = output.files.map { "\(Readable.count(UInt64($0))) file\($0 == 1 ? "" : "s"), " } ?? ""
            let bytes = Readable.bytes(UInt64(output.bytes ?? 0))
            console.note(Terminal.safe("\(output.name): \(files)\(bytes) in \(file)"))
        }
        for name in report.missing {
            console.note(Terminal.safe(JobOutputs.absence(of: name, among: report.outputs.map(\.name))))
        }
    }

    /// The listing: the CIDs first, since names are long.
    static func text(_ outputs: [OutputReport.Output]) -> String {
        var table = Table([("CID", .left), ("NAME", .left)])
        for output in outputs { table.add([output.cid, output.name]) }
        return table.text
    }
}

/// Where the outputs of a job are.
enum JobOutputs {
    /// The outputs of a job that is over; throws if it is not, or if this node only bid on it.
    static func of(_ job: JobView, on node: some NodeService) async throws -> [OutputReport.Output] {
        guard !job.outcome.isOfBid else {
            throw NodeServiceError(
                .invalidRequest,
                "This node only bid on the job (\(JobWords.outcome(job))), so it does not know what the job wrote.",
                hint: "Ask on the job's originator, or on the node that ran it.")
        }
        guard job.isTerminal || job.receiptCID != nil else {
            throw NodeServiceError(
                .invalidRequest, "The job is not over (\(JobWords.outcome(job))), so it has no outputs yet.",
                hint: job.isAskedForHere ? "mesh wait tells when it is." : "mesh describe tells how far it is.")
        }
        if let result = job.result, result.receiptCID != nil { return all(of: result) }
        guard let cid = job.receiptCID else { return [] }
        let receipt = try await node.receipt(JobReference.cid(cid))
        return all(
            [("stdout", receipt.stdoutCID), ("stderr", receipt.stderrCID), ("log", receipt.logCID)], receipt.outputs)
    }

    /// Names of outputs that are listed where one is not there.
    private static let namesMax = 8

    /// That there is no output of that name, and which there are.
    static func absence(of name: String, among names: [String]) -> String {
        let listed = names.prefix(namesMax).map { "\"\($0)\"" }.joined(separator: ", ")
        let more = names.count > namesMax ? " and \(names.count - namesMax) more" : ""
        return "mesh: The job wrote no output called \"\(name)\"; "
            + (names.isEmpty ? "it wrote none." : "there \(names.count == 1 ? "is" : "are") \(listed)\(more).")
    }

    /// The outputs of a job that ended: the named ones, then its streams, unless it gave their names to others.
    static func all(of result: JobResult) -> [OutputReport.Output] {
        all([("stdout", result.stdoutCID), ("stderr", result.stderrCID), ("log", result.logCID)], result.outputs)
    }

    private static func all(
        _ streams: [(name: String, cid: String?)], _ named: [NamedCID]
    ) -> [OutputReport.Output] {
        let own = Set(named.map(\.name))
        return named.map { OutputReport.Output(name: $0.name, cid: $0.cid) }
            + streams.compactMap { stream in
                guard let cid = stream.cid, !own.contains(stream.name) else { return nil }
                return OutputReport.Output(name: stream.name, cid: cid)
            }
    }
}

/// What a job wrote and where to, as JSON.
struct OutputReport: Encodable {
    /// One output.
    struct Output: Encodable, Hashable {
        let name: String
        let cid: String
        /// Where it was written; nil if it was not.
        var file: String?
        /// Its size, once it was written.
        var bytes: Int?
        /// How many files there are in it, once it was written; nil of a single file.
        var files: Int?
        /// Whether the name is the module's choice, so that nothing may stand there.
        var isNew = false

        private enum CodingKeys: String, CodingKey {
            case name, cid, file, bytes, files
        }

        /// Writes it to a file or, with all that is in it, to a folder.
        mutating func write(to path: String, from node: some NodeService) async throws {
            let cid = try JobReference.cid(cid)
            let tree = TreeReader(cid, on: node)
            let isFolder = cid.codec == .dagPB ? try await tree.look(at: cid.version1).isDirectory : false
            guard isFolder, path != LocalFile.stream else {
                let contents = try await node.get(cid)
                bytes = contents.count
                return try LocalFile.write(contents, to: path, isNew: isNew)
            }
            if isNew { try OutputPaths.checkNew([path]) }
            let written = try await WrittenOutput.write(name, cid, to: path, from: node)
            bytes = Int(clamping: written.bytes)
            files = written.files
        }
    }

    let jobID: String
    var outputs: [Output]
    /// Requested names that the job did not make.
    var missing: [String] = []

    init(jobID: String, outputs: [Output]) {
        self.jobID = jobID
        self.outputs = outputs
    }

    /// Sends one output to a file.
    mutating func choose(_ wanted: NamedPath) {
        guard let index = outputs.firstIndex(where: { $0.name == wanted.name }) else {
            missing.append(wanted.name)
            return
        }
        outputs[index].file = wanted.path
        outputs[index].isNew = false
    }

    /// Sends every output to a file of its name; the names are the module's own choice, so they stay in the folder.
    mutating func choose(into folder: String) throws {
        for index in outputs.indices {
            outputs[index].file = (folder as NSString).appendingPathComponent(try Self.fileName(outputs[index].name))
            outputs[index].isNew = true
        }
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw LocalFileError(path: folder, reason: "the folder cannot be made", hint: "Choose another.")
        }
    }

    private static func fileName(_ name: String) throws -> String {
        guard !name.isEmpty, !name.utf8.starts(with: ".".utf8), name.utf8.count <= 255, Terminal.safe(name) == name,
            !name.utf8.contains(0x2F)
        else {
            throw NodeServiceError(
                .invalidRequest, "The output \"\(name)\" has a name that no file in the folder can have.",
                hint: "Write it with --output NAME=FILE.")
        }
        return name
    }

    private enum CodingKeys: String, CodingKey {
        case outputs, missing
        case jobID = "job_id"
    }
}
