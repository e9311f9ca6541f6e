import ArgumentParser
import Foundation
import MeshHTTP
import Multiformats
import NodeAPI
import NodeSetup
import SignedObjects

/// `mesh operator`: credentials by which an operator says which executors are its own.
struct OperatorGroup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "operator",
        abstract: "Say which executors are yours, so that they do not check each other.",
        discussion: """
            Where several executors run one job, or one checks another, others prefer executors of different \
            operators. Sign a credential for each of your executors with one key, and write it into "operator" under \
            "executor" in the executor's config.json. Who signs none counts as an operator of its own.
            """,
        subcommands: [Sign.self, Show.self])

    /// `mesh operator sign`.
    struct Sign: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sign, with the key of this home, that an executor is yours, and print the credential.")

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The executor's DID.", transform: { try OperatorGroup.did($0) })
        var executor: DID

        func perform(_ console: Console) async throws -> ExitCode {
            let home = global.nodeHome
            try home.requireInitialised()
            let key = KeyStore(path: home.keyPath)
            let passphrase = try key.isEncrypted() ? Passphrase.forKey(at: home.keyPath) : nil
            let credential = try OperatorText(
                of: executor, signedBy: try key.load(passphrase: passphrase),
                atMilliseconds: UInt64(Date().timeIntervalSince1970 * 1_000))
            if global.json { try console.json(Report(credential)) } else { console.out(credential.text) }
            return .success
        }
    }

    /// `mesh operator show`.
    struct Show: MeshCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what a credential says, by default that of this home's config.json.")

        @OptionGroup var global: GlobalOptions

        @Argument(help: "The credential, as mesh operator sign printed it.")
        var credential: String?

        func perform(_ console: Console) async throws -> ExitCode {
            let given: String
            if let credential {
                given = credential
            } else {
                try global.nodeHome.requireInitialised()
                let configuration = try NodeConfiguration.load(path: global.nodeHome.configurationPath)
                guard let own = configuration.executor.operatorText else {
                    throw NodeServiceError(
                        .invalidRequest, "This node's config.json names no operator.",
                        hint: "mesh operator sign DID makes a credential, for \"operator\" under \"executor\".")
                }
                given = own
            }
            guard let read = OperatorText(given) else {
                throw NodeServiceError(
                    .invalidRequest, "This is no credential, or its operator did not sign it.",
                    hint: "Copy the whole text that mesh operator sign printed.")
            }
            if global.json { try console.json(Report(read)) } else { console.out(Table.facts(Report(read).facts)) }
            return .success
        }
    }

    /// What a credential says.
    struct Report: Codable, Equatable {
        let operatorDID: String
        let executorDID: String
        let issuedAt: UInt64
        let credential: String

        init(_ read: OperatorText) {
            operatorDID = read.operatorDID.text
            executorDID = read.executorDID.text
            issuedAt = read.issuedAt
            credential = read.text
        }

        var facts: [(name: String, value: String)] {
            [("operator", operatorDID), ("executor", executorDID), ("signed", Readable.date(issuedAt))]
        }

        private enum CodingKeys: String, CodingKey {
            case credential
            case operatorDID = "operator_did"
            case executorDID = "executor_did"
            case issuedAt = "issued_at"
        }
    }

    private static func did(_ text: String) throws -> DID {
        guard let did = try? DID(parsing: text) else {
            throw ValidationError("\(Terminal.safe(text)) is no DID; mesh status on the executor shows its own.")
        }
        return did
    }
}
