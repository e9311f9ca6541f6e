import Foundation
import MeshHTTP
import Multiformats
import NodeAPI
import NodeAPITesting
import NodeSetup
import Testing

@testable import MeshCLI

/// What `mesh doctor` makes of what it sees.
@Suite("The doctor")
struct DoctorTests {
    /// A machine on which nothing is wrong, with a node that runs.
    private static func facts(_ change: (inout DoctorFacts) throws -> Void = { _ in }) throws -> DoctorFacts {
        var status = Samples.status
        status.addresses = ["/ip4/8.8.8.8/tcp/4001"]
        status.storage?.state = "open"
        status.runIsolation = ["process", "seccomp", "landlock"]
        var configuration = NodeConfiguration()
        configuration.bootstrap = [try Multiaddr(parsing: "/ip4/192.0.2.1/tcp/4001")]
        var facts = DoctorFacts(
            home: .init(path: "/home"), key: .success(false), configuration: .success(configuration),
            node: .success(status))
        facts.isClockSet = true
        facts.places = [.init(name: "peers", address: "/ip4/8.8.8.8/tcp/4001", isTaken: false)]
        facts.contacts = [.init(address: configuration.bootstrap[0], answers: true)]
        facts.diskFreeBytes = 64 << 30
        facts.descriptors = DescriptorPlan(configuration, allowed: 1 << 20)
        facts.memoryBytes = 8 << 30
        facts.isolation = ["seccomp", "landlock"]
        try change(&facts)
        return facts
    }

    private static let checks = [
        "home", "key", "tokens", "config", "node", "clock", "ports", "reachability", "bootstrap", "peers", "disk",
        "files", "memory", "sandbox",
    ]

    private func findings(_ change: (inout DoctorFacts) throws -> Void = { _ in }) throws -> [DoctorFinding] {
        Doctor(version: Samples.status.version, facts: try Self.facts(change)).findings
    }

