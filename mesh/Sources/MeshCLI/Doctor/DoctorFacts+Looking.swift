import CSandbox
import Foundation
import MeshHTTP
import Multiformats
import NodeAPI
import NodeSetup

extension DoctorFacts {
    /// How long connections to bootstrap peers may take, in milliseconds.
    static let connectMilliseconds: Int32 = 2_000
    /// Bootstrap peers that are tried.
    static let contactsMax = 8

    /// Looks at the node of a home and at the machine; changes nothing.
    static func look(at home: NodeHome) async -> DoctorFacts {
        var facts = DoctorFacts(
            home: look(atFolder: home), key: key(in: home),
            configuration: Result { () throws(NodeServiceError) in
                try ConfigurationLayers(
                    path: home.configurationPath, environment: ProcessInfo.processInfo.environment
                ).read().configuration
            }, node: .failure(NodeServiceError(.nodeNotRunning, "No node runs in \(home.path).")))
        guard facts.home.fault == nil else { return facts }
        facts.node = await status(in: home)
        facts.tokenFault = APITokens.fault(in: home)
        facts.isClockSet = isClockSet()
        facts.diskFreeBytes = freeBytes(at: home.path)
        facts.memoryBytes = ProcessInfo.processInfo.physicalMemory
        facts.isolation = isolation
        let status = try? facts.node.get()
        facts.isConfigurationNewer = await !ConfigGroup.outdated(home).isEmpty
        guard let configuration = try? facts.configuration.get() else { return facts }
        facts.descriptors = descriptors(configuration, status)
        facts.places = places(configuration, status)
        facts.contacts = contacts(configuration.bootstrap)
        facts.certificate = TLSFiles(configuration.api).map { files in
            Result { () throws(NodeServiceError) in try WebCertificate.facts(of: try files.read(), at: facts.now) }
        }
        return facts
    }

    private static func look(atFolder home: NodeHome) -> Home {
        var seen = Home(path: home.path)
        do {
            try home.requireShortPath()
            try home.requireInitialised()
        } catch {
            seen.fault = error
            return seen
        }
        var information = stat()
        if stat(home.path, &information) == 0 { seen.othersMode = UInt32(information.st_mode & 0o077) }
        seen.isWritable = access(home.path, W_OK | X_OK) == 0
        return seen
    }

    /// Reads the key as far as it can be read without a passphrase.
    private static func key(in home: NodeHome) -> Result<Bool, NodeServiceError> {
        Result { () throws(NodeServiceError) in
            let store = KeyStore(path: home.keyPath)
            if try store.isEncrypted() { return true }
            _ = try store.load()
            return false
        }
    }

    private static func status(in home: NodeHome) async -> Result<NodeStatus, NodeServiceError> {
        do {
            return .success(try await ConfigGroup.client(of: home).status())
        } catch {
            return .failure(error)
        }
    }

    /// What the kernel knows of it.
    private static func isClockSet() -> Bool? {
        let answer = sandbox_clock_of_kernel()
        return answer < 0 ? nil : answer == 1
    }

    private static func freeBytes(at path: String) -> UInt64? {
        var facts = statvfs()
        guard statvfs(path, &facts) == 0 else { return nil }
        let (bytes, overflow) = UInt64(facts.f_bavail).multipliedReportingOverflow(by: UInt64(facts.f_frsize))
        return overflow ? .max : bytes
    }

    /// What the process of the node may open; of one that does not run, what one of this user may.
    private static func descriptors(_ configuration: NodeConfiguration, _ status: NodeStatus?) -> DescriptorPlan? {
        let limits = status.flatMap { FileManager.default.contents(atPath: "/proc/\($0.processID)/limits") }
        return limits.flatMap { openFilesMax(in: String(decoding: $0, as: UTF8.self)) }
            .map { DescriptorPlan(configuration, allowed: $0) } ?? .underSystemLimit(for: configuration)
    }

    /// How many files a process may open, by what the system tells of its limits (proc_pid_limits(5)).
    static func openFilesMax(in limits: String) -> Int? {
        let name = "Max open files "
        let line = limits.split(separator: "\n").first { $0.hasPrefix(name) }
        return line?.dropFirst(name.count).split(separator: " ").first.flatMap { Int($0) }
    }

    private static var isolation: [String] {
        let kernel = sandbox_of_kernel()
        return [(SANDBOX_SYSTEM_CALLS, "seccomp"), (SANDBOX_FILES, "landlock")]
            .filter { kernel & Int32($0.0) != 0 }.map(\.1)
    }

    /// Where the node listens; of one that does not run, where it is to.
    private static func places(_ configuration: NodeConfiguration, _ status: NodeStatus?) -> [Place] {
        if let status {
            let web = [("api", status.apiAddress), ("gateway", status.gateway?.address)]
            return status.addresses.map { Place(name: "peers", address: $0, isTaken: false) }
                + web.compactMap { name, address in address.map { Place(name: name, address: $0, isTaken: false) } }
        }
        var wanted = configuration.listen.map { ("peers", $0) }
        if let gateway = configuration.gateway.listen { wanted.append(("gateway", gateway)) }
        if let api = configuration.api.place,
            let address = try? Multiaddr(
                parsing: "/\(api.host.contains(":") ? "ip6" : "ip4")/\(api.host)/tcp/\(api.port)")
        {
            wanted.append(("api", address))
        }
        return wanted.map { Place(name: $0, address: $1.text, isTaken: ListenPorts.isTaken($1)) }
    }

    /// Tries the first bootstrap peers that are named by IP addresses and TCP ports.
    private static func contacts(_ addresses: [Multiaddr]) -> [Contact] {
        let tried = Array(addresses.prefix(contactsMax))
        let answers = TCPProbe.answers(at: tried, milliseconds: connectMilliseconds)
        return zip(tried, answers).map { Contact(address: $0, answers: $1) }
            + addresses.dropFirst(contactsMax).map { Contact(address: $0, answers: nil) }
    }
}
