import Foundation
import IPLD
import Multiformats
import NodeAPITesting
import Testing

/// Strangers get over the gateway what the owner made public, and nothing else of the node.
@Suite("Gateway", .serialized)
final class GatewayTests {
    private let folder: URL
    private let node: NodeProcess
    private let other: NodeProcess

    init() throws {
        folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        node = try NodeProcess("node", in: folder, ["--no-executor"])
        other = try NodeProcess("other", in: folder, ["--no-executor"])
    }

    deinit {
        node.kill()
        other.kill()
        try? FileManager.default.removeItem(at: folder)
    }

    private func start() throws -> String {
        try node.configure("gateway", ["listen": "/ip4/127.0.0.1/tcp/0"])
        try node.start()
        try node.waitUntilUp()
        return try #require(try gateway()["address"] as? String)
    }

    private func gateway() throws -> [String: Any] {
        let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
        return try #require(status["gateway"] as? [String: Any])
    }

    /// A folder of a few files, one of them of several blocks; its CID.
    private func add(_ name: String) throws -> String {
        let place = folder.appendingPathComponent(name)
        try FileManager.default.createDirectory(
            at: place.appendingPathComponent("sub"), withIntermediateDirectories: true)
        for number in 0..<5 {
            try Data("\(name) \(number)\n".utf8).write(to: place.appendingPathComponent("sub/\(number).txt"))
        }
        var large = Data(count: 3 << 20)
        for index in stride(from: 0, to: large.count, by: 1_000) { large[index] = UInt8(index / 1_000 % 251) }
        large.append(Data(name.utf8))
        try large.write(to: place.appendingPathComponent("large"))
        let added = try node.run(["add", "-r", place.path])
        try #require(added.status == 0, "\(added.errors)")
        return try cid(added, "bafy")
    }

    /// The CID of a kind in what a command wrote.
    private func cid(_ finished: NodeProcess.Finished, _ beginning: String) throws -> String {
        let words = finished.output.split(whereSeparator: \.isWhitespace).map(String.init)
        return try #require(words.first { $0.hasPrefix(beginning) }, "\(finished.errors)")
    }

    /// A file of this text, kept at a node; its CID.
    private func file(_ text: String, at node: NodeProcess) throws -> String {
        let place = folder.appendingPathComponent("file.txt")
        try Data(text.utf8).write(to: place)
        let added = try node.run(["add", place.path])
        return try cid(added, "bafk")
    }

    private func stat(_ path: String) throws -> String {
        let listed = try #require(try node.run(["stat", path, "--json"]).json() as? [String: Any])
        return try #require(listed["cid"] as? String)
    }

    private func imported(_ archive: Data) throws -> NodeProcess.Finished {
        let file = folder.appendingPathComponent("archive.car")
        try archive.write(to: file)
        return try other.run(["car", "import", file.path])
    }

