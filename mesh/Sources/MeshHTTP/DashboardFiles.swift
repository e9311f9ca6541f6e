import CDashboard
import Hummingbird
import Multiformats
import NIOCore
import NodeAPI

/// The dashboard: a page, its styles and its scripts, which are in the program itself.
///
/// They hold no secret, so whoever reaches the node may have them; what they show they ask of the API, as whoever
/// signed in.
struct DashboardFiles: Sendable {
    /// One of its files.
    struct File: Hashable, Sendable {
        let name: String
        let contentType: String
        let bytes: [UInt8]
        /// The name of the bytes, by their hash.
        let entityTag: EntityTag
    }

    /// All files, by name.
    let files: [String: File]

    private static let contentTypes = [
        "html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8",
        "svg": "image/svg+xml",
    ]

    /// What a browser may do with the page: nothing comes from elsewhere or goes there, no script or style stands in
    /// markup, no text becomes markup, and no other page shows it in a frame.
    static let contentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        + "require-trusted-types-for 'script'; trusted-types 'none'"

    private static let securityHeaders: [(String, String)] = [
        ("content-security-policy", contentSecurityPolicy),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
        // What else is no JSON is an attachment.
        ("content-disposition", "inline"),
        // Asked for again each time, and answered by the tag: a newer program has newer files.
        ("cache-control", "no-cache"),
    ]

    /// The files that were built into the program.
    init() {
        var files: [String: File] = [:]
        for index in 0..<dashboard_file_count() {
            let file = dashboard_file_at(index)
            let name = String(cString: file.name)
            let ending = name.split(separator: ".").last.map(String.init) ?? ""
            // SAFETY: a constant of the program, of that many bytes, which are copied here.
            let bytes = [UInt8](UnsafeBufferPointer(start: file.bytes, count: file.count))
            files[name] = File(
                name: name, contentType: Self.contentTypes[ending] ?? "application/octet-stream", bytes: bytes,
                entityTag: EntityTag(hashing: bytes))
        }
        self.files = files
    }

    /// Adds the dashboard to a router; whoever opens the node's address itself comes there, too.
    func add(to router: Router<some RequestContext>) {
        router.get("/") { _, _ in Self.redirect }
        router.get("/dashboard") { request, _ in
            // Its files are named beside it.
            request.uri.path.hasSuffix("/") ? try answer(request, "index.html") : Self.redirect
        }
        router.get("/dashboard/:file") { request, context in
            try answer(request, context.parameters.get("file") ?? "")
        }
    }

    private static var redirect: Response {
        Response(status: .temporaryRedirect, headers: [.location: "/dashboard/", .contentLength: "0"])
    }

    private func answer(_ request: Request, _ name: String) throws(NodeServiceError) -> Response {
        guard let file = files[name] else {
            throw NodeServiceError(.noSuchRoute, "The dashboard has no such file.")
        }
        var headers: HTTPFields = [.contentType: file.contentType, .eTag: file.entityTag.text]
        for (name, value) in Self.securityHeaders {
            if let name = HeaderName(name) { headers[name] = value }
        }
        if file.entityTag.isKnown(to: request) { return Response(status: .notModified, headers: headers) }
        headers[.contentLength] = String(file.bytes.count)
        return Response(status: .ok, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: file.bytes)))
    }
}
