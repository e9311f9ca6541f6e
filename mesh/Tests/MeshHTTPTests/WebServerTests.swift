import Foundation
import Multiformats
import NIOConcurrencyHelpers
import NodeAPI
import NodeAPITesting
import Testing

@testable import MeshHTTP

/// Who may ask what over TCP: programs with a token, browsers that signed in, and nobody else.
@Suite("The API over TCP", .timeLimit(.minutes(1)))
struct WebServerTests {
    @Test func aTokenOpensTheAPIAndNoneOrAWrongOneDoesNot() async throws {
        try await WebScene.run { scene in
            let answer = try await scene.ask("/v1/status", scene.full)
            #expect(answer.status == 200)
            let status = try MeshJSON.decode(NodeStatus.self, from: answer.body)
            #expect(status.apiAddress == scene.origin)
            let nothing = try await scene.ask("/v1/status")
            #expect(nothing.status == 401 && nothing.problem == "not_signed_in")
            #expect(nothing.headers["www-authenticate"] == "Bearer realm=\"mesh\"")
            let wrong = [
                "Bearer \(APISecret.random().text)", "Bearer", "Basic \(scene.tokens.full.text)", "",
                "Bearer \(scene.tokens.full.text) \(scene.tokens.full.text)",
                "Bearer \(scene.tokens.full.text.dropLast())", "Bearer \(scene.tokens.full.text)0",
            ]
            for value in wrong {
                let answer = try await scene.ask("/v1/status", "authorization: \(value)")
                #expect(answer.status == 401 && answer.problem == "credentials_refused", "\(value)")
            }
            // Two tokens are none, and a good session does not make a wrong token good.
            let two = try await scene.ask("/v1/status", scene.full, scene.read)
            #expect(two.problem == "credentials_refused")
            let cookie = try await scene.cookie()
            let both = try await scene.ask("/v1/status", cookie, "authorization: Bearer wrong")
            #expect(both.problem == "credentials_refused")
        }
    }

