import Foundation
import NodeAPI
import P2PTesting
import Testing

@testable import NodeSetup

/// What the settings of TLS for the API need of each other, and of their files.
@Suite("TLS settings")
struct TLSSettingsTests {
    private func api(_ change: (inout NodeConfiguration.API) -> Void) -> NodeConfiguration.API {
        var api = NodeConfiguration.API()
        change(&api)
        return api
    }

    @Test("Beyond this machine the API needs TLS, a certificate its key, and every address a name")
    func faults() {
        func secured(_ listen: String, _ name: String? = nil) -> NodeConfiguration.API {
            api { ($0.tlsCertificate, $0.tlsKey, $0.listen, $0.name) = ("/c", "/k", listen, name) }
        }
        let rows: [(NodeConfiguration.API, String?)] = [
            (api { $0.listen = "127.0.0.1:4080" }, nil), (api { $0.listen = "[::1]:4080" }, nil), (api { _ in }, nil),
            (api { $0.listen = "192.168.1.2:4080" }, "the API speaks TLS alone"),
            (api { $0.listen = "[2001:db8::1]:4080" }, "api.tls_certificate and api.tls_key are missing"),
            (api { $0.listen = "0.0.0.0:4080" }, "the API speaks TLS alone"),
            (api { $0.tlsCertificate = "/c" }, "needs the key of the certificate"),
            (api { $0.tlsKey = "/k" }, "api.tls_key needs its certificate"),
            (secured("192.168.1.2:4080"), nil),
            (secured("0.0.0.0:4080"), "api.name has to say"),
            (secured("[::]:4080"), "api.name has to say"), (secured("[0:0::0]:4080"), "api.name has to say"),
            (secured("[::ffff:0.0.0.0]:4080"), "api.name has to say"),
            (secured("[::]:4080", "node.example.org"), nil),
        ]
        for (api, clause) in rows {
            #expect(clause == nil ? api.fault == nil : api.fault?.contains(clause ?? "") == true, "\(api)")
        }
        for name in ["Node", "a b", "-a", ".a", "", "a:1", "ä", String(repeating: "a", count: 254)] {
            #expect(!NodeConfiguration.API.isName(name), "\(name)")
        }
        for text in ["localhost:1", "1.2.3.4", "1.2.3.4:70000", "::1:80", "[::1]", "[]:1", "[1.2.3.4]:1"] {
            #expect(NodeConfiguration.API.place(text) == nil, "\(text)")
        }
    }

    @Test("A file that contradicts itself is refused by the key, and a variable or a further key mends it")
    func file() throws {
        let folder = try TestFolder()
        let path = folder.path + "/config.json"
        try Data(#"{"api": {"listen": "192.168.1.2:4080"}}"#.utf8).write(to: URL(filePath: path))
        #expect(throws: NodeServiceError.self) { try NodeConfiguration.load(path: path) }
        var file = try ConfigurationFile(path: path)
        #expect(file.faults.count == 1 && file.faults[0].contains("api.tls_certificate"))
        let variables = ["MESH_API_TLS_CERTIFICATE": "/c.pem", "MESH_API_TLS_KEY": "/k.pem"]
        let layers = try ConfigurationLayers(path: path, environment: variables, options: [:])
        #expect(try layers.read().configuration.api.tlsKey == "/k.pem")
        try file.set("api.tls_certificate", to: ["/c.pem"])
        try file.set("api.tls_key", to: ["/k.pem"])
        #expect(file.faults.isEmpty)
        #expect(throws: NodeServiceError.self) { try file.set("api.tls_key", to: ["k.pem"]) }
    }

    @Test("Both files are read within a bound; a key that others can read, or a missing certificate, is refused")
    func files() throws {
        let folder = try TestFolder()
        let (certificate, key) = (folder.path + "/c.pem", folder.path + "/k.pem")
        let files = try #require(TLSFiles(api { ($0.tlsCertificate, $0.tlsKey) = (certificate, key) }))
        #expect(TLSFiles(api { $0.tlsKey = key }) == nil)
        func message() -> String {
            do {
                return String(decoding: try files.read().certificate, as: UTF8.self)
            } catch {
                return error.message
            }
        }
        #expect(message().contains("TLS key \(key) cannot be read"))
        try Data("key".utf8).write(to: URL(filePath: key))
        try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: key)
        #expect(message().contains("is open to others (mode 640)"))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: key)
        #expect(message() == "The TLS certificate \(certificate) is missing.")
        try Data("certificate".utf8).write(to: URL(filePath: certificate))
        #expect(message() == "certificate")
        try Data(repeating: 65, count: TLSFiles.bytesMax + 1).write(to: URL(filePath: certificate))
        #expect(message().contains("longer than \(TLSFiles.bytesMax) bytes"))
    }
}
