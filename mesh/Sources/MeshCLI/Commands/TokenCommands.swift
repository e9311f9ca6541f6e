import ArgumentParser
import Foundation
import MeshHTTP
import Multiformats
import NodeAPI

/// `mesh token`: have others' jobs paid, or one's own by others.
struct TokenGroup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Pay for others' jobs by a token, or have yours paid.",
        discussion: """
            Whoever has a line at an issuer gives a token to somebody without one: up to an amount, until a date, for \
            jobs within a scope. Its holder hands parts of it on (--below), and runs jobs by it: mesh run --token. The \
            issuer counts what is spent, and takes no more than the token has; whoever gave it, or one above it, ends \
            it. docs/issuers.md shows it from the beginning.
            """,
        subcommands: [Give.self, List.self, Show.self, Export.self, Import.self, Revoke.self])

    /// `mesh token give`.
    struct Give: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give a token of this node's line, or below one that it holds.",
            discussion: """
                The token is worth nothing without the key of its holder. mesh token export writes it to a file, which \
                the holder takes with mesh token import. Each option of its scope may be given up to 16 times.
                """)

        @OptionGroup var global: GlobalOptions
        @OptionGroup var at: IssuerOption

        @Argument(help: ArgumentHelp("Who gets it.", valueName: "did"))
        var holder: String

        @Argument(help: "What it may cost, in the issuer's unit, such as 12.50; fees and budgets of disputes count.")
        var amount: String

        @Option(help: ArgumentHelp("A token that this node holds, of which this is a part.", valueName: "cid"))
        var below: String?

        @Option(
            help: ArgumentHelp("How long it is valid from now, such as 90s or 30d; 90d at most.", valueName: "time"),
            transform: Quantity.milliseconds)
        var validFor: UInt64 = 86_400_000

        @Option(help: ArgumentHelp("Only this executor runs the jobs.", valueName: "did"))
        var executor: [String] = []

        @Option(help: ArgumentHelp("Only members of this issuer run them.", valueName: "did"))
        var cooperative: [String] = []

        @Option(help: ArgumentHelp("Only this job, by its ID.", valueName: "cid"))
        var job: [String] = []

        @Option(help: ArgumentHelp("Only jobs of this module.", valueName: "cid"))
        var module: [String] = []

        @Option(help: "Only jobs that keep to this region.")
        var region: [String] = []

        @Option(help: "Only jobs that require this feature of their executors; all that are named.")
        var feature: [String] = []

        @Option(help: "Only jobs that ask for no other types of resources.")
        var resource: [String] = []

        func perform(_ console: Console) async throws -> ExitCode {
            let node = global.node
            let now = UInt64(max(0, Date().timeIntervalSince1970 * 1_000))
            let end = now.addingReportingOverflow(validFor)
            var gift = TokenGift(holder: holder, amount: 0, expiresAt: end.overflow ? .max : end.partialValue)
            if let below {
                gift.parent = below
                guard let parent = try await node.tokens().first(where: { $0.token == below }) else {
                    throw NodeServiceError(
                        .invalidRequest, "The token \(below) is not here.",
                        hint: "mesh token list shows those that are.")
                }
                gift.amount = try CreditWords.units(amount, unit: parent.unit, decimals: parent.decimals)
                // What it is not given for longer.
                gift.expiresAt = min(gift.expiresAt, parent.expiresAt)
            } else {
                let issuer = try await at.unit(node)
                gift.issuer = issuer.did
                gift.amount = try CreditWords.units(amount, at: issuer)
            }
            var scope = TokenScopeView()
            func list(_ texts: [String]) -> [String]? { texts.isEmpty ? nil : texts }
            (scope.executors, scope.cooperatives) = (list(executor), list(cooperative))
            (scope.jobs, scope.modules, scope.regions) = (list(job), list(module), list(region))
            (scope.features, scope.resources) = (list(feature), list(resource))
            gift.scope = scope
            let token = try await node.give(gift)
            if global.json {
                try console.json(token)
            } else {
                console.out(token.token + "\n")
                console.note("Hand it over: mesh token export \(token.token) FILE, and there mesh token import FILE.")
            }
            return .success
        }
    }

    /// `mesh token list`.
    struct List: MeshCommand {
        static let configuration = CommandConfiguration(abstract: "List the tokens that this node holds or gave.")

        @OptionGroup var global: GlobalOptions

        func perform(_ console: Console) async throws -> ExitCode {
            let tokens = try await global.node.tokens()
            if global.json {
                try console.json(tokens)
            } else if tokens.isEmpty {
                console.note("No token is here: mesh token give makes one, and mesh token import takes one.")
            } else {
                var table = Table([
                    ("TOKEN", .left), ("AMOUNT", .right), ("UNIT", .left), ("UNTIL", .left), ("FOR", .left),
                ])
                for token in tokens {
                    table.add([
                        token.token, CreditWords.text(token.amount, token.decimals), token.unit,
                        Readable.date(token.expiresAt), token.isOwn ? "this node" : token.holder,
                    ])
                }
                console.out(table.text)
            }
            return .success
        }
    }

    /// `mesh token show`.
    struct Show: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Ask a token's issuer what is left of it, and show for what it pays.")

        @OptionGroup var global: GlobalOptions

        @Argument(help: ArgumentHelp("The token.", valueName: "cid"))
        var token: String

        func perform(_ console: Console) async throws -> ExitCode {
            let token = try await global.node.token(token)
            if global.json { try console.json(token) } else { console.out(TokenGroup.text(token)) }
            return .success
        }
    }

    /// `mesh token export`.
    struct Export: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write a token to a file, to hand it to its holder.",
            discussion: "The file is no secret: only the holder's key can spend it.")

        @OptionGroup var global: GlobalOptions

        @Argument(help: ArgumentHelp("The token.", valueName: "cid"))
        var token: String

        @Argument(help: "The file; - writes to standard output.")
        var file: String

        func perform(_ console: Console) async throws -> ExitCode {
            guard let found = try await global.node.tokens().first(where: { $0.token == token }) else {
                throw NodeServiceError(
                    .invalidRequest, "The token \(token) is not here.", hint: "mesh token list shows those that are.")
            }
            guard let bytes = try? Multibase.decodeWithoutPrefix(found.chain, .base64pad) else {
                throw NodeServiceError(.internalError, "The node's answer has no token.")
            }
            try LocalFile.write(bytes, to: file)
            return .success
        }
    }

    /// `mesh token import`.
    struct Import: MeshCommand {
        /// The longest file, in bytes; the node takes less.
        private static let fileBytesMax = 65_536

        static let configuration = CommandConfiguration(
            abstract: "Take a token that somebody gave to this node.", discussion: "It prints the token's CID.")

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The file; - reads standard input.")
        var file: String

        func perform(_ console: Console) async throws -> ExitCode {
            let bytes = try LocalFile.read(file, bytesMax: Self.fileBytesMax, setting: "nothing")
            let token = try await global.node.takeToken(bytes)
            if global.json { try console.json(token) } else { console.out(token.token + "\n") }
            return .success
        }
    }

    /// `mesh token revoke`.
    struct Revoke: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "End a token that this node gave, and all below it.",
            discussion: "What is held by it stands, and may still be paid; nothing more is held.")

        @OptionGroup var global: GlobalOptions

        @Argument(help: ArgumentHelp("The token.", valueName: "cid"))
        var token: String

        func perform(_ console: Console) async throws -> ExitCode {
            let token = try await global.node.revokeToken(token)
            if global.json {
                try console.json(token)
            } else {
                console.out("Revoked: entry \(token.revokedBy ?? 0).\n")
            }
            return .success
        }
    }

    // MARK: Words

    static func text(_ token: TokenView) -> String {
        func amount(_ units: UInt64) -> String { "\(CreditWords.text(units, token.decimals)) \(token.unit)" }
        var facts = [("token", token.token), ("issuer", token.issuer)]
        for (index, giver) in token.givers.enumerated() { facts.append((index == 0 ? "line of" : "then", giver)) }
        facts += [
            ("holder", token.isOwn ? "\(token.holder), this node" : token.holder), ("amount", amount(token.amount)),
        ]
        if let left = token.left { facts.append(("left", amount(left))) }
        facts += [("from", Readable.date(token.notBefore)), ("until", Readable.date(token.expiresAt))]
        if let entry = token.revokedBy { facts.append(("revoked", "by entry \(entry)")) }
        if token.isFrozen == true { facts.append(("line", "takes no orders")) }
        let lists: [(String, [String]?)] = [
            ("executors", token.scope.executors), ("cooperatives", token.scope.cooperatives),
            ("jobs", token.scope.jobs), ("modules", token.scope.modules), ("regions", token.scope.regions),
            ("features", token.scope.features), ("resources", token.scope.resources),
        ]
        for (name, list) in lists { if let list { facts.append((name, list.joined(separator: " "))) } }
        return Table.facts(facts)
    }
}