    @Test func theTokenThatReadsChangesNothing() async throws {
        try await WebScene.run { scene in
            for operation in scene.operations where operation.access == .change {
                let target = operation.path.replacing(":cid", with: Samples.jobID.text)
                let method = operation.verb
                let answer = try await scene.ask(target, method: method, scene.read)
                #expect(answer.status == 403 && answer.problem == "read_only", "\(method) \(target)")
            }
            #expect(try await scene.ask("/v1/jobs?limit=1", scene.read).status == 200)
            let missing = try await scene.ask("/v1/blocks/missing", method: "POST", body: #"{"cids":[]}"#, scene.read)
            #expect(missing.status == 200)
            // Whatever is no GET changes something, unless it is one of these.
            let readers = scene.operations.filter { $0.verb != "GET" && $0.access != .change }.map(\.path)
            let known = [
                "/v1/blocks/missing", "/v1/receipts/:cid/verify", "/v1/sign-in", "/v1/sign-out",
            ]
            #expect(readers.sorted() == known)
        }
    }

    @Test func everyOperationNeedsATokenButSigningInAndTheDocument() async throws {
        try await WebScene.run { scene in
            let open = scene.operations.filter { $0.access == .anyone }.map(\.path)
            #expect(open == ["/v1/sign-in", "/openapi.json"])
            for operation in scene.operations {
                let target = operation.path.replacing(":cid", with: Samples.jobID.text)
                // There are more operations than refusals in a second.
                scene.seconds.withLockedValue { $0 += 1 }
                let answer = try await scene.ask(target, method: operation.verb)
                if operation.access == .anyone {
                    let expected = operation.path == "/v1/sign-in" ? 400 : 200
                    #expect(answer.status == expected, "\(target)")
                } else {
                    #expect(answer.status == 401, "\(operation.verb) \(target)")
                }
            }
        }
    }

    @Test func whatReadsTheOwnersFilesOrMakesLinksIsOnTheSocketAlone() async throws {
        try await WebScene.run { scene in
            for path in ["/v1/files/parts", "/v1/sign-in-links"] {
                let answer = try await scene.ask(path, method: "POST", body: "{}", scene.full)
                #expect(answer.problem == (path == "/v1/files/parts" ? "method_not_allowed" : "no_such_route"))
            }
            let other = try await scene.ask("/v1/status", method: "DELETE", scene.full)
            #expect(other.status == 405 && other.headers["allow"] == "GET")
        }
    }

    @Test(arguments: [
        "evil.example", "evil.example:PORT", "127.0.0.1", "127.0.0.1:1", "127.0.0.2:PORT", "localhost",
        "localhost:PORT", "",
    ])
    func anotherHostIsRefused(_ host: String) async throws {
        try await WebScene.run { scene in
            let host = host.replacing("PORT", with: "\(scene.port)")
            for target in ["/v1/status", "/v1/nothing", "/dashboard/"] {
                let answer = try await scene.ask(target, host: host, scene.full)
                #expect(answer.status == 403 && answer.problem == "host_refused", "\(target) of \(host)")
            }
        }
    }

    @Test func onlyItsAddressIsItsName() async throws {
        try await WebScene.run { scene in
            #expect(try await scene.ask("/v1/status", host: "127.0.0.1:\(scene.port)", scene.full).status == 200)
            let second = try await scene.ask("/v1/status", scene.full, "host: evil.example")
            #expect(second.problem == "host_refused")
        }
    }

    @Test func anotherOriginIsRefused() async throws {
        try await WebScene.run { scene in
            let cookie = try await scene.cookie()
            let origins = [
                "http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:\(scene.port)",
                "http://localhost:\(scene.port)", "http://127.0.0.1:\(scene.port)/", "",
            ]
            for origin in origins {
                for credential in [scene.full, cookie] {
                    let answer = try await scene.ask("/v1/status", credential, "origin: \(origin)")
                    #expect(answer.status == 403 && answer.problem == "origin_refused", "\(origin)")
                }
                let signIn = try await scene.signIn(scene.code(), "origin: \(origin)")
                #expect(signIn.problem == "origin_refused")
            }
            #expect(try await scene.ask("/v1/status", scene.full, "origin: \(scene.origin)").status == 200)
        }
    }

    @Test func aSessionChangesSomethingOnlyForAPageOfItsOwn() async throws {
        try await WebScene.run { scene in
            let (cookie, secret) = try await scene.page()
            #expect(try await scene.ask("/v1/status", cookie).status == 200)
            let bare = try await scene.ask("/v1/gc", method: "POST", cookie)
            #expect(bare.status == 403 && bare.problem == "origin_refused")
            // Of a page on another port of this machine, and of one that is elsewhere.
            for site in ["same-site", "cross-site", "Same-Origin"] {
                let answer = try await scene.ask("/v1/status", cookie, "sec-fetch-site: \(site)")
                #expect(answer.problem == "origin_refused", "\(site)")
            }
            let posted = try await scene.ask(
                "/v1/gc", method: "POST", cookie, "sec-fetch-site: same-origin")
            #expect(posted.problem == "origin_refused")
            let own = try await scene.ask("/v1/gc", method: "POST", cookie, "origin: \(scene.origin)", secret)
            #expect(own.status == 200)
            // As whoever got the cookie on another port would: it sets what headers it likes.
            let other = try await scene.page().secret
            for wrong in ["x: y", "mesh-page-secret:", other, secret + "\r\n" + secret] {
                let answer = try await scene.ask("/v1/gc", method: "POST", cookie, "origin: \(scene.origin)", wrong)
                #expect(answer.status == 401 && answer.problem == "credentials_refused", "\(wrong)")
            }
            // It has no origin, and changes something.
            let session = "/v1/jobs/\(Samples.jobID.text)/session"
            #expect(try await scene.ask(session, cookie).problem == "origin_refused")
            #expect(try await scene.ask(session, cookie, "sec-fetch-site: none").problem == "origin_refused")
            #expect(try await scene.ask(session, cookie, "sec-fetch-site: same-origin").status == 401)
            #expect(try await scene.ask(session, cookie, "sec-fetch-site: same-origin", secret).status == 200)
        }
    }

    @Test func aCodeSignsInOnceAndTheCookieIsTheBrowsersAlone() async throws {
        try await WebScene.run { scene in
            let code = try scene.code()
            let answer = try await scene.signIn(code, "origin: \(scene.origin)")
            #expect(answer.status == 200)
            let signedIn = try MeshJSON.decode(SignedIn.self, from: answer.body)
            #expect(signedIn.scope == .full && signedIn.seconds == 43_200 && signedIn.pageSecret != nil)
            let cookie = answer.headers["set-cookie"] ?? ""
            #expect(cookie.hasPrefix("mesh_session_\(scene.port)="))
            #expect(cookie.hasSuffix("; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200"))
            let again = try await scene.signIn(code)
            #expect(again.status == 403 && again.problem == "code_refused")
            #expect(again.headers["set-cookie"] == nil)
            for wrong in ["", code.uppercased() + "0", APISecret.random().text] {
                #expect(try await scene.signIn(wrong).problem == "code_refused")
            }
        }
    }

    @Test func codesAndSessionsExpire() async throws {
        try await WebScene.run { scene in
            let code = try scene.code()
            scene.seconds.withLockedValue { $0 += 300 }
            #expect(try await scene.signIn(code).problem == "code_refused")
            let cookie = try await scene.cookie()
            scene.seconds.withLockedValue { $0 += 43_199 }
            let last = try await scene.ask("/v1/session", cookie)
            let left = try MeshJSON.decode(SignedIn.self, from: last.body)
            #expect(left.seconds == 1 && left.pageSecret == nil)
            scene.seconds.withLockedValue { $0 += 1 }
            let over = try await scene.ask("/v1/session", cookie)
            #expect(over.status == 401 && over.problem == "credentials_refused")
        }
    }

    @Test func signingOutEndsTheSession() async throws {
        try await WebScene.run { scene in
            let cookie = try await scene.cookie(.read)
            let session = try await scene.ask("/v1/session", cookie)
            #expect(try MeshJSON.decode(SignedIn.self, from: session.body).scope == .read)
            let refused = try await scene.ask("/v1/gc", method: "POST", cookie, "origin: \(scene.origin)")
            #expect(refused.problem == "read_only")
            let answer = try await scene.ask("/v1/sign-out", method: "POST", cookie, "origin: \(scene.origin)")
            #expect(answer.status == 204)
            #expect(answer.headers["set-cookie"]?.contains("=; HttpOnly") == true)
            #expect(try await scene.ask("/v1/session", cookie).problem == "credentials_refused")
        }
    }

    @Test func tooManyCodesAndSessionsEndTheOldest() async throws {
        var limits = MeshHTTPLimits()
        (limits.webCodesMax, limits.webSessionsMax) = (2, 2)
        try await WebScene.run(limits: limits) { scene in
            let codes = [try scene.code(), try scene.code(), try scene.code()]
            #expect(try await scene.signIn(codes[0]).problem == "code_refused")
            #expect(try await scene.signIn(codes[1]).status == 200)
            #expect(try await scene.signIn(codes[2]).status == 200)
            let cookies = [try await scene.cookie(), try await scene.cookie(), try await scene.cookie()]
            #expect(try await scene.ask("/v1/session", cookies[0]).status == 401)
            #expect(try await scene.ask("/v1/session", cookies[1]).status == 200)
            #expect(try await scene.ask("/v1/session", cookies[2]).status == 200)
        }
    }

    @Test func onlySoManyCookiesAreLookedAt() async throws {
        var limits = MeshHTTPLimits()
        limits.webCookiesMax = 2
        try await WebScene.run(limits: limits) { scene in
            let own = try await scene.cookie().dropFirst("cookie: theme=dark; ".count)
            let other = "mesh_session_\(scene.port)=\(APISecret.random().text)"
            #expect(try await scene.ask("/v1/session", "cookie: \(other); \(own)").status == 200)
            #expect(try await scene.ask("/v1/session", "cookie: \(other); \(other); \(own)").status == 401)
        }
    }

    @Test func requestsAndRefusalsHaveARate() async throws {
        var limits = MeshHTTPLimits()
        (limits.webRequestsPerSecondMax, limits.webRefusalsPerSecondMax) = (5, 2)
        try await WebScene.run(limits: limits) { scene in
            #expect(try await scene.ask("/v1/status").status == 401)
            #expect(try await scene.ask("/v1/status").status == 401)
            let third = try await scene.ask("/v1/status")
            #expect(third.status == 429 && third.problem == "too_many_requests" && third.headers["retry-after"] == "1")
            // Who guesses locks nobody out, and takes nothing of what others may ask.
            #expect(try await scene.signIn("guess").status == 429)
            for _ in 0..<5 {
                let answer = try await scene.ask("/v1/status", scene.full)
                #expect(answer.status == 200)
            }
            let sixth = try await scene.ask("/v1/status", scene.full)
            #expect(sixth.status == 429 && sixth.problem == "too_many_requests")
            scene.seconds.withLockedValue { $0 += 1 }
            #expect(try await scene.ask("/v1/status", scene.full).status == 200)
        }
    }

    @Test func nothingIsAPageInABrowser() async throws {
        let page = Array("<script>alert(1)</script>".utf8)
        let cid = CID.hashing(page, codec: .raw)
        try await WebScene.run(.init(files: [cid: page])) { scene in
            for target in ["/v1/files/\(cid.text)", "/v1/blocks/\(cid.text)"] {
                let answer = try await scene.ask(target, scene.read)
                #expect(answer.body == page)
                #expect(answer.headers["content-disposition"] == "attachment")
            }
            for target in ["/v1/files/\(cid.text)", "/v1/status", "/v1/none", "/v1/jobs/%3Cscript%3E"] {
                let answer = try await scene.ask(target, scene.read)
                #expect(answer.headers["x-content-type-options"] == "nosniff")
                #expect(answer.headers["content-security-policy"]?.hasSuffix("; sandbox") == true)
                #expect(answer.headers["cross-origin-resource-policy"] == "same-origin")
                #expect(answer.headers["cache-control"] == "no-store")
                #expect(answer.headers["access-control-allow-origin"] == nil)
            }
        }
    }

    @Test func aBodyToSignInIsShort() async throws {
        try await WebScene.run { scene in
            let long = try await scene.signIn(String(repeating: "0", count: 4 * 1024))
            #expect(long.status == 413 && long.problem == "too_large")
        }
    }
}

extension WebScene {
    /// What there is over TCP.
    var operations: [APIOperation] { table.operations }

    /// Every operation, as the server has it.
    var table: APITable {
        let routes = NodeRoutes(service: ScriptedNode(), limits: MeshHTTPLimits())
        return WebRoutes(routes: routes, gate: server.gate, desk: EventDesk(limits: MeshHTTPLimits())).table()
    }
}