    @Test("A public folder is had by anyone, and another node keeps it out of the archive")
    func served() throws {
        let address = try start()
        let root = try add("photos")
        let target = "/ipfs/\(root)"
        #expect(try PlainHTTP.ask(address, target + "?format=car").status == 404)
        let made = try node.run(["pin", "public", root])
        #expect(made.status == 0 && made.output == "\(root) is public\n" && made.errors.isEmpty, "\(made.errors)")
        #expect(try node.run(["pin", "ls"]).output == "\(root)  public\n")
        #expect(try node.run(["pin", "ls", "--public", "--json"]).json() as? [String] == [root])

        let archive = try PlainHTTP.ask(address, target + "?format=car")
        #expect(archive.status == 200 && archive.isWhole)
        #expect(archive.headers["content-type"] == "application/vnd.ipld.car; version=1; order=dfs; dups=n")
        #expect(archive.headers["x-content-type-options"] == "nosniff")
        // The command writes the same bytes.
        let file = folder.appendingPathComponent("export.car")
        #expect(try node.run(["car", "export", root, "--output", file.path]).status == 0)
        #expect(try Data(contentsOf: file) == archive.content)
        try other.start()
        try other.waitUntilUp()
        #expect(try imported(archive.content).output == "\(root)\n")
        let copy = folder.appendingPathComponent("copy")
        #expect(try other.run(["get", root, "--output", copy.path]).status == 0)
        for name in ["large", "sub/3.txt"] {
            let original = folder.appendingPathComponent("photos/\(name)")
            #expect(try Data(contentsOf: copy.appendingPathComponent(name)) == Data(contentsOf: original))
        }
        // A block by its CID, and what is below a path, each as its reader can check it.
        let large = try stat("\(root)/large")
        for cid in [root, large] {
            let block = try PlainHTTP.ask(address, "/ipfs/\(cid)?format=raw")
            #expect(try block.status == 200 && CID(parsing: cid).matches([UInt8](block.body)))
            let tag = try #require(block.headers["etag"])
            let known = try PlainHTTP.ask(address, "/ipfs/\(cid)?format=raw", headers: ["if-none-match: \(tag)"])
            #expect(known.status == 304 && known.body.isEmpty)
        }
        let part = try PlainHTTP.ask(address, target + "/large?format=car&entity-bytes=1048576:1048577")
        #expect(try CAR(decoding: [UInt8](part.body)).blocks.count == 3)
        let names = try PlainHTTP.ask(address, target + "/sub?format=car&dag-scope=entity")
        #expect(try CAR(decoding: [UInt8](names.body)).blocks.count == 2)
        let exports = [
            (["--bytes", "1048576:1048577"], 2), (["--bytes", "-2:*", "--scope", "entity"], 2),
            (["--scope", "block"], 1), (["--scope", "entity"], 5),
        ]
        for (options, blocks) in exports {
            #expect(try node.run(["car", "export", "\(root)/large", "--output", file.path] + options).status == 0)
            #expect(try CAR(decoding: [UInt8](Data(contentsOf: file))).blocks.count == blocks, "\(options)")
        }
        for (options, said) in [
            (["--bytes", "9999999:*"], "has none of these bytes"),
            (["--bytes", "5:4"], "\"5:4\" is no range of bytes"),
            (["--bytes", "0:4", "--scope", "all"], "--bytes goes with --scope entity"),
        ] {
            let refused = try node.run(["car", "export", "\(root)/large", "--output", file.path] + options)
            #expect(refused.status != 0 && refused.errors.contains(said), "\(refused.errors)")
        }
        let head = try PlainHTTP.ask(address, target + "?format=car", method: "HEAD")
        #expect(head.status == 200 && head.body.isEmpty && head.headers["etag"] == archive.headers["etag"])
        let told = try gateway()
        #expect(told["public_roots"] as? Int == 1 && told["refusals"] as? Int == 1)
        #expect((told["answers"] as? Int ?? 0) > 7)
        #expect((told["sent_bytes"] as? Int ?? 0) > 3 << 20)
        #expect(try node.run(["status"]).output.contains("gateway           \(address) serves 1 public pin: "))
    }

    @Test("What is private, what is not kept, and the node's API are not had")
    func notServed() throws {
        let address = try start()
        let (open, shut) = (try add("open"), try add("shut"))
        #expect(try node.run(["pin", "public", open]).status == 0)
        let hidden = try [shut, stat("\(shut)/large"), stat("\(shut)/sub/1.txt")]
        // Public once, and removed since.
        let loose = try file("loose.txt", at: node)
        #expect(try node.run(["pin", "public", loose]).status == 0 && node.run(["pin", "rm", loose]).status == 0)
        for cid in hidden + [loose] {
            for query in ["raw", "car", "car&dag-scope=block"] {
                for method in ["GET", "HEAD"] {
                    let answer = try PlainHTTP.ask(address, "/ipfs/\(cid)?format=\(query)", method: method)
                    #expect(answer.status == 404 && answer.headers["cache-control"] == "no-store", "\(query)")
                }
            }
        }
        // A block that is kept by itself, too, is public with the folder that has it.
        let shared = folder.appendingPathComponent("open/sub/1.txt").path
        #expect(try node.run(["add", shared]).status == 0)
        let cid = try stat("\(open)/sub/1.txt")
        #expect(try PlainHTTP.ask(address, "/ipfs/\(cid)?format=raw").content == Data("open 1\n".utf8))
        // No path leads out of a folder.
        let paths = [
            "/../\(shut)", "/%2e%2e/\(shut)", "/sub/../../\(shut)", "/..%2f\(shut)", "/sub%2F1.txt", "//../v1/status",
        ]
        for path in paths {
            let answer = try PlainHTTP.ask(address, "/ipfs/\(open)\(path)?format=car")
            #expect(answer.status == 400 || answer.status == 404, "\(path)")
        }
        for path in ["/v1/status", "/v1/pins", "/v1/wallet", "/v1/blocks/\(shut)", "/v1/files/\(open)", "/v1/jobs"] {
            for method in ["GET", "POST", "DELETE"] {
                let answer = try PlainHTTP.ask(address, path, method: method)
                #expect(answer.status == (method == "GET" ? 404 : 405), "\(path)")
            }
        }
        #expect(try PlainHTTP.ask(address, "/v1/shutdown", method: "POST").status == 405)
        let page = try PlainHTTP.ask(address, "/ipfs/\(open)/sub/1.txt", headers: ["accept: text/html,*/*;q=0.8"])
        #expect(page.status == 406 && String(decoding: page.body, as: UTF8.self).contains("?format=raw"))

        // What the owner takes back is gone at once, what is removed is as if it had never been there.
        #expect(try node.run(["pin", "private", open]).output == "\(open) is private\n")
        #expect(try PlainHTTP.ask(address, "/ipfs/\(open)?format=raw").status == 410)
        #expect(try node.run(["pin", "ls", "--public"]).output.isEmpty)
        #expect(try node.run(["pin", "public", open]).status == 0)
        #expect(try PlainHTTP.ask(address, "/ipfs/\(open)?format=raw").status == 200)
        #expect(try node.run(["pin", "rm", open]).status == 0)
        #expect(try PlainHTTP.ask(address, "/ipfs/\(open)?format=raw").status == 404)
        #expect(try node.run(["status"]).status == 0)
    }

