import Foundation
import NodeAPI
import NodeAPITesting
import Testing

/// What a node writes about those who come with secrets: never the secrets.
@Suite("Secrets and the log", .serialized)
struct SecretLogTests {
    /// A receiver of traces that keeps all that it is sent in a file, and prints its port.
    private static let receiver = """
        import http.server, sys
        class Keep(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                with open(sys.argv[1], "ab") as kept:
                    kept.write(f"{self.path} {self.headers}".encode() + body)
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()
            def log_message(self, *_): pass
        server = http.server.HTTPServer(("127.0.0.1", 0), Keep)
        print(server.server_port, flush=True)
        server.serve_forever()
        """
    private static let python = "/usr/bin/python3"

    private let folder = URL(fileURLWithPath: "/tmp/ms-\(UUID().uuidString.prefix(8))")

    /// A browser that signed in: its cookie, and what its page says with each change.
    private struct Browser {
        let code: String
        let cookie: String
        let page: String
        var name: String { String(cookie.split(separator: "=")[0]) }
        var secret: String { String(cookie.split(separator: "=")[1]) }
        var headers: [String] {
            ["cookie: \(cookie)", "mesh-page-secret: \(page)", "sec-fetch-site: same-origin"]
        }
    }

    /// Asks the API as a program would that somebody else wrote.
    private func ask(
        _ address: String, _ method: String, _ target: String, _ body: String = "", _ headers: [String] = []
    ) throws -> WebAnswer {
        let lines =
            [
                "\(method) \(target) HTTP/1.1", "connection: close", "host: \(address.dropFirst("http://".count))",
                "origin: \(address)", "content-type: application/json", "content-length: \(body.utf8.count)",
            ] + headers
        let text = lines.joined(separator: "\r\n") + "\r\n\r\n" + body
        let bytes = try PlainHTTP.exchange(address, Data(text.utf8))
        return try #require(WebAnswer([UInt8](bytes)), "\(method) \(target): \(String(decoding: bytes, as: UTF8.self))")
    }

    /// The code of a link by `mesh dashboard`, which stands behind its `#`, where no browser sends it anywhere.
    private func code(_ node: NodeProcess, _ options: String...) throws -> String {
        let link = try node.run(["dashboard"] + options).output
        let parts = link.split(whereSeparator: \.isNewline)[0].split(separator: "#")
        try #require(parts.count == 2 && parts[0].hasSuffix("/dashboard/"), "\(link)")
        return String(parts[1])
    }

