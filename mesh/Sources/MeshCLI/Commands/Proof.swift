import ArgumentParser
import Foundation
import MeshHTTP
import Multiformats
import NodeAPI

/// `mesh proof`: lists, shows and verifies proofs of fraud.
struct Proof: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "List, show or verify proofs that a receipt says what is not so.",
        discussion: "A node makes one when it runs a job again (mesh run --verify) and gets something else than the "
            + "receipt says. docs/verification.md in the repository says more.",
        subcommands: [List.self, Show.self, Verify.self])

    /// `mesh proof ls`.
    struct List: MeshCommand {
        static let configuration = CommandConfiguration(
            commandName: "ls", abstract: "List the proofs that this node made, the newest first.")

        @OptionGroup var global: GlobalOptions

        @Option(help: ArgumentHelp("The most to list; by default 50.", valueName: "number"))
        var limit = 50

        func validate() throws {
            guard (1...1_000).contains(limit) else { throw ValidationError("--limit must be from 1 to 1000.") }
        }

        func perform(_ console: Console) async throws -> ExitCode {
            let proofs = try await global.node.proofs(against: nil, limit: limit)
            if global.json {
                try console.json(proofs)
            } else if proofs.isEmpty {
                console.note("This node has proved no fraud.")
            } else {
                console.out(Proof.listing(proofs))
            }
            return .success
        }
    }

    /// `mesh proof show`.
    struct Show: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what a proof states, and what checking it would cost.")

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The proof's CID.")
        var proof: String

        func perform(_ console: Console) async throws -> ExitCode {
            let view = try await global.node.proof(JobReference.cid(proof))
            if global.json { try console.json(view) } else { console.out(Proof.text(view)) }
            return .success
        }
    }

    /// `mesh proof verify`.
    struct Verify: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run the job of a proof again here, and say whether the proof holds.",
            discussion: """
                What that may cost is said on standard error before the run begins; mesh proof show says it without \
                a run. Exit code 0: the proof holds, so the receipt lies. 241: it does not hold. 247: that could not \
                be found out.
                """)

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The proof's CID.")
        var proof: String

        func perform(_ console: Console) async throws -> ExitCode {
            let cid = try JobReference.cid(proof)
            let view = try await global.node.proof(cid)
            if !global.json, let cost = view.cost { console.note("The check costs \(Proof.words(cost)).") }
            let report = try await global.node.verifyProof(cid)
            if global.json { try console.json(report) } else { console.out(Proof.text(report)) }
            return ExitCode(Proof.status(report).rawValue)
        }
    }

    /// The exit code of a report.
    static func status(_ report: ProofReport) -> ExitStatus {
        switch report.verdict {
        case .holds: .success
        case .fails: .verificationFailed
        case .unknown: .verificationIncomplete
        }
    }

    /// What a check costs at most, in words.
    static func words(_ cost: ProofView.Cost) -> String {
        let bytes = Readable.bytes(cost.bytes)
        let fetched = cost.isAllHere ? "\(bytes) of module and inputs, which are here" : "what is not here is fetched"
        return "at most \(Readable.count(cost.fuelMax)) fuel, \(Readable.bytes(cost.memoryBytesMax)) of memory and "
            + "\(Readable.count(cost.secondsMax)) s; \(fetched)"
    }

    /// What a report says.
    static func text(_ report: ProofReport) -> String {
        let verdict =
            switch report.verdict {
            case .holds: "The proof holds: the receipt says what is not so"
            case .fails: "The proof does not hold"
            case .unknown: "Whether the proof holds could not be found out"
            }
        return Terminal.safeLines("\(verdict) (\(report.detail)).\n")
    }

    /// A line per proof.
    static func listing(_ proofs: [ProofView]) -> String {
        var table = Table([("PROOF", .left), ("EXECUTOR", .left), ("RECEIPT", .left), ("MADE", .left)])
        for proof in proofs {
            table.add([
                proof.proofCID, Readable.short(proof.executorDID), Readable.short(proof.receiptCID),
                Readable.date(proof.madeAt),
            ])
        }
        return table.text + "\n"
    }

    /// The facts of a proof.
    static func text(_ proof: ProofView) -> String {
        var facts: [(name: String, value: String)] = [
            ("proof", proof.proofCID), ("receipt", proof.receiptCID), ("job", proof.jobID),
            ("executor", proof.executorDID), ("made by", proof.makerDID), ("made", Readable.date(proof.madeAt)),
        ]
        if let claimed = proof.claimed { facts += runFacts("receipt:", claimed) }
        facts += runFacts("replay:", proof.found)
        if let cost = proof.cost { facts.append(("to check", words(cost))) }
        facts.append(("had from", proof.source))
        return Table.facts(facts, columns: Receipt.width ?? .max)
    }

    private static func runFacts(_ who: String, _ run: ProofView.Run) -> [(name: String, value: String)] {
        var facts = [("\(who) outcome", run.outcome), ("\(who) fuel", Readable.count(run.fuel))]
        facts += run.outputs.prefix(Self.outputsShownMax).map {
            ("\(who) \(TextLayout.cut(Terminal.safe($0.name), to: 40))", $0.cid)
        }
        let streams = [("stdout", run.stdoutCID), ("stderr", run.stderrCID), ("log", run.logCID)]
        facts += streams.compactMap { name, cid in cid.map { ("\(who) \(name)", $0) } }
        facts.append(("\(who) engine", run.engine))
        return facts.map { (name: $0.0, value: $0.1) }
    }

    /// Outputs that are shown of a run.
    private static let outputsShownMax = 16
}
