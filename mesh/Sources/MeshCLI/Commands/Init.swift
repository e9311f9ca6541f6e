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
        discussion: """
            The node will run other people's jobs, unless --no-executor is given, and listens on port 4001 of all \
            interfaces, or on the next port that is free and that no node in ~/.mesh or beside this home has in its \
            config.json; --listen names other addresses. If only config.json is missing, init writes a fresh one \
            and keeps the node's key. Without its key a node that ever ran is lost: init makes no other beside its \
            data.
            """)

    @OptionGroup var global: GlobalOptions
    @OptionGroup var settings: NodeSettings

    @Flag(help: "Encrypt the key with a passphrase, from MESH_PASSPHRASE or the prompt.")
    var encrypt = false

    func perform(_ console: Console) async throws -> ExitCode {
        let home = global.nodeHome
        if home.isInitialised, !encrypt, !FileManager.default.fileExists(atPath: home.configurationPath) {
            return try renew(home, console)
        }
        if !home.isInitialised, let missing = NodeServiceError.noPermission(for: .making, of: home.keyPath) {
            throw missing
        }
        guard !home.isInitialised else {
            throw NodeServiceError(
                .alreadyInitialised, "There is already a node in \(home.path).",
                hint: "Start it with mesh up\(home.option), or choose another --home.")
        }
        try home.requireKeyOfData()
        // Refuses what it can before it makes anything.
        let (configuration, takenPort) = try chosen(for: home)
        let passphrase = encrypt ? try Passphrase.choose() : nil
        try HomeFolder.make(home, option: "--home")
        let identity = try KeyStore(path: home.keyPath).create(passphrase: passphrase)
        _ = try APITokens.obtain(in: home)
        try LocalFile.write([UInt8](configuration.encoded()), to: home.configurationPath)
        try tell(InitReport(home, configuration, identity, takenPort: takenPort), home, console)
        return .success
    }

    /// Writes the configuration of an existing node.
    private func renew(_ home: NodeHome, _ console: Console) throws -> ExitCode {
        let (configuration, takenPort) = try chosen(for: home)
        try LocalFile.write([UInt8](configuration.encoded()), to: home.configurationPath)
        if !global.json { console.note("A fresh config.json is there; the key is the one that was.") }
        try tell(InitReport(home, configuration, nil, takenPort: takenPort), home, console)
        return .success
    }

    /// The configuration that the node gets: the one that is there, else the defaults, with the given options.
    private func chosen(for home: NodeHome) throws -> (NodeConfiguration, takenPort: UInt16?) {
        var configuration = NodeConfiguration()
        var takenPort: UInt16?
        if FileManager.default.fileExists(atPath: home.configurationPath) {
            configuration = try NodeConfiguration.load(path: home.configurationPath)
        } else if settings.listen.isEmpty {
            let neighbours = ListenPorts.ports(ofNodesBeside: home)
            let choice = ListenPorts.choose(configuration.listen) { address in
                ListenPorts.isTaken(address) || ListenPorts.port(address).map(neighbours.contains) ?? false
            }
            (configuration.listen, takenPort) = (choice.listen, choice.takenPort)
        }
        try settings.apply(to: &configuration)
        return (configuration, takenPort)
    }

    private func tell(_ report: InitReport, _ home: NodeHome, _ console: Console) throws {
        guard !global.json else { return try console.json(report) }
        console.out(Table.facts(report.facts))
        for note in report.notes { console.note(note) }
        console.note("Start the node with mesh up\(home.option).")
    }
}

/// What `init` made, as JSON, and in words.
struct InitReport: Encodable {
    let home: String
    /// Absent where the node had its key before.
    let did: String?
    let peerID: String?
    let listen: [String]
    /// Whether it runs other people's jobs, and at which prices.
    let executor: Bool
    let priceBase: UInt64
    let pricePerMillionFuel: UInt64
    /// Whether it looks for nodes on the local network.
    let mdns: Bool
    /// The usual port, where another program has it.
    let takenPort: UInt16?
    private let option: String

    init(_ home: NodeHome, _ configuration: NodeConfiguration, _ identity: Identity?, takenPort: UInt16?) {
        self.home = home.path
        did = identity?.did.text
        peerID = identity?.peerID.text
        listen = configuration.listen.map(\.text)
        executor = configuration.executor.isEnabled
        priceBase = configuration.executor.priceBase
        pricePerMillionFuel = configuration.executor.pricePerMillionFuel
        mdns = configuration.findsLocalNodes
        self.takenPort = takenPort
        option = home.option
    }

