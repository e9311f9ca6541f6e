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
                Appoint.self, Dismiss.self,
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
}
