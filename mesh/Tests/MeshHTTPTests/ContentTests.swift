import Foundation
import IPLD
import Multiformats
import NodeAPI
import NodeAPITesting
import Testing

@testable import MeshHTTP

/// Files, blocks and receipts by their CIDs: in parts, only where they are lacked, and page by page.
@Suite("Content that does not change", .timeLimit(.minutes(1)))
struct ContentTests {
    @Test func rangesAreReadAsTheStandardHasThem() {
        let cases: [(String, UInt64, ByteRange)] = [
            ("bytes=0-0", 10, .part(0..<1)), ("bytes=2-4", 10, .part(2..<5)), ("BYTES=9-", 10, .part(9..<10)),
            ("bytes=5-99999999999999999999999", 10, .part(5..<10)), ("bytes=-3", 10, .part(7..<10)),
            ("bytes=-30", 10, .part(0..<10)), ("bytes=-99999999999999999999999", 10, .part(0..<10)),
            ("bytes=10-", 10, .outside), ("bytes=99999999999999999999999-", 10, .outside), ("bytes=-0", 10, .outside),
            ("bytes=0-", 0, .outside), ("bytes=-1", 0, .outside),
            ("bytes=0-\(UInt64.max)", .max, .part(0..<UInt64.max)),
        ]
        for (header, size, range) in cases { #expect(ByteRange(header, size: size) == range, "\(header) of \(size)") }
        for header in [
            "", "bytes", "bytes=", "bytes=-", "bytes=4-2", "bytes=0-1,3-4", "bytes= 0-1", "bytes=+1-2", "bytes=0x1-2",
            "bytes=1-2-3", "lines=0-1", "bytes=a-b", "bytes==1-2",
        ] {
            #expect(ByteRange(header, size: 10) == .whole, "\(header)")
        }
    }

    /// A file of several blocks, by its blocks.
    private static func file(bytes count: Int) throws -> (root: CID, bytes: [UInt8], blocks: [CID: [UInt8]]) {
        var bytes = Array(repeating: UInt8(7), count: count)
        // Enough to tell one place from another.
        for place in stride(from: 0, to: count, by: 997) { bytes[place] = UInt8(truncatingIfNeeded: place) }
        let file = try UnixFSFile.blocks(of: bytes)
        return (file.root, bytes, Dictionary(uniqueKeysWithValues: file.blocks.map { ($0.cid, $0.bytes) }))
    }

    @Test func aRangeOfAFileCrossesBlocksAndWindows() async throws {
        let file = try Self.file(bytes: 1_300_000)
        #expect(file.blocks.count == 3)
        var limits = MeshHTTPLimits()
        limits.fileWindowBytes = 300_000
        try await WebScene.run(.init(files: file.blocks), limits: limits) { scene in
            let target = "/v1/files/\(file.root.text)"
            let whole = try await scene.ask(target, scene.read)
            #expect(whole.status == 200 && whole.body == file.bytes)
            #expect(whole.headers["accept-ranges"] == "bytes" && whole.headers["content-length"] == "1300000")
            let tag = try #require(whole.headers["etag"])
            for range in [0..<1, 299_999..<300_001, 1_000_000..<1_290_000, 1_299_999..<1_300_000] {
                let part = try await scene.ask(
                    target, scene.read, "range: bytes=\(range.lowerBound)-\(range.upperBound - 1)", "if-range: \(tag)")
                #expect(part.status == 206 && part.body == Array(file.bytes[range]), "\(range)")
                let named = "bytes \(range.lowerBound)-\(range.upperBound - 1)/1300000"
                #expect(part.headers["content-range"] == named && part.headers["etag"] == tag)
            }
            let outside = try await scene.ask(target, scene.read, "range: bytes=1300000-")
            #expect(outside.status == 416 && outside.problem == "range_not_satisfiable")
            #expect(outside.headers["content-range"] == "bytes */1300000")
            // Another version than the caller knows comes whole.
            for condition in ["\"other\"", "W/\(tag)", "Sat, 28 Nov 2026 12:00:00 GMT"] {
                let other = try await scene.ask(target, scene.read, "range: bytes=0-0", "if-range: \(condition)")
                #expect(other.status == 200 && other.body.count == 1_300_000, "\(condition)")
            }
        }
    }

    @Test func aRangeReadsOnlyItsBlocks() async throws {
        let file = try Self.file(bytes: 1_300_000)
        // All but the first leaf is gone: so nothing else may be read.
        let first = CID.hashing(Array(file.bytes.prefix(UnixFSProfile.v1in2025.chunkBytes)), codec: .raw)
        let left = file.blocks.filter { $0.key == file.root || $0.key == first }
        #expect(left.count == 2)
        try await WebScene.run(.init(files: left)) { scene in
            let target = "/v1/files/\(file.root.text)"
            let part = try await scene.ask(target, scene.read, "range: bytes=10-19")
            #expect(part.status == 206 && part.body == Array(file.bytes[10..<20]))
            let lacking = try await scene.ask(target, scene.read, "range: bytes=1299999-")
            #expect(lacking.status == 404 && lacking.problem == "block_not_found")
        }
    }

    @Test func whatTheCallerHasDoesNotComeAgain() async throws {
        let file = Array("the same for ever".utf8)
        let cid = CID.hashing(file, codec: .raw)
        var script = ScriptedNode.Script(files: [cid: file])
        script.archives[Samples.receiptCID] = [1, 2, 3]
        script.proofs = [try Self.proof(0)]
        script.log = [LogEntryView(number: 0, entryCID: "e", anchors: [Samples.receiptCID.text], recordedAt: 0)]
        try await WebScene.run(script) { scene in
            let receipt = "/v1/receipts/\(Samples.receiptCID.text)"
            var tags: Set<String> = []
            for target in [
                "/v1/files/\(cid.text)", receipt, "\(receipt)/archive", "\(receipt)/archive?outputs=true",
                "/v1/proofs/\(try Self.proof(0).proofCID)", "/v1/dag/proofs/\(Samples.receiptCID.text)",
            ] {
                let answer = try await scene.ask(target, scene.read)
                let tag = try #require(answer.headers["etag"], "\(target)")
                #expect(tags.insert(tag).inserted)
                for known in [tag, "\"x\", W/\(tag)", "*"] {
                    let again = try await scene.ask(target, scene.read, "if-none-match: \(known)")
                    #expect(again.status == 304 && again.body.isEmpty && again.headers["etag"] == tag, "\(target)")
                }
                #expect(try await scene.ask(target, scene.read, "if-none-match: \"x\"").body == answer.body)
                #expect(try await scene.ask(target, "if-none-match: \(tag)").status == 401)
            }
            // The document is anyone's.
            let tag = try #require(try await scene.ask("/openapi.json").headers["etag"])
            #expect(try await scene.ask("/openapi.json", "if-none-match: \(tag)").status == 304)
            let block = "/v1/blocks/\(cid.text)"
            let part = try await scene.ask(block, scene.read, "range: bytes=4-7")
            #expect(part.status == 206 && part.body == Array(file[4..<8]))
            #expect(try await scene.ask(block, scene.read, "if-none-match: \"\(cid.text)\"").status == 304)
            // What nobody has is not "any version".
            let missing = "/v1/files/\(Samples.jobID.text)"
            #expect(try await scene.ask(missing, scene.read, "if-none-match: *").status == 404)
        }
    }

    private static func proof(_ number: UInt8) throws -> ProofView {
        let text = """
            {"proof_cid":"\(CID.hashing([number], codec: .dagCBOR))","receipt_cid":"r","job_id":"j",
            "executor_did":"e","maker_did":"m","made_at":1,"source":"here",
            "found":{"outcome":"o","outputs":[],"fuel":1,"engine":"x"}}
            """
        return try MeshJSON.decode(ProofView.self, from: Array(text.utf8))
    }

    @Test func listsGoOnBehindTheirLastEntry() async throws {
        let script = ScriptedNode.Script()
        let roots = (0..<5).map { CID.hashing([UInt8($0)], codec: .raw) }
        for root in roots { script.kept.pin(root) }
        let proofs = try (0..<3).map(Self.proof)
        var listing = script
        listing.proofs = proofs
        listing.log = (0..<3).reversed().map {
            LogEntryView(number: $0, entryCID: "e\($0)", anchors: [roots[Int($0)].text], recordedAt: $0)
        }
        let log = listing.log
        try await WebScene.run(listing) { scene in
            var target: String? = "/v1/pins?limit=2"
            var pins: [String] = []
            while let next = target {
                let page = try await scene.ask(next, scene.read)
                pins += try MeshJSON.decode(PinPage.self, from: page.body).pins
                target = page.headers["link"].flatMap(Self.next)
            }
            #expect(pins == roots.map(\.text))
            let first = try await scene.ask("/v1/proofs?limit=2", scene.read)
            #expect(try MeshJSON.decode([ProofView].self, from: first.body) == Array(proofs.prefix(2)))
            let link = try #require(first.headers["link"].flatMap(Self.next))
            #expect(link == "/v1/proofs?limit=2&after=\(proofs[1].proofCID)")
            let second = try await scene.ask(link, scene.read)
            #expect(try MeshJSON.decode([ProofView].self, from: second.body) == [proofs[2]])
            #expect(second.headers["link"] == nil)
            let unknown = try await scene.ask("/v1/proofs?after=\(Samples.jobID.text)", scene.read)
            #expect(unknown.status == 404)
            let newest = try await scene.ask("/v1/dag/log?limit=2", scene.read)
            #expect(try MeshJSON.decode([LogEntryView].self, from: newest.body) == Array(log.prefix(2)))
            let older = try #require(newest.headers["link"].flatMap(Self.next))
            let oldest = try await scene.ask(older, scene.read)
            #expect(try MeshJSON.decode([LogEntryView].self, from: oldest.body) == [log[2]])
            #expect(oldest.headers["link"] == nil)
            let proof = try await scene.ask("/v1/dag/proofs/\(roots[1].text)", scene.read)
            #expect(try MeshJSON.decode(LogProofView.self, from: proof.body).entry == log[1])
            #expect(try await scene.ask("/v1/dag/proofs/\(roots[4].text)", scene.read).status == 404)
            let head = try await scene.ask("/v1/dag/head?since=2", scene.read)
            #expect(try MeshJSON.decode(LogHeadView.self, from: head.body).text == "old 2\n")
            #expect(try await scene.ask("/v1/dag/head?since=x", scene.read).status == 400)
            let witness = try await scene.ask("/v1/dag/witness", scene.read)
            #expect(try MeshJSON.decode(WitnessKeyView.self, from: witness.body).authors.isEmpty)
            let against = try await scene.ask("/v1/proofs?receipt=\(roots[0].text)", scene.read)
            #expect(try MeshJSON.decode([ProofView].self, from: against.body).isEmpty, "no proof is against it")
            let jobs = try await scene.ask("/v1/jobs?label=a%26b%20c&limit=1", scene.read)
            #expect(jobs.headers["link"] == nil)
        }
    }

    @Test func movementsAndItemsGoOnBehindTheirLastEntry() async throws {
        var script = ScriptedNode.Script()
        script.items = try (0..<5).map { number in
            let (stage, place) = (number < 3 ? "a" : "b-1", number % 3)
            let text = """
                {"stage":"\(stage)","number":\(place),"item":"\(number)","phase":"done","outputs":[]}
                """
            return try MeshJSON.decode(WorkflowItemView.self, from: Array(text.utf8))
        }
        script.movements = (1...5).reversed().map {
            .init(at: 1, kind: "hold", debit: "wallet", credit: "escrow", amount: 1, jobID: nil, number: $0)
        }
        let (items, movements) = (script.items, script.movements)
        try await WebScene.run(script) { scene in
            func all<Page: Decodable, Item>(
                _ first: String, _ type: Page.Type, _ part: (Page) -> [Item]
            ) async throws -> (items: [Item], pages: Int) {
                var (target, found, pages): (String?, [Item], Int) = (first, [], 0)
                while let next = target {
                    let page = try await scene.ask(next, scene.read)
                    found += part(try MeshJSON.decode(type, from: page.body))
                    target = page.headers["link"].flatMap(Self.next)
                    pages += 1
                }
                return (found, pages)
            }
            let path = "/v1/workflows/\(Samples.jobID.text)/items"
            let listed = try await all(path + "?limit=2", [WorkflowItemView].self) { $0 }
            #expect(listed.items == items && listed.pages == 3)
            let booked = try await all("/v1/wallet?entries=2", WalletView.self, \.entries)
            #expect(booked.items == movements && booked.pages == 3, "after number 1 nothing can come")
            for wrong in ["a", "a/", "/1", "a/-1", "a/1/2", "a/\(UInt64(UInt32.max) + 1)", "a/\(Int.max)"] {
                #expect(try await scene.ask(path + "?after=\(wrong)", scene.read).status == 400, "\(wrong)")
            }
            for wrong in ["until=-1", "step=999", "step=86400001", "parts=0", "parts=61"] {
                #expect(try await scene.ask("/v1/activity?\(wrong)", scene.read).status == 400, "\(wrong)")
            }
            let asked = "/v1/activity?until=100000&step=1000&parts=60"
            let counted = try MeshJSON.decode(ActivityView.self, from: await scene.ask(asked, scene.read).body)
            #expect(counted.from == 40_000 && counted.parts.count == 60)
        }
    }

    private static func next(_ link: String) -> String? {
        guard link.hasPrefix("<"), link.hasSuffix(">; rel=\"next\"") else { return nil }
        return String(link.dropFirst().prefix { $0 != ">" })
    }

    @Test func theKeyOfASubmissionIsInItsHeaderOrItsBody() async throws {
        let (stream, submitted) = AsyncStream.makeStream(of: String?.self)
        let script = ScriptedNode.Script(submitted: { submitted.yield($0.idempotencyKey) })
        let longest = String(repeating: "k", count: MeshHTTPLimits().idempotencyKeyBytesMax)
        try await WebScene.run(script) { scene in
            func submit(_ body: String, _ headers: String...) async throws -> WebAnswer {
                let fields = ([scene.full] + headers).joined(separator: "\r\n")
                return try await scene.ask("/v1/jobs", method: "POST", body: body, fields)
            }
            var keys = stream.makeAsyncIterator()
            let (plain, keyed) = (#"{"module_cid":"m"}"#, #"{"module_cid":"m","idempotency_key":"one"}"#)
            let cases: [(String, String?, String?)] = [
                (plain, nil, nil), (keyed, nil, "one"), (plain, "\"one two\"", "one two"), (plain, "bare", "bare"),
                (keyed, "\"one\"", "one"), (plain, longest, longest),
            ]
            for (body, header, key) in cases {
                let answer = try await submit(body, header.map { "idempotency-key: \($0)" } ?? "accept: */*")
                #expect(answer.status == 201)
                #expect(await keys.next() == .some(key))
            }
            for (body, header) in [
                (keyed, "two"), (plain, ""), (plain, "\"\""), (plain, "a\"b"), (plain, "a\\b"), (plain, "schlüssel"),
                (plain, longest + "k"), (plain, "one\r\nidempotency-key: two"),
            ] {
                let answer = try await submit(body, "idempotency-key: \(header)")
                #expect(answer.status == 400 && answer.problem == "invalid_request", "\(header)")
            }
        }
    }

    @Test func theKeyOfATokenIsInItsHeaderOrItsBody() async throws {
        let (stream, given) = AsyncStream.makeStream(of: String?.self)
        var script = ScriptedNode.Script()
        script.given = { given.yield($0.idempotencyKey) }
        try await WebScene.run(script) { scene in
            func give(_ key: String, _ header: String) async throws -> WebAnswer {
                let body = #"{"holder":"did:key:z6Mk","amount":1,"expires_at":9,"issuer":"did:key:z6Mk"\#(key)}"#
                let fields = [scene.full, header].joined(separator: "\r\n")
                return try await scene.ask("/v1/credit/tokens", method: "POST", body: body, fields)
            }
            var keys = stream.makeAsyncIterator()
            let inBody = #","idempotency_key":"one""#
            for (key, header, expected) in [
                ("", "accept: */*", nil), (inBody, "accept: */*", "one"), ("", "idempotency-key: \"two\"", "two"),
                (inBody, "idempotency-key: one", "one"),
            ] as [(String, String, String?)] {
                #expect(try await give(key, header).status == 201)
                #expect(await keys.next() == .some(expected))
            }
            let other = try await give(inBody, "idempotency-key: two")
            #expect(other.status == 400 && other.problem == "invalid_request")
        }
    }

    @Test func theSpanOfAProgramIsInItsHeaderOrItsBody() async throws {
        let (stream, submitted) = AsyncStream.makeStream(of: String?.self)
        let script = ScriptedNode.Script(submitted: { submitted.yield($0.traceparent) })
        let (first, second) = ("00-\(String(repeating: "a", count: 32))-00f067aa0ba902b7-01", "whatever")
        try await WebScene.run(script) { scene in
            var contexts = stream.makeAsyncIterator()
            for (body, header, context) in [
                (#"{"module_cid":"m"}"#, nil, nil), (#"{"module_cid":"m"}"#, first, first),
                (#"{"module_cid":"m","traceparent":"\#(second)"}"#, nil, second),
                (#"{"module_cid":"m","traceparent":"\#(second)"}"#, first, second),
            ] as [(String, String?, String?)] {
                let field = header.map { "traceparent: \($0)" } ?? "accept: */*"
                let answer = try await scene.ask("/v1/jobs", method: "POST", body: body, "\(scene.full)\r\n\(field)")
                #expect(answer.status == 201)
                #expect(await contexts.next() == .some(context))
            }
        }
    }

    @Test func queriesHaveWhatTheDocumentSaysAndNothingElse() async throws {
        try await WebScene.run { scene in
            for query in [
                "limit=1&limit=1", "limt=1", "limit=+1", "limit=1.0", "limit=", "limit=10001", "since=-1",
                "since=9223372036854775808", "after=null", "role=", "status=", "status=failed,", "status=Failed",
                "%6Cimit=1&limit=2",
            ] {
                let answer = try await scene.ask("/v1/jobs?\(query)", scene.read)
                #expect(answer.status == 400 && answer.problem == "invalid_request", "\(query)")
            }
            let archive = "/v1/receipts/\(Samples.receiptCID.text)/archive?outputs=yes"
            for target in [archive, "/v1/status?x", "/v1/pins?after=x"] {
                #expect(try await scene.ask(target, scene.read).status == 400, "\(target)")
            }
            #expect(try await scene.ask("/v1/jobs?status=failed,no_bids&limit=0", scene.read).status == 200)
            // The path that has only one method, although another path fits it too.
            let options = try await scene.ask("/v1/blocks/missing", method: "OPTIONS", scene.full)
            #expect(options.status == 405 && options.headers["allow"] == "POST")
        }
    }

    /// A file in the body goes to the node in pieces, under the CID that it would have as a whole.
    @Test func aFileThatIsSentComesInPieces() async throws {
        let script = ScriptedNode.Script()
        let text = (0..<800_000).map { "\($0)\n" }.joined()
        let whole = try UnixFSFile.blocks(of: Array(text.utf8))
        #expect(whole.blocks.count == 7)
        try await WebScene.run(script) { scene in
            let answer = try await scene.ask("/v1/files", method: "POST", body: text, scene.full)
            let kept = try JSONDecoder().decode(AddedFile.self, from: Data(answer.body))
            #expect(kept == AddedFile(cid: whole.root.text, size: text.utf8.count))
            #expect(script.kept.pinned == [whole.root])
            #expect(whole.blocks.allSatisfy { script.kept.block($0.cid) == $0.bytes })
            // Never more than waits at the most.
            #expect(script.kept.puts == [4, 3])
            // What fits into a block is one.
            let small = try await scene.ask("/v1/files", method: "POST", body: "small", scene.full)
            let cid = CID.hashing(Array("small".utf8), codec: .raw)
            #expect(try JSONDecoder().decode(AddedFile.self, from: Data(small.body)).cid == cid.text)
            #expect(script.kept.puts.count == 2)
        }
        var limits = MeshHTTPLimits()
        limits.fileBytesMax = 3_000_000
        let other = ScriptedNode.Script()
        try await WebScene.run(other, limits: limits) { scene in
            let connection = try await WebConnection.open(scene.port)
            try await connection.send(
                "POST /v1/files HTTP/1.1\r\nhost: 127.0.0.1:\(scene.port)\r\n\(scene.full)\r\n"
                    + "content-length: 3000001\r\n\r\n")
            try await connection.wait { $0.contains("too_large") }
            #expect(connection.text.hasPrefix("HTTP/1.1 413 "))
            // One whose length is not told is refused once it is too long.
            let chunked = try await WebConnection.open(scene.port)
            try await chunked.send(
                "POST /v1/files HTTP/1.1\r\nhost: 127.0.0.1:\(scene.port)\r\n\(scene.full)\r\n"
                    + "transfer-encoding: chunked\r\n\r\n" + "2dc6c1\r\n\(text.prefix(3_000_001))")
            try await chunked.wait { $0.contains("too_large") }
            #expect(other.kept.pinned.isEmpty)
        }
    }
}