    private enum CodingKeys: String, CodingKey {
        case home, did, listen, executor, mdns
        case peerID = "peer_id"
        case priceBase = "price_base"
        case pricePerMillionFuel = "price_per_million_fuel"
        case takenPort = "taken_port"
    }

    /// What there is, line by line.
    var facts: [(name: String, value: String)] {
        var facts = [(name: "home", value: home)]
        if let did, let peerID { facts += NodeNames.facts(did: did, peerID: peerID) }
        facts += listen.map { ("listens on", $0) }
        let prices =
            "\(Readable.tokens(priceBase)) and \(Readable.count(pricePerMillionFuel)) per million units of fuel"
        facts.append(("runs jobs", executor ? "anybody's, for \(prices)" : "nobody's"))
        return facts
    }

    /// What its owner should know.
    var notes: [String] {
        var notes: [String] = []
        if let takenPort {
            let taken = "Port \(takenPort) is taken by another program or node on this machine"
            let isMoved = !listen.contains { $0.hasSuffix("/tcp/\(takenPort)") }
            notes.append(
                isMoved
                    ? "\(taken), so the node gets the next free one."
                    : "\(taken), and so are the next ones: set a free one under \"listen\" in config.json.")
        }
        if !mdns {
            notes.append(
                "It looks for no nodes on the local network. To have it find them, and be found, run mesh config set "
                    + "mdns true\(option).")
        }
        if executor {
            notes.append(
                "The node runs other people's jobs, which cannot touch this machine. To run none, set "
                    + "executor.enabled to false in config.json.")
        }
        return notes
    }
}

/// The settings that `init` writes and `up` overrides.
struct NodeSettings: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "An address to listen on, such as /ip4/0.0.0.0/tcp/4001; may be given several times.",
            valueName: "address"))
    var listen: [String] = []

    @Option(
        help: ArgumentHelp(
            "The address of a peer to stay connected to, as its mesh status prints it; may be given several times.",
            valueName: "address"))
    var bootstrap: [String] = []

    @Flag(inversion: .prefixedNo, help: "Run other people's jobs, or none.")
    var executor: Bool?

    @Option(help: "The region that the node states, such as eu.")
    var region: String?

    @Option(help: "The base price of a job, in tokens.", transform: Quantity.whole("a number of tokens"))
    var priceBase: UInt64?

    @Option(
        help: "The price of a million units of fuel, in tokens.", transform: Quantity.whole("a number of tokens"))
    var pricePerMillionFuel: UInt64?

    @Option(
        defaultAsFlag: NodeConfiguration.API.usual, parsing: .next,
        help: ArgumentHelp(
            "Offer the API, and the dashboard, on a TCP port, for browsers and for programs with a token: of this "
                + "machine alone, or beyond it with a certificate (api.tls_certificate).", valueName: "address"))
    var api: String?

    @Option(help: "How much to log: \(LogLevels.names).", transform: LogLevels.named)
    var logLevel: String?

    /// Overrides the configuration with the given options.
    func apply(to configuration: inout NodeConfiguration) throws(NodeServiceError) {
        if !listen.isEmpty { configuration.listen = try listen.map(Self.address) }
        if !bootstrap.isEmpty { configuration.bootstrap = try bootstrap.map(Self.address) }
        if let executor { configuration.executor.isEnabled = executor }
        if let region { configuration.region = region }
        if let priceBase { configuration.executor.priceBase = priceBase }
        if let pricePerMillionFuel { configuration.executor.pricePerMillionFuel = pricePerMillionFuel }
        if let api { configuration.api.listen = api }
        if let logLevel { configuration.logLevel = logLevel }
        if let reason = configuration.refusal {
            throw NodeServiceError(
                .configurationInvalid, "The settings cannot be used: \(reason).",
                hint: "Change the option, or the key in config.json that it stands for.")
        }
    }

    /// What the options say, by key, for settings that come before those of file and environment.
    func values() throws(NodeServiceError) -> [String: ConfigurationValue] {
        var words: [String: [String]] = [:]
        for (key, addresses) in [("listen", listen), ("bootstrap", bootstrap)] where !addresses.isEmpty {
            words[key] = try addresses.map { text throws(NodeServiceError) in try Self.address(text).text }
        }
        words["executor.enabled"] = executor.map { ["\($0)"] }
        words["region"] = region.map { [$0] }
        words["executor.price_base"] = priceBase.map { ["\($0)"] }
        words["executor.price_per_million_fuel"] = pricePerMillionFuel.map { ["\($0)"] }
        words["api.listen"] = api.map { [$0] }
        words["log_level"] = logLevel.map { [$0] }
        var values: [String: ConfigurationValue] = [:]
        for (key, words) in words { values[key] = try ConfigurationLayers.optionValue(of: words, for: key) }
        return values
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
