import ArgumentParser
import Foundation
import Multiformats
import NodeAPI
import NodeSetup
import PeerIdentity
import SignedObjects

/// `mesh init`: makes a node's home.
struct Init: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a node: its key, its configuration and its home folder.",
        discussion: "If only config.json is missing, init writes a fresh one and keeps the node's key.")

    @OptionGroup var global: GlobalOptions
    @OptionGroup var settings: NodeSettings

    @Flag(help: "Encrypt the key with a passphrase, from MESH_PASSPHRASE or the prompt.")
    var encrypt = false

    func perform(_ console: Console) async throws -> ExitCode {
        let home = global.nodeHome
        if home.isInitialised, !encrypt, !FileManager.default.fileExists(atPath: home.configurationPath) {
            return try renew(home, console)
        }
        guard !home.isInitialised else {
            throw NodeServiceError(
                .alreadyInitialised, "There is already a node in \(home.path).",
                hint: "Start it with mesh up\(home.option), or choose another --home.")
        }
        // Refuses what it can before it makes anything.
        var configuration = NodeConfiguration()
        try settings.apply(to: &configuration)
        let passphrase = encrypt ? try Passphrase.choose() : nil
        try home.create()
        let identity = try KeyStore(path: home.keyPath).create(passphrase: passphrase)
        try LocalFile.write([UInt8](configuration.encoded()), to: home.configurationPath)
        if global.json {
            try console.json(["home": home.path, "did": identity.did.text, "peer_id": identity.peerID.text])
        } else {
            console.out(
                Table.facts([("home", home.path), ("did", identity.did.text), ("peer", identity.peerID.text)]))
            console.note("Start the node with mesh up\(home.option).")
        }
        return .success
    }

    /// Writes the configuration of an existing node.
    private func renew(_ home: NodeHome, _ console: Console) throws -> ExitCode {
        var configuration = NodeConfiguration()
        try settings.apply(to: &configuration)
        try LocalFile.write([UInt8](configuration.encoded()), to: home.configurationPath)
        if global.json {
            try console.json(["home": home.path])
        } else {
            console.out(Table.facts([("home", home.path)]))
            console.note("A fresh config.json is there; the key is the one that was.")
        }
        return .success
    }
}

/// The settings that `init` writes and `up` overrides.
struct NodeSettings: ParsableArguments {
    @Option(help: "An address to listen on; may be given several times.")
    var listen: [String] = []

    @Option(help: "A peer to connect to at the start; may be given several times.")
    var bootstrap: [String] = []

    @Flag(inversion: .prefixedNo, help: "Run jobs for others.")
    var executor: Bool?

    @Option(help: "The region that the node states.")
    var region: String?

    @Option(help: "The base price of a job.")
    var priceBase: UInt64?

    @Option(help: "The price of a million units of fuel.")
    var pricePerMillionFuel: UInt64?

    @Option(help: "How much to log: trace, debug, info, notice, warning, error or critical.")
    var logLevel: String?

    /// Overrides the configuration with the given options.
    func apply(to configuration: inout NodeConfiguration) throws(NodeServiceError) {
        if !listen.isEmpty { configuration.listen = try listen.map(Self.address) }
        if !bootstrap.isEmpty { configuration.bootstrap = try bootstrap.map(Self.address) }
        if let executor { configuration.executor.isEnabled = executor }
        if let region { configuration.region = region }
        if let priceBase { configuration.executor.priceBase = priceBase }
        if let pricePerMillionFuel { configuration.executor.pricePerMillionFuel = pricePerMillionFuel }
        if let logLevel { configuration.logLevel = logLevel }
        if let reason = configuration.refusal {
            throw NodeServiceError(.configurationInvalid, "The settings cannot be used: \(reason).")
        }
    }

    private static func address(_ text: String) throws(NodeServiceError) -> Multiaddr {
        do {
            return try Multiaddr(parsing: text)
        } catch {
            throw NodeServiceError(
                .invalidRequest, "\"\(text)\" is no multiaddr: \(error).",
                hint: "Write it like /ip4/127.0.0.1/tcp/4001.")
        }
    }
}
