import IPLD
import Multiformats
import Testing

@testable import MeshHTTP

/// What requests to a gateway ask for, and which ask for nothing that there is.
@Suite struct GatewayRequestTests {
    private static let cid = CID.hashing([1, 2, 3], codec: .dagPB)
    private static let car = "application/vnd.ipld.car"
    private static let raw = "application/vnd.ipld.raw"

    private func request(_ target: String, _ accept: String? = nil) throws -> GatewayRequest {
        try GatewayRequest(
            target: target.replacing("CID", with: Self.cid.text), accept: accept, limits: GatewayLimits())
    }

    @Test func theFormAndTheScopeAreReadFromTheQuery() throws {
        let raw = try request("/ipfs/CID?format=raw")
        #expect(raw.root == Self.cid && raw.names.isEmpty && raw.format == .raw && !raw.isNegotiated)
        let rows: [(String, ArchiveWalk.Scope)] = [
            ("", .all), ("&dag-scope=all", .all), ("&dag-scope=entity", .entity), ("&dag-scope=block", .block),
            ("&entity-bytes=0:*", .bytes(EntityBytes(first: 0, last: nil))),
            ("&dag-scope=entity&entity-bytes=-5%3A9", .bytes(EntityBytes(first: -5, last: 9))),
            ("&car-version=1&car-order=dfs&car-dups=n", .all), ("&car-order=unk", .all),
            ("&filename=x&download=true&other", .all),
        ]
        for (query, scope) in rows {
            let asked = try request("/ipfs/CID?format=car\(query)")
            #expect(asked.format == .car && asked.scope == scope, "\(query)")
        }
    }

    @Test(arguments: [
        (raw, GatewayFormat.raw), (car, .car), ("\(car);version=1;order=dfs;dups=n", .car),
        (" \(car) ; version=\"1\" ; order = unk ;; q=0.5", .car), ("text/html, \(raw);q=0.1, */*;q=0.8", .raw),
        ("\(raw);q=0.5, \(car);q=0.7", .car), ("\(car);q=0, \(raw);q=0.001", .raw),
        ("\(car);dups=y, \(car);dups=n;q=0.5", .car), ("\(car);version=2, \(raw);q=0.2", .raw),
        ("APPLICATION/VND.IPLD.RAW", .raw), ("\(raw);future=1", .raw),
    ])
    func theFormIsNegotiated(_ accept: String, _ format: GatewayFormat) throws {
        let asked = try request("/ipfs/CID", accept)
        #expect(asked.format == format && asked.isNegotiated)
        #expect(try request("/ipfs/CID?format=raw", accept).format == .raw)
    }

