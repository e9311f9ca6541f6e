import Foundation
import Testing

/// Programs that others wrote.
private enum Tools {
    static let curl = "/usr/bin/curl"
    static let openssl = "/usr/bin/openssl"
    static let python = "/usr/bin/python3"
    static let areHere = [curl, openssl, python].allSatisfy { FileManager.default.isExecutableFile(atPath: $0) }
}

/// The API beyond this machine, by the real binary and a client that somebody else wrote.
@Suite("The API over TLS, by command", .serialized, .enabled(if: Tools.areHere, "it needs curl, openssl and python3"))
struct TLSCommandTests {
    private static let name = "node.example.org"

    private let folder = FileManager.default.temporaryDirectory.appendingPathComponent("mt-\(UUID().uuidString)")
    private var certificate: String { folder.path + "/node.pem" }
    private var key: String { folder.path + "/key.pem" }

    init() throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    private func ran(_ program: String, _ arguments: [String]) throws -> NodeProcess.Finished {
        try RunningCommand(arguments, program: URL(filePath: program)).finish()
    }

    /// Makes a certificate that signs itself, with a key that only its owner can read.
    private func makeCertificate(at certificate: String, _ key: String) throws {
        let made = try ran(
            Tools.openssl,
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "60",
                "-keyout", key, "-out", certificate, "-subj", "/CN=\(Self.name)", "-addext",
                "subjectAltName=DNS:\(Self.name)",
            ])
        try #require(made.status == 0, "\(made.errors)")
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key)
    }

    /// Asks for the status of a node by a name, trusting a certificate.
    private func ask(
        _ node: NodeProcess, port: Int, trusting certificate: String, _ options: [String] = []
    ) throws -> NodeProcess.Finished {
        let token = try String(contentsOf: node.home.appendingPathComponent("api-token"), encoding: .utf8)
        let header = folder.appendingPathComponent("header")
        try Data("Authorization: Bearer \(token.trimmingCharacters(in: .whitespacesAndNewlines))\n".utf8).write(
            to: header)
        return try ran(
            Tools.curl,
            [
                "-sS", "--cacert", certificate, "--resolve", "\(Self.name):\(port):127.0.0.1", "-H", "@\(header.path)",
                "https://\(Self.name):\(port)/v1/status",
            ] + options)
    }

    /// Asks for the status of a node by the client in Clients/python, for which the name is this machine.
    private func askByPython(_ node: NodeProcess, port: Int, trusting certificate: String) throws
        -> NodeProcess.Finished
    {
        let clients = URL(filePath: #filePath).appending(path: "../../../../Clients/python").standardized
        let script = """
            import pathlib, socket, sys
            sys.path.insert(0, sys.argv[1])
            sys.dont_write_bytecode = True
            from planetary_mesh import Node
            by_name = socket.getaddrinfo
            socket.getaddrinfo = lambda host, *rest: by_name("127.0.0.1", *rest)
            token = pathlib.Path(sys.argv[3]).read_text().strip()
            print(Node(sys.argv[2], token, ca=sys.argv[4]).status()["api_address"])
            """
        return try ran(
            Tools.python,
            [
                "-c", script, clients.path, "https://\(Self.name):\(port)",
                node.home.appendingPathComponent("api-token").path, certificate,
            ])
    }

    @Test("Beyond this machine the API needs TLS; curl is answered by the name, and a renewed certificate is taken")
    func served() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        NodeProcess.hearHangUps()
        let node = try NodeProcess("node", in: folder, ["--no-executor"])
        defer { node.kill() }
        let bare = try NodeProcess.command(["up", "--home", node.home.path, "--api", "0.0.0.0:0"])
        #expect(bare.status == 234, "\(bare.errors)")
        #expect(bare.errors.contains("is beyond this machine, where the API speaks TLS alone"), "\(bare.errors)")
        try makeCertificate(at: certificate, key)
        let (otherCertificate, otherKey) = (folder.path + "/other.pem", folder.path + "/other-key.pem")
        try makeCertificate(at: otherCertificate, otherKey)
        for (setting, value) in [
            ("tls_certificate", certificate), ("tls_key", otherKey), ("name", Self.name), ("listen", "0.0.0.0:0"),
        ] {
            let set = try node.run(["config", "set", "api.\(setting)", value])
            #expect(set.status == 0, "\(set.errors)")
        }
        let mismatched = try NodeProcess.command(["up", "--home", node.home.path])
        #expect(mismatched.status == 234, "\(mismatched.errors)")
        #expect(mismatched.errors.contains("\(otherKey) is not that of the certificate"), "\(mismatched.errors)")
        #expect(try node.run(["config", "set", "api.tls_key", key]).status == 0)
        try node.start()
        try node.waitUntilUp()
        let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
        let address = try #require(status["api_address"] as? String)
        #expect(address.hasPrefix("https://\(Self.name):"))
        let port = try #require(address.split(separator: ":").last.flatMap { Int($0) })
        let answered = try ask(node, port: port, trusting: certificate)
        #expect(answered.status == 0 && answered.output.contains("\"api_address\":\"https:"), "\(answered)")
        let python = try askByPython(node, port: port, trusting: certificate)
        #expect(python.output == "\(address)\n", "\(python)")
        let deceived = try askByPython(node, port: port, trusting: otherCertificate)
        #expect(deceived.output.isEmpty && deceived.errors.contains("CERTIFICATE_VERIFY_FAILED"), "\(deceived)")
        let again = folder.appendingPathComponent("again")
        try Data("R\n".utf8).write(to: again)
        let renegotiated = try RunningCommand(
            ["s_client", "-connect", "127.0.0.1:\(port)", "-tls1_2"], program: URL(filePath: Tools.openssl),
            input: again
        ).finish()
        #expect(
            renegotiated.output.contains("TLSv1.2") && renegotiated.errors.contains("RENEGOTIATING\n")
                && renegotiated.errors.contains("unexpected eof") && renegotiated.status != 0,
            "\(renegotiated)")
        let elsewhere = try ask(node, port: port, trusting: certificate, ["-H", "Host: evil.example.org"])
        #expect(elsewhere.output.contains("host_refused"), "\(elsewhere)")
        let old = try ask(node, port: port, trusting: certificate, ["--tls-max", "1.1"])
        #expect(old.status != 0 && old.output.isEmpty, "\(old)")
        let plain = try ran(Tools.curl, ["-sS", "http://127.0.0.1:\(port)/v1/status"])
        #expect(plain.status != 0 && plain.output.isEmpty, "\(plain)")
        let link = try node.run(["dashboard"])
        #expect(link.output.hasPrefix("\(address)/dashboard/#"), "\(link)")

        for (from, to) in [(otherCertificate, certificate), (otherKey, key)] {
            try Data(contentsOf: URL(filePath: from)).write(to: URL(filePath: to))
        }
        #expect(try node.run(["doctor"]).output.contains("has the one before. Have it read with mesh config reload."))
        node.signal(SIGHUP)
        try eventually("the new certificate is taken") {
            try ask(node, port: port, trusting: otherCertificate).status == 0
        }
        #expect(try node.run(["doctor"]).output.contains("the API's is good until"))
        try Data("nothing".utf8).write(to: URL(filePath: certificate))
        let doctor = try node.run(["doctor"])
        #expect(doctor.output.contains("has no certificate in PEM"), "\(doctor)")
        let reload = try node.run(["config", "reload"])
        #expect(reload.errors.contains("goes on with the TLS certificate that it has"), "\(reload)")
        #expect(reload.status == 234 && reload.output.contains("Nothing has changed"), "\(reload)")
        #expect(try ask(node, port: port, trusting: otherCertificate).status == 0)
    }
}