    private func signIn(_ node: NodeProcess, at address: String) throws -> Browser {
        let code = try code(node)
        let answer = try ask(address, "POST", "/v1/sign-in", "{\"code\":\"\(code)\"}")
        try #require(answer.status == 200, "\(answer)")
        let cookie = try #require(answer.headers["set-cookie"]?.split(separator: ";").first)
        let session = try #require(try JSONSerialization.jsonObject(with: answer.content) as? [String: Any])
        return Browser(code: code, cookie: String(cookie), page: try #require(session["page_secret"] as? String))
    }

    /// Uses each secret where it belongs.
    private func use(_ tokens: [String], _ browser: Browser, at address: String) throws {
        for token in tokens {
            #expect(try ask(address, "GET", "/v1/status", "", ["authorization: Bearer \(token)"]).status == 200)
        }
        #expect(try ask(address, "GET", "/v1/session", "", [browser.headers[0]]).status == 200)
        #expect(try ask(address, "POST", "/v1/gc", "", browser.headers).status == 200)
    }

    /// Comes with secrets that are none, or not in their place: used twice, in what does not read, in an address.
    private func misuse(_ bad: [String], _ astray: [String], _ browser: Browser, at address: String) throws {
        for (body, status) in [
            ("{\"code\":\"\(browser.code)\"}", 403), ("{\"code\":\"\(bad[0])\"}", 403),
            ("{\"code\":\"\(bad[0])\",", 400),
            ("{\"code\":[\"\(bad[0])\"]}", 400), ("\(bad[0])", 400),
        ] {
            #expect(try ask(address, "POST", "/v1/sign-in", body).status == status, "\(body)")
        }
        for scheme in ["Bearer ", "Basic ", "", "Bearer \(bad[1]) "] {
            #expect(try ask(address, "GET", "/v1/status", "", ["authorization: \(scheme)\(bad[1])"]).status == 401)
        }
        #expect(try ask(address, "GET", "/v1/status", "", ["cookie: \(browser.name)=\(bad[2])"]).status == 401)
        let page = [browser.headers[0], "mesh-page-secret: \(bad[3])", browser.headers[2]]
        #expect(try ask(address, "POST", "/v1/gc", "", page).status == 401)
        for secret in astray {
            for target in [
                "/v1/status?token=\(secret)", "/v1/jobs/\(secret)", "/dashboard/\(secret)",
                "/dashboard/?code=\(secret)",
                "/\(secret)", "/v1/jobs?label=\(secret)&limit=\(secret)", "/v1/files/\(secret)",
            ] {
                for headers in [["authorization: Bearer \(astray[0])"], []] {
                    _ = try ask(address, "GET", target, "", headers)
                }
            }
            for text in [
                "\(secret)\r\n\r\n", "GET / HTTP/1.1\r\n\(secret) \r\n\r\n",
                "GET /v1/status HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \(secret)\r\n\r\n",
            ] {
                _ = try PlainHTTP.exchange(
                    address, Data(text.replacing("HTTP/1.1\r\n", with: "HTTP/1.1\r\nconnection: close\r\n").utf8))
            }
        }
    }

    /// A node at the finest level of its log, with the API on, which sends its traces to a port.
    private func node(traces port: String, format: String) throws -> (node: NodeProcess, address: String) {
        let node = try NodeProcess("node", in: folder, ["--executor"])
        for (key, value) in [
            ("log_level", "trace"), ("log_format", format), ("api.listen", "127.0.0.1:0"),
            ("traces.endpoint", "http://127.0.0.1:\(port)"),
        ] {
            let set = try node.run(["config", "set", key, value])
            try #require(set.status == 0, "\(set.errors)")
        }
        try node.start()
        try node.waitUntilUp()
        let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
        return (node, try #require(status["api_address"] as? String))
    }

    @Test(
        "No token, code, cookie or secret of a page, good or bad, is in what a node logs at the finest level or traces",
        .enabled(if: FileManager.default.isExecutableFile(atPath: python), "it needs python3"),
        arguments: ["text", "json"])
    func nothingIsWritten(format: String) throws {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let traced = folder.appendingPathComponent("traced")
        let receiver = try RunningCommand(["-c", Self.receiver, traced.path], program: URL(filePath: Self.python))
        defer { receiver.signal(SIGKILL) }
        try eventually("the receiver listens") { receiver.outputSoFar.hasSuffix("\n") }
        let port = receiver.outputSoFar.trimmingCharacters(in: .whitespacesAndNewlines)
        let (node, address) = try node(traces: port, format: format)
        defer { node.kill() }
        let tokens = try ["api-token", "api-token-read"].map { name in
            try String(contentsOf: node.home.appendingPathComponent(name), encoding: .utf8)
                .trimmingCharacters(in: .whitespacesAndNewlines)
        }
        let browser = try signIn(node, at: address)
        try use(tokens, browser, at: address)
        let bad = (0..<5).map { _ in APISecret.random().text }
        let astray = tokens + [browser.code, browser.secret, browser.page, bad[4]]
        try misuse(bad, astray, browser, at: address)
        // A job, so that there are traces.
        let module = folder.appendingPathComponent("m.wasm")
        try Data(try GuestModules.command("")).write(to: module)
        let ran = try node.run(["run", module.path])
        #expect(ran.status == 0, "\(ran.errors)")
        try eventually("a trace of the job has come") {
            (FileManager.default.contents(atPath: traced.path) ?? Data()).range(of: Data("traceId".utf8)) != nil
        }
        #expect(try ask(address, "POST", "/v1/sign-out", "", browser.headers).status == 204)
        let unused = try code(node, "--read-only")
        #expect(try node.run(["config", "list", "--running"]).output.contains(/log_level +trace/))
        #expect(node.stop() == 0)

        let (log, traces) = (Data(node.log.utf8), try Data(contentsOf: traced))
        #expect(node.log.contains("job_submitted"), "\(node.log)")
        for secret in astray + [unused] + bad {
            // Half of one is too much, too.
            let half = Data(secret.utf8.prefix(secret.utf8.count / 2))
            for (what, bytes) in [("the log", log), ("the traces", traces)] {
                #expect(bytes.range(of: half) == nil, "\(secret) is in \(what)")
            }
        }
    }
}
