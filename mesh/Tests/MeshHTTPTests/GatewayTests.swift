import Foundation
import IPLD
import Multiformats
import NodeAPI
import NodeAPITesting
import P2PTesting
import Testing

@testable import MeshHTTP

/// A gateway as its clients see it.
@Suite(.timeLimit(.minutes(5))) struct GatewayTests {
    private func check(_ answer: WebAnswer, is status: Int, _ part: String? = nil) {
        #expect(answer.status == status, "\(answer.text)")
        #expect(answer.headers["x-content-type-options"] == "nosniff")
        #expect(answer.headers["content-security-policy"] == "default-src 'none'; sandbox; frame-ancestors 'none'")
        guard let part else { return }
        #expect(answer.text.contains(part) && answer.text.hasSuffix(".\n"), "\(answer.text)")
        #expect(answer.headers["content-type"] == "text/plain; charset=utf-8")
        #expect(answer.headers["cache-control"] == "no-store")
    }

    @Test func aBlockIsGivenAsItIs() async throws {
        let content = ScriptedContent()
        let bytes = (0..<200_000).map { UInt8(truncatingIfNeeded: $0) }
        let cid = content.add(bytes)
        try await withGateway(content) { _, port in
            let target = "/ipfs/\(cid.text)?format=raw"
            let answer = try await WebAnswer.of(port, target)
            check(answer, is: 200)
            #expect(answer.body == bytes && answer.isWhole)
            let told = [
                "content-type": "application/vnd.ipld.raw", "content-length": "200000",
                "content-disposition": "attachment; filename=\"\(cid.text).bin\"", "etag": "\"\(cid.text).raw\"",
                "cache-control": "public, max-age=29030400, immutable", "x-ipfs-roots": cid.text, "vary": "Accept",
            ]
            #expect(answer.headers.filter { told.keys.contains($0.key) } == told)
            #expect(answer.headers["content-location"] == nil && answer.headers["server"] == nil)
            let head = try await WebAnswer.of(port, target, method: "HEAD")
            #expect(head.body.isEmpty)
            #expect(head.headers.filter { told.keys.contains($0.key) } == told)
            let negotiated = try await WebAnswer.of(
                port, "/ipfs/\(cid.text)", headers: ["accept: application/vnd.ipld.raw"])
            #expect(negotiated.body == bytes && negotiated.headers["content-location"] == target)
            for method in ["GET", "HEAD"] {
                let known = try await WebAnswer.of(
                    port, target, method: method, headers: ["if-none-match: \"x\", \"\(cid.text).raw\""])
                check(known, is: 304)
                #expect(known.body.isEmpty && known.headers["etag"] == "\"\(cid.text).raw\"")
                #expect(known.headers["cache-control"] == told["cache-control"])
            }
        }
    }

    @Test func anArchiveHasWhatItsScopeSays() async throws {
        let content = ScriptedContent()
        let file = content.file((0..<20_000).map { UInt8(truncatingIfNeeded: $0 / 7) })
        let folder = try content.folder([("a", file), ("b c", file)])
        let root = try content.folder([("in", folder)])
        @Sendable func walked(_ from: CID, _ names: [String], _ scope: ArchiveWalk.Scope) async throws -> [CID] {
            var walk = try ArchiveWalk(root: from, names: names.map { Array($0.utf8) }, scope: scope)
            var cids: [CID] = []
            while let next = walk.next {
                guard case .here(let bytes) = try await content.publicBlock(next) else { break }
                if let block = try walk.received(bytes) { cids.append(block.cid) }
            }
            return cids
        }
        try await withGateway(content) { _, port in
            let rows: [(String, [String], String, ArchiveWalk.Scope)] = [
                ("", [], "", .all), ("/in/a", ["in", "a"], "", .all), ("/in", ["in"], "&dag-scope=entity", .entity),
                ("/in/b%20c", ["in", "b c"], "&dag-scope=block", .block),
                ("/in/a", ["in", "a"], "&entity-bytes=3000:-9000", .bytes(EntityBytes(first: 3000, last: -9000))),
            ]
            for (path, names, query, scope) in rows {
                let target = "/ipfs/\(root.cid.text)\(path)?format=car\(query)"
                let answer = try await WebAnswer.of(port, target)
                check(answer, is: 200)
                #expect(answer.isWhole)
                let archive = try CAR(decoding: answer.body)
                let expected = try await walked(root.cid, names, scope)
                #expect(archive.roots == [root.cid] && archive.blocks.map(\.cid) == expected, "\(target)")
                let type = "application/vnd.ipld.car; version=1; order=dfs; dups=n"
                #expect(answer.headers["content-type"] == type)
                #expect(answer.headers["content-disposition"] == "attachment; filename=\"\(root.cid.text).car\"")
                let logical = [root.cid, folder.cid, file.cid].prefix(1 + names.count).map(\.text)
                #expect(answer.headers["x-ipfs-roots"] == logical.joined(separator: ","))
                let tag = try #require(answer.headers["etag"])
                let known = try await WebAnswer.of(port, target, headers: ["if-none-match: \(tag)"])
                #expect(known.status == 304 && known.body.isEmpty && known.headers["etag"] == tag)
            }
            let negotiated = try await WebAnswer.of(
                port, "/ipfs/\(root.cid.text)/in/b%20c", headers: ["accept: application/vnd.ipld.car;order=dfs;dups=n"])
            #expect(negotiated.isWhole)
            let place = "/ipfs/\(root.cid.text)/in/b%20c?format=car&dag-scope=all"
            #expect(negotiated.headers["content-location"] == place)
        }
    }

    /// The answer to HEAD has no bytes that the next answer on the connection would begin with.
    @Test func oneConnectionCarriesManyAnswers() async throws {
        let content = ScriptedContent()
        let file = content.file([1, 2, 3])
        try await withGateway(content) { gateway, port in
            let connection = try await WebConnection.open(port)
            let targets = ["?format=car", "?format=raw", ""]
            let asked = targets.flatMap { target in
                ["HEAD", "GET", "HEAD"].map { "\($0) /ipfs/\(file.cid.text)\(target) HTTP/1.1\r\nhost: x\r\n\r\n" }
            }
            // At once, and one after the other.
            try await connection.send(asked.joined())
            try await connection.wait { $0.components(separatedBy: "HTTP/1.1 ").count == 1 + asked.count }
            let together = connection.received
            let second = try await WebConnection.open(port)
            var expected: [UInt8] = []
            for (number, text) in asked.enumerated() {
                try await second.send(text)
                try await second.wait { $0.components(separatedBy: "HTTP/1.1 ").count == 2 + number }
                expected = second.received
            }
            // The last answer has no body, so all of it came with its head.
            let lines = [together, expected].map { bytes in
                String(decoding: bytes, as: UTF8.self).components(separatedBy: "\r\n").filter { !$0.hasPrefix("Date") }
            }
            #expect(lines[0] == lines[1])
            let heads = connection.text.components(separatedBy: "HTTP/1.1 ").dropFirst().map { $0.prefix(3) }
            #expect(heads == ["200", "200", "200", "200", "200", "200", "406", "406", "406"])
            for part in connection.text.components(separatedBy: "HTTP/1.1 ").dropFirst().enumerated()
            where part.offset % 3 != 1 {
                #expect(part.element.hasSuffix("\r\n\r\n"), "\(part)")
                #expect(!part.element.contains("\r\n0\r\n"))
            }
            try await connection.close()
            try await second.close()
            #expect(await gateway.status()?.answers == 12)
        }
    }

    @Test func anOldClientSeesTheEndByThatOfItsConnection() async throws {
        let content = ScriptedContent()
        let file = content.file((0..<100_000).map { UInt8(truncatingIfNeeded: $0 / 3) })
        try await withGateway(content) { _, port in
            let whole = try await WebAnswer.of(port, "/ipfs/\(file.cid.text)?format=car")
            for method in ["GET", "HEAD"] {
                let connection = try await WebConnection.open(port)
                try await connection.send("\(method) /ipfs/\(file.cid.text)?format=car HTTP/1.0\r\n\r\n")
                try await connection.closed()
                #expect(connection.text.hasPrefix("HTTP/1.0 200 "))
                let answer = try #require(WebAnswer(connection.received, isHead: method == "HEAD"))
                #expect(answer.headers["transfer-encoding"] == nil && answer.headers["connection"] == "close")
                #expect(answer.body == (method == "GET" ? whole.body : []))
            }
            // Nobody becomes something else here.
            let upgraded = try await WebAnswer.of(
                port, "/ipfs/bafkqaaa?format=raw", headers: ["upgrade: websocket", "connection: upgrade"])
            #expect(upgraded.status == 200)
        }
    }

    @Test func clientsFindOutThatItIsAGateway() async throws {
        try await withGateway(ScriptedContent()) { _, port in
            for method in ["GET", "HEAD"] {
                let raw = try await WebAnswer.of(port, "/ipfs/bafkqaaa?format=raw", method: method)
                check(raw, is: 200)
                #expect(raw.body.isEmpty && raw.headers["content-length"] == "0")
                let car = try await WebAnswer.of(port, "/ipfs/bafkqaaa?format=car", method: method)
                check(car, is: 200)
                guard method == "GET" else { continue }
                #expect(car.body == CAR.encodedHeader(roots: [try CID(parsing: "bafkqaaa")]) && car.isWhole)
            }
            // No other block that its CID carries.
            let other = CID(codec: .raw, multihash: Multihash(code: Multihash.identityCode, digest: [1]))
            for query in ["raw", "car"] {
                check(try await WebAnswer.of(port, "/ipfs/\(other.text)?format=\(query)"), is: 404, "does not serve")
            }
            check(try await WebAnswer.of(port, "/ipfs/bafkqaaa/x?format=car"), is: 404, "does not serve")
        }
    }

    @Test func whatIsNotPublicIsRefusedAsWhatIsNotHere() async throws {
        let content = ScriptedContent()
        let file = content.file((0..<3_000).map { UInt8(truncatingIfNeeded: $0) })
        let folder = try content.folder([("a", file)])
        let gone = content.add([1])
        content.set(gone, .takenBack)
        let unknown = CID.hashing([9], codec: .raw)
        let other = CID(codec: CID.Codec(rawValue: 0x90), multihash: unknown.multihash)
        let object = content.add([0xA0], codec: .dagCBOR)
        let node = content.add(
            DAGPBNode(links: [.init(cid: file.cid, totalBytes: 3)], data: [1]).encoded(), codec: .dagPB)
        let place = "/ipfs/\(folder.cid.text)"
        try await withGateway(content) { _, port in
            for cid in [unknown, other] {
                for format in ["raw", "car"] {
                    for method in ["GET", "HEAD"] {
                        let answer = try await WebAnswer.of(port, "/ipfs/\(cid.text)?format=\(format)", method: method)
                        check(answer, is: 404, method == "GET" ? "This gateway does not serve that." : nil)
                        #expect(method == "GET" || answer.body.isEmpty)
                    }
                }
            }
            check(try await WebAnswer.of(port, "/ipfs/\(gone.text)?format=raw"), is: 410, "took it back")
            check(try await WebAnswer.of(port, "/ipfs/\(gone.text)?format=car"), is: 410, "took it back")
            check(try await WebAnswer.of(port, place + "/b?format=car"), is: 404, "There is no \"b\" in the folder.")
            check(try await WebAnswer.of(port, place + "/a/b?format=car"), is: 404, "behind what is no folder")
            let outside = try await WebAnswer.of(port, place + "/a?format=car&entity-bytes=3000:*")
            check(outside, is: 400, "none of the bytes")
            #expect(try await WebAnswer.of(port, place + "/a?format=car&entity-bytes=2999:*").isWhole)
            // An object has one block; a node that is no file has one, and nobody knows what else belongs to it.
            let one = try await WebAnswer.of(port, "/ipfs/\(object.text)?format=car")
            #expect(try CAR(decoding: one.body).blocks.map(\.cid) == [object])
            check(try await WebAnswer.of(port, "/ipfs/\(node.text)?format=car"), is: 406, "dag-scope=block")
            let block = try await WebAnswer.of(port, "/ipfs/\(node.text)?format=car&dag-scope=block")
            #expect(try CAR(decoding: block.body).blocks.map(\.cid) == [node])
            // Nothing but GET and HEAD, nothing with a body, nothing of the node's own API.
            for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
                let answer = try await WebAnswer.of(port, place + "?format=car", method: method)
                check(answer, is: 405, "Only GET and HEAD")
                #expect(answer.headers["allow"] == "GET, HEAD")
            }
            for path in [
                "/v1/status", "/v1/pins", "/v1/blocks/\(file.cid.text)", "/v1/shutdown", "/", "/ipfs", "/ipns/x",
            ] {
                check(try await WebAnswer.of(port, path), is: 404, "There is nothing here but /ipfs/CID.")
            }
            check(
                try await WebAnswer.of(port, "/v1/shutdown", method: "POST"), is: 405, "Only GET and HEAD")
        }
    }

    /// A reader of an archive that breaks off sees that it does.
    @Test func anArchiveBreaksOffWhereABlockIsNotPublicAnyMore() async throws {
        let content = ScriptedContent()
        let file = content.file((0..<40_000).map { UInt8(truncatingIfNeeded: $0 / 3) })
        let chunk = CID.hashing((39_936..<40_000).map { UInt8(truncatingIfNeeded: $0 / 3) }, codec: .raw)
        content.set(chunk, .takenBack)
        try await withGateway(content) { gateway, port in
            let answer = try await WebAnswer.of(port, "/ipfs/\(file.cid.text)?format=car")
            #expect(answer.status == 200 && !answer.isWhole)
            try await eventually("the answer is over") { await gateway.status()?.answersUnderWay == 0 }
            let status = try #require(await gateway.status())
            #expect(status.cutAnswers == 1 && status.answers == 1)
            // The first blocks are another's to read.
            #expect(try await WebAnswer.of(port, "/ipfs/\(file.cid.text)?format=car&entity-bytes=0:9000").isWhole)
        }
    }

    @Test func theOwnerSeesHowMuchIsServed() async throws {
        let content = ScriptedContent()
        let cid = content.add([1, 2, 3, 4, 5])
        try await withGateway(content) { gateway, port in
            _ = try await WebAnswer.of(port, "/ipfs/\(cid.text)?format=raw")
            _ = try await WebAnswer.of(port, "/ipfs/\(cid.text)?format=raw", method: "HEAD")
            let archive = try await WebAnswer.of(port, "/ipfs/\(cid.text)?format=car")
            _ = try await WebAnswer.of(port, "/ipfs/\(cid.text)")
            let status = try #require(await gateway.status())
            #expect(status.address == "http://127.0.0.1:\(port)" && status.publicRoots == 3)
            #expect(status.answers == 3 && status.refusals == 1 && status.cutAnswers == 0)
            #expect(status.sentBytes == UInt64(5 + archive.body.count))
        }
    }
}