    @Test func namesAreBytesAsTheyArePercentEncoded() throws {
        let asked = try request("/ipfs/CID/a%20b//%2F%00%ff/%25/é/?format=car")
        #expect(
            asked.names == [Array("a b".utf8), [0x2F, 0, 0xFF], [0x25], Array("é".utf8)])
        #expect(asked.path == "/ipfs/\(Self.cid.text)/a%20b/%2F%00%FF/%25/%C3%A9")
        #expect(try request(asked.canonicalTarget) == request(asked.canonicalTarget.replacing("%20", with: "%20")))
        #expect(try request("/ipfs/CID/...?format=car").names == [[0x2E, 0x2E, 0x2E]])
    }

    @Test(
        arguments: [
            ("/", nil, 404, "nothing here but /ipfs/CID"), ("/v1/status", car, 404, "nothing here but"),
            ("/ipns/CID?format=car", nil, 404, "nothing here but"), ("/ipfsCID?format=raw", nil, 404, "nothing here"),
            ("http://x/ipfs/CID?format=raw", nil, 404, "nothing here"), ("*", car, 404, "nothing here"),
            ("/ipfs/", car, 400, "no CID behind"), ("/ipfs/?format=raw", nil, 400, "no CID behind"),
            ("/ipfs/hello?format=raw", nil, 400, "is no CID"), ("/ipfs/../v1/status?format=raw", nil, 400, ". and .."),
            ("/ipfs/CID/../x?format=car", nil, 400, ". and .."),
            ("/ipfs/CID/%2e%2E/x?format=car", nil, 400, ". and .."),
            ("/ipfs/CID/%2e?format=car", nil, 400, ". and .."), ("/ipfs/CID/%zz?format=car", nil, 400, "hexadecimal"),
            ("/ipfs/CID/%4?format=car", nil, 400, "hexadecimal"), ("/ipfs/CID/a%?format=car", nil, 400, "hexadecimal"),
            ("/ipfs/CID?format=car&dag-scope=%", nil, 400, "hexadecimal"),
            ("/ipfs/CID", nil, 406, "no files or pages"), ("/ipfs/CID", "text/html,*/*;q=0.8", 406, "?format=raw"),
            ("/ipfs/CID?format=", nil, 406, "no format \"\""), ("/ipfs/CID?format=tar", car, 406, "no format \"tar\""),
            ("/ipfs/CID?format=%0A%1B", car, 406, "no format \"??\""),
            ("/ipfs/CID?format=car&format=raw", nil, 400, "format is there twice"),
            ("/ipfs/CID?format=car&f%6Frmat=raw", nil, 400, "format is there twice"),
            ("/ipfs/CID", "\(car);version=2", 406, "version 1"), ("/ipfs/CID", "\(car);order=bfs", 406, "order=dfs"),
            ("/ipfs/CID", "\(car);dups=y", 406, "dups=n"), ("/ipfs/CID", "\(car);q=2", 400, "quality"),
            ("/ipfs/CID?format=car", "\(car);dups=y", 406, "dups=n"),
            ("/ipfs/CID?format=car&car-dups=y", "\(car);dups=n", 406, "dups=n"),
            ("/ipfs/CID?format=car&car-version=2", nil, 406, "version 1"),
            ("/ipfs/CID?format=car&car-order=rnd", nil, 406, "order=dfs"),
            ("/ipfs/CID", "\(car);q=0", 406, "no files or pages"),
            ("/ipfs/CID?format=car&dag-scope=most", nil, 400, "dag-scope is block, entity or all, not \"most\""),
            ("/ipfs/CID?format=car&entity-bytes=5", nil, 400, "entity-bytes is a range"),
            ("/ipfs/CID?format=car&dag-scope=all&entity-bytes=0:5", nil, 400, "entity-bytes goes with"),
            ("/ipfs/CID/a?format=raw", nil, 400, "CID alone"), ("/ipfs/CID?dag-scope=all", raw, 400, "for archives"),
        ] as [(String, String?, Int, String)])
    func whatAsksForNothingThatThereIsIsRefused(_ target: String, _ accept: String?, _ status: Int, _ text: String)
        throws
    {
        let refusal = try #require(throws: GatewayRefusal.self) { try request(target, accept) }
        #expect(refusal.status.rawValue == status && refusal.text.contains(text), "\(refusal.text)")
    }

    @Test func pathsHaveBounds() throws {
        let limits = GatewayLimits()
        let names = String(repeating: "/a", count: limits.pathNamesMax)
        #expect(try request("/ipfs/CID\(names)?format=car").names.count == limits.pathNamesMax)
        let refusal = try #require(throws: GatewayRefusal.self) { try request("/ipfs/CID\(names)/a?format=car") }
        #expect(refusal == GatewayRefusal(.badRequest, "A path here has at most 64 names."))
        let rest = "/ipfs/\(Self.cid.text)/?format=car"
        let name = String(repeating: "a", count: limits.targetBytesMax - rest.utf8.count)
        #expect(try request("/ipfs/CID/\(name)?format=car").names.count == 1)
        let long = try #require(throws: GatewayRefusal.self) { try request("/ipfs/CID/\(name)a?format=car") }
        #expect(long.status == .uriTooLong)
    }

    @Test func answersThatDifferHaveTagsThatDo() throws {
        var tags: Set<String> = []
        let targets = [
            "/ipfs/CID?format=raw", "/ipfs/CID?format=car", "/ipfs/CID?format=car&dag-scope=block",
            "/ipfs/CID?format=car&dag-scope=entity", "/ipfs/CID?format=car&entity-bytes=0:5",
            "/ipfs/CID?format=car&entity-bytes=0:*", "/ipfs/CID/a?format=car", "/ipfs/CID/a/b?format=car",
            "/ipfs/CID/a%2Fb?format=car",
        ]
        for target in targets {
            let asked = try request(target)
            #expect(tags.insert(asked.entityTag).inserted, "\(target)")
            #expect(asked.entityTag.hasPrefix("\"") && asked.entityTag.hasSuffix("\""))
            #expect(try request(asked.canonicalTarget).entityTag == asked.entityTag)
            for known in [asked.entityTag, "W/\(asked.entityTag)", "*", "\"x\" ,  \(asked.entityTag) "] {
                #expect(asked.isKnown(by: known), "\(known)")
            }
            for other in [nil, "", "\"x\"", String(asked.entityTag.dropLast())] {
                #expect(!asked.isKnown(by: other), "\(other ?? "")")
            }
        }
        #expect(try request("/ipfs/CID", Self.car).entityTag == request("/ipfs/CID?format=car&dag-scope=all").entityTag)
    }
}
