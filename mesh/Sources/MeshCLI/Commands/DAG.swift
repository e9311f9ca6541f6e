import ArgumentParser
import Foundation
import MeshHTTP
import MeshTypes
import Multiformats
import NodeAPI
import Receipts
import SignedObjects

/// `mesh dag`: shows and proves what this node anchored, and checks what others prove.
struct DAGGroup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dag",
        abstract: "Show, prove and check what nodes anchored.",
        discussion: "Every node keeps a log of the receipts and settlements that it anchored, which only grows. It "
            + "signs the log's head; whoever signs two that are not of one history has given a proof of it. "
            + "docs/anchoring.md in the repository says more.",
        subcommands: [
            Log.self, Heads.self, Prove.self, Verify.self, Witness.self, Logs.self, Sync.self, Forget.self, Forks.self,
            Export.self, Watch.self,
        ])

    /// `mesh dag log`.
    struct Log: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "List what this node anchored, or another author, the newest first.")

        @OptionGroup var global: GlobalOptions

        @Option(help: ArgumentHelp("The most to list; by default 50.", valueName: "number"))
        var limit = 50

        @Option(help: ArgumentHelp("Whose log, as far as it is kept here.", valueName: "did"))
        var author: String?

        func validate() throws {
            guard (1...1_000).contains(limit) else { throw ValidationError("--limit must be from 1 to 1000.") }
        }

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            let entries =
                if let author { try await node.log(of: author, below: nil, limit: limit) } else {
                    try await node.log(below: nil, limit: limit)
                }
            if global.json {
                try console.json(entries)
            } else if entries.isEmpty {
                console.note(
                    author == nil ? "This node has anchored nothing." : "Nothing of that author's log is kept here.")
            } else {
                console.out(DAGGroup.listing(entries))
            }
            if let author, try await !node.logForks(of: author, after: nil, limit: 1).isEmpty {
                console.note("Its author told two histories; mesh dag forks --author \(author) prints the proof.")
            }
            return .success
        }
    }

    /// `mesh dag heads`.
    struct Heads: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the signed head of this node's log, in the format of C2SP's tlog-checkpoint.",
            discussion:
                "With --since, the proof that it continues the head of that size comes before it. mesh dag verify "
                + "reads both.")

        @OptionGroup var global: GlobalOptions

        @Option(help: ArgumentHelp("Prove that the head continues the one of this size.", valueName: "size"))
        var since: UInt64?

        func perform(_ console: Console) async throws -> ExitCode {
            let head = try await global.node.logHead(since: since)
            if global.json { try console.json(head) } else { console.out(head.text) }
            return .success
        }
    }

    /// `mesh dag prove`.
    struct Prove: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the proof that this node anchored a receipt, in the format of C2SP's tlog-proof.",
            discussion:
                "It has the signed entry and the signed head of the log, so a stranger checks it with mesh dag verify "
                + "and needs no network: mesh dag prove CID > receipt.tlog-proof")

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The CID of the receipt, or of another block that the node anchored.")
        var receipt: String

        func perform(_ console: Console) async throws -> ExitCode {
            let proof = try await global.node.logProof(of: JobReference.cid(receipt))
            if global.json { try console.json(proof) } else { console.out(proof.text) }
            return .success
        }
    }

    /// `mesh dag verify`.
    struct Verify: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check proofs and heads of logs from their files alone, and one against another.",
            discussion: """
                Neither a node nor a home folder is needed. Several files are compared: of one log, they have to be of \
                one history. Exit code 241: a file does not verify, or its author signed two histories, which the two \
                files prove to anybody. 247: whether two heads are of one history cannot be told without the proof \
                that mesh dag heads --since prints at the author.
                """)

        @OptionGroup var global: GlobalOptions

        @Option(help: ArgumentHelp("What one of the proofs has to anchor.", valueName: "cid"))
        var receipt: String?

        @Option(help: ArgumentHelp("Whose the logs have to be.", valueName: "did"))
        var author: String?

        @OptionGroup var quorum: WitnessOptions

        @Argument(
            help: "What mesh dag prove, heads or forks printed; - is standard input.", completion: .file())
        var files: [String]

        /// The most files of one command.
        static let filesMax = 64

        func validate() throws {
            _ = try quorum.wanted()
            guard files.count <= Self.filesMax else {
                throw ValidationError("At most \(Self.filesMax) files are compared at once.")
            }
        }

        func perform(_ console: Console) async throws -> ExitCode {
            let wanted = try receipt.map { try JobReference.cid($0) }
            var report = LogCheckReport()
            var read: [(file: String, evidence: LogEvidence)] = []
            for file in files {
                let bytes = try LocalFile.read(file, bytesMax: LogCheckReport.fileBytesMax, setting: "nothing")
                if LogFork.isFork(bytes) {
                    report.add(file, fork: bytes)
                    continue
                }
                do throws(LogEvidenceError) {
                    let evidence = try LogEvidence(verifying: bytes)
                    report.add(file, evidence)
                    read.append((file, evidence))
                } catch {
                    report.fail("\(file): \(error)")
                }
            }
            for (file, evidence) in read {
                if let author, evidence.author.text != author {
                    report.fail("\(file): the log is of \(evidence.author), not of \(author)")
                }
            }
            if let wanted, !read.contains(where: { $0.evidence.included?.entry.body.payload.contains(wanted) == true })
            {
                report.fail("none of the files proves that \(wanted) is anchored")
            }
            if let wanted = try quorum.wanted() {
                report.require(wanted, of: read, now: .now)
            }
            report.compare(read)
            if global.json { try console.json(report) } else { console.out(report.text) }
            return ExitCode(report.status.rawValue)
        }
    }

    /// `mesh dag witness`.
    struct Witness: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the key with which this node cosigns the logs of others as a witness.",
            discussion: """
                A node is a witness at its gateway for the authors that its owner names: mesh config set \
                witness.authors DID. They name it in turn: mesh config set log.witnesses "KEY http://HOST:PORT/witness".
                """)

        @OptionGroup var global: GlobalOptions

        func perform(_ console: Console) async throws -> ExitCode {
            let witness = try await global.node.witnessKey()
            if global.json {
                try console.json(witness)
            } else {
                console.out(witness.key + "\n")
                if witness.authors.isEmpty {
                    console.note("It witnesses no log; witness.authors in its configuration names their authors.")
                }
            }
            return .success
        }
    }

    /// Who saw an entry first and when, as the beginning of a sentence; empty if nobody did.
    static func witnesses(of entry: LogEntryView) -> String {
        let seen = (entry.cosignatures ?? []).sorted { $0.seconds < $1.seconds }
        guard let first = seen.first else { return "" }
        let others = seen.count > 1 ? " and \(seen.count - 1) more" : ""
        let (milliseconds, isBeyond) = first.seconds.multipliedReportingOverflow(by: 1_000)
        return "\(first.witness)\(others) saw it there \(Readable.date(isBeyond ? .max : milliseconds)); "
    }

    /// A line per entry.
    static func listing(_ entries: [LogEntryView]) -> String {
        var table = Table([("NUMBER", .right), ("ANCHORED", .left), ("WHAT", .left)])
        for entry in entries {
            let shown = entry.anchors.prefix(2).joined(separator: ", ")
            let others = entry.anchors.count > 2 ? " and \(entry.anchors.count - 2) more" : ""
            table.add([Readable.count(entry.number), Readable.date(entry.recordedAt), shown + others])
        }
        return table.text + "\n"
    }
}
