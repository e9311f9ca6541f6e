import Foundation
import MerkleLog
import MeshTypes
import Multiformats
import NodeAPITesting
import NodeSetup
import PeerIdentity
import SignedObjects
import Testing

/// Nodes as witnesses of each other's logs, by their real programs.
@Suite("Witnesses", .serialized)
struct WitnessTests {
    private func did(_ node: NodeProcess) throws -> String {
        let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
        return try #require(status["did"] as? String)
    }

    private func key(_ node: NodeProcess) throws -> String {
        let shown = try node.run(["dag", "witness"])
        try #require(shown.status == 0, "\(shown.errors)")
        return shown.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func gateway(_ node: NodeProcess) throws -> String {
        let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
        return try #require((status["gateway"] as? [String: Any])?["address"] as? String)
    }

    /// Writes a proof into a file.
    private func proof(of receipt: String, _ node: NodeProcess, _ name: String) throws -> String? {
        let shown = try node.run(["dag", "prove", receipt])
        guard shown.status == 0 else { return nil }
        let file = node.home.appendingPathComponent(name)
        try Data(shown.output.utf8).write(to: file)
        return file.path
    }

    /// Asks a witness to cosign another history of an author than the one that it has cosigned, and then that one
    /// again: of an author of two it cosigns neither.
    private func offerAnotherHistory(_ address: String, of author: NodeProcess) throws {
        let identity = try KeyStore(path: author.home.appendingPathComponent("identity.key").path).load()
        let origin = AnchorEntry.logName(of: identity.did, scope: AnchorEntry.globalScope, openedAt: nil)
        let hash = Multibase.encodeWithoutPrefix(
            Array(CID.hashing(Array(origin.utf8), codec: .raw).multihash.digest), .base16)
        let shown = try PlainHTTP.ask(address, "/witness/\(hash)/checkpoint")
        try #require(shown.status == 200, "\(String(decoding: shown.body, as: UTF8.self))")
        let note = try #require(SignedNote(bytes: shown.body))
        let head = try #require(Checkpoint.verified(note, by: identity.publicKey)).head
        #expect(head.size > 0 && note.signatures.count == 2, "what it stored it has cosigned")
        let fork = try #require(Checkpoint(origin: origin, head: TreeHead(size: head.size, root: .leaf([0xFF]))))
        let other = try fork.signed(with: identity)
        for (size, own, status) in [
            (head.size, other, 422), (0, other, 409), (head.size, note, 403),
        ] as [(UInt64, SignedNote, Int)] {
            let asked = LogGrowth(oldSize: size, hashes: [], note: own).bytes
            let lines = [
                "POST /witness/add-checkpoint HTTP/1.1", "host: gateway", "connection: close",
                "content-length: \(asked.count)",
            ]
            let bytes = try PlainHTTP.exchange(
                address, Data((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + Data(asked))
            let answer = try #require(WebAnswer([UInt8](bytes)))
            #expect(answer.status == status, "\(String(decoding: answer.body, as: UTF8.self))")
        }
        #expect(try PlainHTTP.ask(address, "/witness/\(hash)/checkpoint").body == shown.body)
    }

    @Test("A log is witnessed by two nodes; one is killed between store and answer, and cosigns no other history")
    func witnesses() throws {
        let mesh = try CrashMesh()
        let author = mesh.originator
        try author.start()
        try mesh.waitUntilConnected()
        let authorDID = try did(author)
        var keys: [String] = []
        var entries: [String] = []
        for witness in mesh.executors {
            keys.append(try key(witness))
            try witness.configure("gateway", ["listen": "/ip4/127.0.0.1/tcp/0"])
            try witness.configure("witness", ["authors": [authorDID]])
        }
        for witness in mesh.executors {
            witness.kill()
            try witness.start(crashAfter: witness === mesh.executors[0] ? "witness:checkpoint_taken" : nil)
            try witness.waitUntilUp()
            let address = try gateway(witness)
            // What it got stays its own, so that a restart finds it there.
            let place = try #require(address.split(separator: ":").last)
            try witness.configure("gateway", ["listen": "/ip4/127.0.0.1/tcp/\(place)"])
            entries.append("\(try key(witness)) \(address)/witness")
        }
        let entrance = try mesh.executors[0].address()
        author.kill()
        try author.configure("bootstrap", [entrance])
        try author.configure("log", ["witnesses": entries, "witness_seconds": 1])
        try author.start()
        try author.waitUntilUp()
        try eventually("the author has a peer") {
            let status = try #require(try author.run(["status", "--json"]).json() as? [String: Any])
            return (status["connected_peers"] as? NSNumber)?.intValue ?? 0 >= 1
        }
        let module = try mesh.module("short.wasm", CountdownModule.bytes(rounds: 1_000))
        let ran = try author.run(["run", module, "--sufficient-bids", "1", "--json"])
        try #require(ran.status == 0, "\(ran.errors)")
        let result = try #require((try ran.json() as? [String: Any])?["result"] as? [String: Any])
        let receipt = try #require(result["receipt_cid"] as? String)
        #expect(mesh.executors[0].waitForCrash(), "it dies between store and answer")
        try mesh.executors[0].start()
        try mesh.executors[0].waitUntilUp()
        let asked = keys.flatMap { ["--witness", $0] }
        try eventually("both have cosigned a head with the receipt") {
            guard let file = try proof(of: receipt, author, "seen") else { return false }
            return try NodeProcess.command(
                ["dag", "verify", file, "--receipt", receipt, "--author", authorDID] + asked
            ).status == 0
        }
        let report = try author.run(["receipt", "verify", receipt])
        #expect(report.output.contains("saw it there"), "\(report.output)")
        // A reader whose third witness did not sign, or who wants none older than nothing, does not take it.
        let file = try #require(try proof(of: receipt, author, "seen"))
        let other = try key(author)
        #expect(try NodeProcess.command(["dag", "verify", file] + asked + ["--witness", other]).status == 0)
        let three = asked + ["--witness", other, "--quorum", "3"]
        #expect(try NodeProcess.command(["dag", "verify", file] + three).status == 241)
        #expect(try NodeProcess.command(["dag", "verify", file] + asked + ["--quorum", "1"]).status != 0)
        // What they have then is all that they cosign.
        author.kill()
        for witness in mesh.executors { try offerAnotherHistory(try gateway(witness), of: author) }
    }
}
