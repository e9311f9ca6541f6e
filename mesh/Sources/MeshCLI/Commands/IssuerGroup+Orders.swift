import ArgumentParser
import MeshHTTP
import NodeAPI

// `mesh issuer order`: what officers propose.
extension IssuerGroup {
    /// `mesh issuer order`.
    struct Propose: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "order",
            abstract: "Propose an order as an officer, and approve it.",
            discussion: "It is carried out once enough officers approve: mesh issuer orders, mesh issuer approve.",
            subcommands: [
                Limit.self, Freeze.self, Unfreeze.self, Reverse.self, WriteOff.self, Deposit.self, Withdraw.self,
                Appoint.self, Dismiss.self, Move.self, Close.self, WindDown.self, End.self,
            ])

        /// Proposes an order and says what became of it.
        static func propose(
            _ action: OfficerProposal.Action, _ global: GlobalOptions, _ at: IssuerOption, _ console: Console,
            _ complete: (inout OfficerProposal, IssuerView) throws -> Void
        ) async throws -> ExitCode {
            let node = global.node
            let issuer = try await at.unit(node)
            var proposal = OfficerProposal(issuer: issuer.did, action: action)
            try complete(&proposal, issuer)
            let order = try await node.propose(proposal)
            if global.json { try console.json(order) } else { console.out(IssuerGroup.text(order)) }
            return .success
        }
    }

    /// Whose line an order is about.
    struct MemberArgument: ParsableArguments {
        @Argument(help: ArgumentHelp("The member's DID.", valueName: "did"))
        var member: String
    }

    /// How much, and why.
    struct MovedAmount: ParsableArguments {
        @Argument(help: "The amount, in the issuer's unit, such as 12.50.")
        var amount: String

        @Option(help: "A reason or reference, at most 256 bytes, which the member sees.")
        var note: String = ""
    }

    /// `mesh issuer order limit`.
    struct Limit: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Open a member's line, or change how far it may go.")

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption
        @OptionGroup var of: MemberArgument

        @Option(help: "The most that the member may owe, in the issuer's unit.")
        var owed: String

        @Option(help: "The most that it may be owed; by default as much.")
        var owing: String?

        @Flag(
            help: ArgumentHelp(
                "The line is another issuer's: this one pays its members by it, if it has a line there, too."))
        var ofIssuer = false

        func perform(_ console: Console) async throws -> ExitCode {
            try await Propose.propose(.limit, global, at, console) { proposal, issuer in
                proposal.did = of.member
                proposal.owed = try CreditWords.units(owed, at: issuer)
                proposal.owing = try CreditWords.units(owing ?? owed, at: issuer)
                if ofIssuer { proposal.isIssuer = true }
            }
        }
    }

    /// `mesh issuer order freeze`.
    struct Freeze: MeshCommand {
        static let configuration = CommandConfiguration(abstract: "Take no new orders from a member's line.")

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption
        @OptionGroup var of: MemberArgument

        func perform(_ console: Console) async throws -> ExitCode {
            try await Propose.propose(.freeze, global, at, console) { proposal, _ in proposal.did = of.member }
        }
    }

    /// `mesh issuer order unfreeze`.
    struct Unfreeze: MeshCommand {
        static let configuration = CommandConfiguration(abstract: "Take orders from a frozen line again.")

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption
        @OptionGroup var of: MemberArgument

        func perform(_ console: Console) async throws -> ExitCode {
            try await Propose.propose(.unfreeze, global, at, console) { proposal, _ in proposal.did = of.member }
        }
    }

    /// `mesh issuer order reverse`.
    struct Reverse: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Undo a payment of the last week, all of it.",
            discussion: """
                The creditor's line has to be able to give it, and may owe it from then on. What an officer approves \
                about its own payment does not count.
                """)

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption

        @Argument(help: "The number of the payment's entry.", transform: Quantity.whole("the number of an entry"))
        var entry: UInt64

        @Option(help: "The reason, at most 256 bytes, which both members see.")
        var note: String = ""

        func perform(_ console: Console) async throws -> ExitCode {
            try await Propose.propose(.reverse, global, at, console) { proposal, _ in
                (proposal.entry, proposal.note) = (entry, note)
            }
        }
    }

    /// `mesh issuer order write-off`.
    struct WriteOff: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give up a part of what a member owes.")

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption
        @OptionGroup var of: MemberArgument
        @OptionGroup var moved: MovedAmount

        func perform(_ console: Console) async throws -> ExitCode {
            try await Propose.propose(.writeOff, global, at, console) { proposal, issuer in
                (proposal.did, proposal.note) = (of.member, moved.note)
                proposal.amount = try CreditWords.units(moved.amount, at: issuer)
            }
        }
    }

    /// `mesh issuer order deposit`.
    struct Deposit: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Book what a member paid in elsewhere; the member approves it, too.")

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption
        @OptionGroup var of: MemberArgument
        @OptionGroup var moved: MovedAmount

        func perform(_ console: Console) async throws -> ExitCode {
            try await Propose.propose(.deposit, global, at, console) { proposal, issuer in
                (proposal.did, proposal.note) = (of.member, moved.note)
                proposal.amount = try CreditWords.units(moved.amount, at: issuer)
            }
        }
    }

    /// `mesh issuer order withdraw`.
    struct Withdraw: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Book what a member was paid out elsewhere; the member approves it, too.")

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption
        @OptionGroup var of: MemberArgument
        @OptionGroup var moved: MovedAmount

        func perform(_ console: Console) async throws -> ExitCode {
            try await Propose.propose(.withdraw, global, at, console) { proposal, issuer in
                (proposal.did, proposal.note) = (of.member, moved.note)
                proposal.amount = try CreditWords.units(moved.amount, at: issuer)
            }
        }
    }

    /// `mesh issuer order appoint`.
    struct Appoint: MeshCommand {
        static let configuration = CommandConfiguration(abstract: "Let an auditor see all entries.")

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption

        @Argument(help: ArgumentHelp("The auditor's DID.", valueName: "did"))
        var auditor: String

        func perform(_ console: Console) async throws -> ExitCode {
            try await Propose.propose(.appoint, global, at, console) { proposal, _ in proposal.did = auditor }
        }
    }

    /// `mesh issuer order dismiss`.
    struct Dismiss: MeshCommand {
        static let configuration = CommandConfiguration(abstract: "Let an auditor see its own entries alone again.")

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption

        @Argument(help: ArgumentHelp("The auditor's DID.", valueName: "did"))
        var auditor: String

        func perform(_ console: Console) async throws -> ExitCode {
            try await Propose.propose(.dismiss, global, at, console) { proposal, _ in proposal.did = auditor }
        }
    }

    /// `mesh issuer order move`.
    struct Move: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give the account of a member that lost its key to another key.",
            discussion: """
                Balance, limits and holds go to the new key, whose node approves it, too, and has no line there yet. \
                The old key pays nothing any more; what it holds or claimed is paid from or to the new one.
                """)

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption
        @OptionGroup var of: MemberArgument

        @Argument(help: ArgumentHelp("The DID of the new key.", valueName: "new-did"))
        var to: String

        @Option(help: "The reason, at most 256 bytes, which the member sees.")
        var note: String = ""

        func perform(_ console: Console) async throws -> ExitCode {
            try await Propose.propose(.move, global, at, console) { proposal, _ in
                (proposal.did, proposal.to, proposal.note) = (of.member, to, note)
            }
        }
    }

    /// `mesh issuer order close`.
    struct Close: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Close the time before a midnight in UTC, by its trial balance.",
            discussion: """
                Every officer can compare the trial balance with that of mesh issuer balance --before, as an auditor. \
                Without --balance this node takes the one that it makes itself of the entries, which it checks.
                """)

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption

        @Argument(
            help: ArgumentHelp("All before then: a date in UTC such as 2026-12-01.", valueName: "date"),
            transform: JobDate.since)
        var until: UInt64

        @Option(help: ArgumentHelp("The trial balance at that date.", valueName: "cid"))
        var balance: String?

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            var made = balance
            if made == nil {
                var query = LedgerQuery(issuer: try await at.did(node))
                (query.from, query.until) = (until, until)
                made = try await node.ledger(query).balanceCID
            }
            return try await Propose.propose(.close, global, at, console) { [made] proposal, _ in
                (proposal.until, proposal.balance) = (until, made)
            }
        }
    }

    /// `mesh issuer order wind-down`.
    struct WindDown: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Begin the end of the book: nothing new is held or owed.",
            discussion: """
                Members pay from what they are owed alone, and settle the rest elsewhere (deposit, withdraw), or at \
                the successor. It is for good: mesh issuer order end is what follows.
                """)

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption

        @Option(help: ArgumentHelp("The issuer that takes over what is left.", valueName: "did"))
        var successor: String?

        @Option(help: "The reason, at most 256 bytes, which everybody sees.")
        var note: String = ""

        func perform(_ console: Console) async throws -> ExitCode {
            try await Propose.propose(.windDown, global, at, console) { proposal, _ in
                (proposal.successor, proposal.note) = (successor, note)
            }
        }
    }

    /// `mesh issuer order end`.
    struct End: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "End a book that winds down, for good.",
            discussion: """
                Once no hold is left, and no line owes or is owed anything; or 30 days after it began to wind down, \
                whatever is left.
                """)

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption

        @Option(help: "The reason, at most 256 bytes, which everybody sees.")
        var note: String = ""

        func perform(_ console: Console) async throws -> ExitCode {
            try await Propose.propose(.end, global, at, console) { proposal, _ in proposal.note = note }
        }
    }
}