    /// The one finding that a change makes.
    private func changed(_ change: (inout DoctorFacts) throws -> Void) throws -> DoctorFinding {
        let before = try findings()
        let after = try findings(change).filter { !before.contains($0) }
        #expect(after.count == 1, "\(after)")
        let finding = try #require(after.first)
        #expect(
            finding.verdict == .ok || finding.remedy?.hasSuffix(".") == true
                || finding.remedy?.contains("chmod") == true)
        #expect(!finding.detail.hasSuffix("."), "\(finding.detail)")
        return finding
    }

    private func status(_ facts: inout DoctorFacts, _ change: (inout NodeStatus) -> Void) throws {
        var status = try facts.node.get()
        change(&status)
        facts.node = .success(status)
    }

    @Test("Where nothing is wrong, each check says ok and nothing is to be done")
    func healthy() throws {
        let all = try findings()
        #expect(all.map(\.check) == Self.checks)
        for finding in all { #expect(finding.verdict == .ok && finding.remedy == nil, "\(finding)") }
        let text = DoctorCommand.text(all)
        #expect(text.split(separator: "\n").count >= Self.checks.count + 1)
    }

    @Test("A node that does not run is no fault, and the rest is looked at")
    func stopped() throws {
        let all = try findings { $0.node = .failure(NodeServiceError(.nodeNotRunning, "No node.")) }
        #expect(all.map(\.check) == Self.checks.filter { $0 != "peers" })
        #expect(!all.contains { $0.verdict == .bad }, "\(all)")
        let hung = try findings { $0.node = .failure(NodeServiceError(.timedOut, "It is silent.", hint: "Wait.")) }
        #expect(hung.filter { $0.verdict == .bad } == [.bad("node", "It is silent", "Wait.")])
    }

    @Test("Without a node in the home folder that alone is told")
    func absent() throws {
        let all = try findings { $0.home.fault = NodeServiceError(.notInitialised, "None.", hint: "Run mesh init.") }
        #expect(all == [.bad("home", "None", "Run mesh init.")])
    }

    @Test("What is wrong with the home, the key and the settings is told with what to do")
    func home() throws {
        #expect(try changed { $0.home.othersMode = 0o005 }.verdict == .warn)
        #expect(try changed { $0.home.othersMode = 0o020 }.verdict == .bad)
        #expect(try changed { $0.home.isWritable = false }.verdict == .bad)
        let open = NodeServiceError(.keyUnusable, "The key file is open to others.", hint: "Close it with: chmod 600 k")
        let key = try changed { $0.key = .failure(open) }
        #expect(key == .bad("key", "The key file is open to others", "Close it with: chmod 600 k"))
        #expect(try changed { $0.key = .success(true) }.verdict == .ok)
        #expect(try changed { $0.tokenFault = open }.check == "tokens")
        let now = Date(timeIntervalSince1970: 1_900_000_000)
        for (days, verdict) in [(15, DoctorFinding.Verdict.ok), (13, .warn)] {
            let certificate = try changed {
                let end = now.addingTimeInterval(Double(days) * 86_400)
                ($0.now, $0.certificate) = (now, .success(CertificateFacts(end: end, fingerprint: "aa")))
            }
            #expect(certificate.check == "certificate" && certificate.verdict == verdict, "\(certificate)")
            let until = days == 15 ? "2030-04-01T17:46:40Z" : "2030-03-30T17:46:40Z"
            #expect(certificate.detail.contains("good until \(until)"))
        }
        #expect(try changed { $0.certificate = .failure(open) } == .bad("certificate", key.detail, key.remedy ?? ""))
        #expect(try changed { $0.isConfigurationNewer = true }.remedy?.contains("mesh stop") == true)
        let all = try findings { facts in
            facts.configuration = .failure(NodeServiceError(.configurationInvalid, "It is no JSON.", hint: "Mend it."))
        }
        #expect(all.contains(.bad("config", "It is no JSON", "Mend it.")))
    }

    @Test("A certificate that is for another host than clients call it, or that the node has not read yet, is told")
    func certificates() throws {
        let now = Date(timeIntervalSince1970: 1_900_000_000)
        func finding(_ listen: String, name: String?, running: String?, _ names: [String]) throws -> DoctorFinding? {
            try findings { facts in
                var configuration = try facts.configuration.get()
                (configuration.api.listen, configuration.api.name) = (listen, name)
                facts.configuration = .success(configuration)
                try status(&facts) { $0.apiCertificate = running }
                var known = CertificateFacts(end: now.addingTimeInterval(90 * 86_400), fingerprint: "aa")
                (known.names, known.addresses) = (names, [[192, 0, 2, 1]])
                (facts.now, facts.certificate) = (now, .success(known))
            }.first { $0.check == "certificate" }
        }
        let sound = try finding("0.0.0.0:4443", name: "a.org", running: "aa", ["b.org", "a.org"])
        #expect(sound?.verdict == .ok)
        let other = try finding("0.0.0.0:4443", name: "a.org", running: "aa", ["b.org"])
        #expect(other?.verdict == .warn && other?.detail.contains("is not for a.org") == true)
        // Without a name it is the address that clients call.
        #expect(try finding("192.0.2.1:4443", name: nil, running: nil, [])?.verdict == .ok)
        #expect(try finding("192.0.2.2:4443", name: nil, running: nil, [])?.detail.contains("192.0.2.2") == true)
        let old = try finding("0.0.0.0:4443", name: "a.org", running: "bb", ["a.org"])
        #expect(old?.verdict == .warn && old?.remedy == "Have it read with mesh config reload.")
    }

    @Test("What is wrong with the node and its clock is told")
    func node() throws {
        let other = try changed { facts in try status(&facts) { $0.version = "0.0.9" } }
        #expect(other.check == "node" && other.verdict == .warn && other.detail.contains("0.0.9"))
        #expect(try changed { facts in try status(&facts) { $0.keyWarning = "Two." } }.verdict == .bad)
        #expect(try changed { facts in try status(&facts) { $0.journalWarning = "One." } }.verdict == .warn)
        let issuer = try changed { facts in try status(&facts) { $0.issuerWarning = "Two of four report." } }
        #expect(issuer.check == "issuer" && issuer.verdict == .bad && issuer.detail == "Two of four report")
        let clock = try changed { facts in try status(&facts) { $0.clockWarning = "It is 400 s behind." } }
        #expect(clock.check == "clock" && clock.verdict == .bad && clock.detail == "It is 400 s behind")
        #expect(try changed { $0.isClockSet = false }.verdict == .warn)
        #expect(try changed { $0.isClockSet = nil }.verdict == .ok)
    }

    @Test("What is wrong with ports, reachability and peers is told")
    func network() throws {
        let taken = try changed { $0.places = [.init(name: "api", address: "/ip4/127.0.0.1/tcp/4080", isTaken: true)] }
        #expect(taken.verdict == .bad && taken.remedy?.contains("mesh config set api.listen") == true)
        #expect(try changed { $0.places = [] }.verdict == .warn)
        let local = try changed { facts in try status(&facts) { $0.addresses = ["/ip4/192.168.1.2/tcp/4001"] } }
        #expect(local.check == "reachability" && local.detail.contains("own network"))
        for address in [
            "/ip4/203.0.113.7/tcp/4001", "/ip4/192.0.2.1/tcp/1", "/ip4/198.51.100.9/tcp/1", "/ip6/2001:db8::1/tcp/1",
        ] {
            let example = try changed { facts in try status(&facts) { $0.addresses = [address] } }
            #expect(example.verdict == .warn && example.detail.contains("address for documentation"), "\(address)")
            #expect(example.remedy?.contains("mesh config set listen ADDRESS") == true)
        }
        let benchmarks = try changed { facts in try status(&facts) { $0.addresses = ["/ip4/198.18.0.1/tcp/4001"] } }
        #expect(benchmarks.detail.contains("own network"))
        let alone = try changed { facts in try status(&facts) { $0.addresses = ["/ip6/::1/tcp/4001"] } }
        #expect(alone.detail.contains("only this machine"))
        let announced = try findings { facts in
            try status(&facts) { $0.addresses = ["/ip4/192.168.1.2/tcp/4001"] }
            var configuration = try facts.configuration.get()
            configuration.announce = [try Multiaddr(parsing: "/ip4/8.8.4.4/tcp/4001")]
            facts.configuration = .success(configuration)
        }
        #expect(announced.first { $0.check == "reachability" }?.verdict == .ok)
        #expect(try changed { $0.contacts[0].answers = false }.verdict == .warn)
        let lonely = try findings { facts in
            facts.contacts[0].answers = false
            try status(&facts) { $0.connectedPeers = 0 }
        }
        #expect(lonely.filter { $0.verdict == .bad }.map(\.check) == ["bootstrap"])
        #expect(lonely.filter { $0.verdict == .warn }.map(\.check) == ["peers"])
    }

    @Test("What is wrong with the machine is told")
    func machine() throws {
        #expect(try changed { $0.diskFreeBytes = 1 << 20 }.verdict == .bad)
        #expect(try changed { $0.diskFreeBytes = 512 << 20 }.verdict == .warn)
        #expect(try changed { facts in try status(&facts) { $0.storage?.state = "full" } }.verdict == .bad)
        #expect(try changed { facts in try status(&facts) { $0.storage?.state = "locked" } }.verdict == .bad)
        let files = try changed { $0.descriptors = DescriptorPlan(NodeConfiguration(), allowed: 256) }
        #expect(files.check == "files" && files.verdict == .warn)
        #expect(try changed { $0.memoryBytes = 512 << 20 }.check == "memory")
        let kernel = try changed { facts in try status(&facts) { $0.runIsolation = ["process", "seccomp"] } }
        #expect(kernel.detail.contains("no landlock"))
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024       4096      files\n"
        #expect(DoctorFacts.openFilesMax(in: limits) == 1_024)
    }

    @Test("An address where somebody listens answers, one where nobody does is silent, and a name is not tried")
    func probe() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        let any = try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/0")
        let isBound = ListenPorts.withSocketAddress(any, port: 0) { bind(descriptor, $1, $2) == 0 }
        try #require(isBound == true && listen(descriptor, 4) == 0)
        var own = sockaddr_in()
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isNamed = withUnsafeMutablePointer(to: &own) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &size) == 0 }
        }
        try #require(isNamed)
        let addresses = try [
            "/ip4/127.0.0.1/tcp/\(UInt16(bigEndian: own.sin_port))", "/ip4/127.0.0.1/tcp/1", "/dns4/localhost/tcp/1",
            "/ip4/255.255.255.255/tcp/1",  // refused before anything is sent, as all are without a network
        ].map { try Multiaddr(parsing: $0) }
        #expect(TCPProbe.answers(at: addresses, milliseconds: 2_000) == [true, false, nil, false])
    }
}
