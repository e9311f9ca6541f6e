import Foundation
import Multiformats
import NodeAPITesting
import Testing

@testable import MeshHTTP

/// The dashboard's files: what a browser gets, and what it is told to let nobody do.
@Suite("The dashboard", .timeLimit(.minutes(1)))
struct DashboardTests {
    @Test func whoeverReachesTheNodeGetsThePageAndItsFiles() async throws {
        try await WebScene.run { scene in
            let page = try await scene.ask("/dashboard/")
            #expect(page.status == 200)
            #expect(page.headers["content-type"] == "text/html; charset=utf-8")
            let text = String(decoding: page.body, as: UTF8.self)
            #expect(text.contains("<title>Planetary Mesh</title>"))
            // What the page names is there, and nothing of it is elsewhere.
            let names = text.matches(of: /(?:href|src)="([^"#]+)"/).map { String($0.1) }
            #expect(names.contains("app.js") && names.contains("style.css") && names.count > 10)
            for name in names {
                let file = try await scene.ask("/dashboard/\(name)")
                #expect(file.status == 200 && !file.body.isEmpty, "\(name)")
                #expect(file.headers["content-type"] != "application/octet-stream", "\(name)")
                #expect(file.headers["content-disposition"] == "inline", "\(name)")
            }
            let total = DashboardFiles().files.values.reduce(0) { $0 + $1.bytes.count }
            #expect(total < 300_000)
        }
    }

    @Test func everyAnswerTellsTheBrowserWhatItMayDo() async throws {
        try await WebScene.run { scene in
            for name in DashboardFiles().files.keys.sorted() + [""] {
                let headers = try await scene.ask("/dashboard/\(name)").headers
                #expect(
                    headers["content-security-policy"]
                        == "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                        + "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
                        + "require-trusted-types-for 'script'; trusted-types 'none'", "\(name)")
                #expect(headers["x-content-type-options"] == "nosniff", "\(name)")
                #expect(headers["x-frame-options"] == "DENY", "\(name)")
                #expect(headers["referrer-policy"] == "no-referrer", "\(name)")
                #expect(headers["cross-origin-opener-policy"] == "same-origin", "\(name)")
                #expect(headers["cross-origin-resource-policy"] == "same-origin", "\(name)")
                #expect(headers["set-cookie"] == nil, "\(name)")
            }
        }
    }

    @Test func aFileThatTheBrowserHasIsNotSentAgain() async throws {
        try await WebScene.run { scene in
            let first = try await scene.ask("/dashboard/app.js")
            let tag = try #require(first.headers["etag"])
            #expect(tag == "\"\(CID.hashing(first.body, codec: .raw).text)\"")
            #expect(first.headers["cache-control"] == "no-cache")
            let again = try await scene.ask("/dashboard/app.js", "if-none-match: \(tag)")
            #expect(again.status == 304 && again.body.isEmpty && again.headers["etag"] == tag)
            let other = try await scene.ask("/dashboard/app.js", "if-none-match: \"another\"")
            #expect(other.status == 200 && other.body == first.body)
        }
    }

    @Test func anAddressWithoutAFileLeadsToThePage() async throws {
        try await WebScene.run { scene in
            for target in ["/", "/dashboard"] {
                let answer = try await scene.ask(target)
                #expect(answer.status == 307 && answer.headers["location"] == "/dashboard/", "\(target)")
            }
        }
    }

    @Test func nothingElseIsThere() async throws {
        try await WebScene.run { scene in
            let targets = [
                "/dashboard/other.js", "/dashboard/../v1/status", "/dashboard/%2e%2e/config.json",
                "/dashboard/app.js/x", "/dashboard/App.js", "/dashboard/%00", "/dashboard/files/app.js",
            ]
            for target in targets {
                let answer = try await scene.ask(target)
                #expect(answer.status == 404 && answer.problem == "no_such_route", "\(target)")
            }
            // It is served to this host's own pages only, as everything is.
            #expect(try await scene.ask("/dashboard/", host: "evil.invalid").problem == "host_refused")
        }
    }

    @Test func noScriptTurnsTextIntoMarkup() {
        // The policy would stop it; these say that nobody has to rely on it.
        let banned = [
            "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "DOMParser",
            "createContextualFragment", "srcdoc", "setHTMLUnsafe",
        ]
        for file in DashboardFiles().files.values where file.name.hasSuffix(".js") {
            let text = String(decoding: file.bytes, as: UTF8.self)
            for word in banned { #expect(!text.contains(word), "\(file.name): \(word)") }
        }
        let page = DashboardFiles().files["index.html"]?.bytes ?? []
        let text = String(decoding: page, as: UTF8.self)
        #expect(!text.contains("style=") && !text.contains("<style") && !text.contains("onload"))
        #expect(!text.matches(of: /<script[^>]*src=/).isEmpty && !text.contains("<script>"))
    }
}