    @Test("Nothing is fetched for a stranger, and nothing that is not kept is made public")
    func notFetched() throws {
        let address = try start()
        try other.start()
        try other.waitUntilUp()
        #expect(try node.run(["connect", try other.address()]).status == 0)
        let cid = try file("there\n", at: other)
        let made = try node.run(["pin", "public", cid])
        #expect(made.status != 0 && made.errors.contains("is not kept here") && made.errors.contains("mesh pin add"))
        for _ in 0..<3 { #expect(try PlainHTTP.ask(address, "/ipfs/\(cid)?format=raw").status == 404) }
        #expect(try node.run(["pin", "ls"]).output.isEmpty)
        let pinned = try node.run(["pin", "add", "--public", cid])
        #expect(pinned.status == 0 && pinned.output.hasPrefix("Kept \(cid)"), "\(pinned.errors)")
        #expect(pinned.errors.isEmpty)
        #expect(try PlainHTTP.ask(address, "/ipfs/\(cid)?format=raw").content == Data("there\n".utf8))
        // A node without a gateway says so.
        let told = try other.run(["pin", "public", cid])
        #expect(told.status == 0 && told.errors.contains("set gateway.listen in config.json"))
    }

    @Test("What is public stays so through a crash, and a gateway that cannot listen stops the start")
    func restarted() throws {
        let address = try start()
        let root = try add("kept")
        #expect(try node.run(["pin", "public", root]).status == 0)
        #expect(try PlainHTTP.ask(address, "/ipfs/\(root)?format=raw").status == 200)
        node.kill()
        let again = try start()
        #expect(try PlainHTTP.ask(again, "/ipfs/\(root)?format=raw").status == 200)
        let port = try #require(again.split(separator: ":").last)
        try other.configure("gateway", ["listen": "/ip4/127.0.0.1/tcp/\(port)"])
        let refused = try NodeProcess.command(["up", "--home", other.home.path])
        #expect(refused.status != 0)
        #expect(refused.errors.contains("The gateway cannot listen on 127.0.0.1 with port \(port)"))
        #expect(refused.errors.contains("Set another address under \"gateway\""))
        #expect(node.stop() == 0)
    }

    @Test("A crowd of slow strangers takes nothing from the owner, and its connections end")
    func crowd() throws {
        let address = try start()
        let root = try add("crowd")
        #expect(try node.run(["pin", "public", root]).status == 0)
        var crowd: [PlainConnection] = []
        // As many as come; those beyond the limit of one address are closed.
        for number in 0..<1_000 {
            guard let connection = try? PlainConnection(address) else { break }
            let lines = number % 3 == 0 ? "" : "GET /ipfs/\(root)?format=car HTTP/1.1\r\nhost: x\r\n"
            connection.send(Data((lines + (number % 3 == 2 ? "\r\n" : "")).utf8))
            crowd.append(connection)
        }
        #expect(crowd.count == 1_000)
        #expect(try node.run(["status"]).status == 0)
        let told = try gateway()
        #expect((told["connections"] as? Int ?? .max) <= 16 && (told["answers_under_way"] as? Int ?? .max) <= 16)
        #expect(try node.run(["cat", "\(root)/sub/1.txt"]).output == "crowd 1\n")
        try eventually("those that ask for nothing are closed") {
            crowd.indices.filter { $0 % 3 == 0 }.allSatisfy { crowd[$0].isEnded }
        }
        crowd = []
        try eventually("the place of the crowd is free") { try gateway()["connections"] as? Int == 0 }
        #expect(try PlainHTTP.ask(address, "/ipfs/\(root)?format=car").isWhole)
    }
}
