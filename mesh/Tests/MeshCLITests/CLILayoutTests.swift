import Multiformats
import NodeAPI
import NodeAPITesting
import NodeSetup
import Testing

@testable import MeshCLI

/// What a terminal is too narrow for, and names and numbers for people.
@Suite struct CLILayoutTests {
    private static let cid = Samples.receiptCID.text

    @Test func aLineIsBrokenAtBlanksAndGoesOnBehindItsLabel() {
        #expect(TextLayout.lines(of: "one two three", columns: 13) == ["one two three"])
        #expect(TextLayout.lines(of: "one two three", columns: 12) == ["one two", "three"])
        #expect(
            TextLayout.lines(of: "used     1,234 fuel, ran 12 ms", columns: 20)
                == ["used     1,234 fuel,", "         ran 12 ms"])
        #expect(TextLayout.lines(of: "   12 ms  a long line", columns: 16) == ["   12 ms  a long", "          line"])
        #expect(TextLayout.text("a b\n\nc d", columns: 1) == "a\nb\n\nc\nd")
        #expect(TextLayout.lines(of: "", columns: 10) == [""])
        let blanks = String(repeating: " ", count: 200)
        #expect(TextLayout.lines(of: blanks, columns: 80) == [""])
        var table = Table([("CID", .left), ("NAME", .left)])
        table.add(["bafkrei", blanks])
        #expect(table.text(columns: 80).contains("bafkrei"), "a name of blanks, as an executor may choose")
        let facts = Table.facts([(name: blanks, value: "x"), (name: "job", value: "y")], columns: .max)
        #expect(facts.contains("job") && facts.utf8.count < 400, "a long name widens no line but its own")
    }

    @Test func anIdentifierIsNeverCut() {
        #expect(Self.cid.count == 59)
        #expect(TextLayout.lines(of: "receipt  \(Self.cid)", columns: 60) == ["receipt", Self.cid])
        #expect(TextLayout.lines(of: "receipt  \(Self.cid)", columns: 61) == ["receipt", "  " + Self.cid])
        #expect(TextLayout.lines(of: "receipt  \(Self.cid)", columns: 68) == ["receipt  \(Self.cid)"])
        #expect(
            TextLayout.lines(of: "output   report \(Self.cid) (not verified)", columns: 60)
                == ["output   report", Self.cid, "         (not verified)"])
        #expect(
            TextLayout.lines(of: "at /ip4/127.0.0.1/tcp/4001", columns: 15) == ["at", "/ip4/127.0.0.1", "/tcp/4001"])
        let all = TextLayout.lines(of: "a \(Self.cid)", columns: 20)
        #expect(all.allSatisfy { $0.count <= 20 } && all.joined() == "a\(Self.cid)")
    }

    @Test func aRowThatIsTooWideIsFolded() {
        var table = Table([("JOB", .left), ("PRICE", .right), ("WITH", .left), ("WHAT", .left)])
        table.add(["…abcdefgh", "1,234", "…ijklmnop", "counts the words of a long text that somebody wrote"])
        table.add(["…abcdefgh", "5"])
        #expect(table.text(columns: 100) == table.text)
        #expect(table.text(columns: 100).split(separator: "\n").count == 3)
        #expect(
            table.text(columns: 56) == """
                JOB        PRICE  WITH       WHAT
                …abcdefgh  1,234  …ijklmnop  counts the words of a long
                                             text that somebody wrote
                …abcdefgh      5

                """)
        #expect(
            table.text(columns: 30) == """
                JOB        PRICE  WITH / WHAT
                …abcdefgh  1,234  …ijklmnop
                  counts the words of a long
                  text that somebody wrote
                …abcdefgh      5

                """)
        var whole = Table([("WHEN", .left), ("RECEIPT", .left)])
        whole.add(["2 s ago", Self.cid])
        #expect(whole.text(columns: 60) == "WHEN / RECEIPT\n2 s ago\n\(Self.cid)\n")
    }

    @Test(arguments: 10...130)
    func noListingIsWiderThanItsTerminal(_ columns: Int) {
        var table = Table([("JOB", .left), ("AS", .left), ("PRICE", .right), ("RECEIPT", .left), ("WHAT", .left)])
        table.add([Self.cid, "originator", "1,234,567", Self.cid, "many words that say what it is"])
        let facts = Table.facts(
            [("DID", "did:key:z6MkwUBSg7gdRAXJpZyDKdRsy1M2kfhwnVToNqiFXDbqT8EV"), ("at", "/ip4/10.0.0.1/tcp/4001")],
            columns: columns)
        for text in [table.text(columns: columns), facts] {
            #expect(text.split(separator: "\n").allSatisfy { $0.count <= columns }, "\(columns):\n\(text)")
            for word in ["originator", "1,234,567", "many"] where text != facts && columns >= 12 {
                #expect(text.contains(word), "\(columns):\n\(text)")
            }
        }
    }

    @Test func aMisspeltCommandIsRecognized() {
        let names = ["init", "up", "run", "jobs", "explain", "cancel", "receipt", "status", "peers", "devnet"]
        let meant = [
            "jbos": "jobs", "reciept": "receipt", "recipt": "receipt", "rn": "run", "statsu": "status", "peer": "peers",
            "job": "jobs", "Run": "run", "devnte": "devnet", "exp": "explain",
        ]
        for (word, name) in meant { #expect(Spelling.likely(word, among: names) == name, "\(word)") }
        #expect(Spelling.likely("bann", among: ["list", "bans", "ban", "allow"]) == "ban")
        #expect(Spelling.likely("mdns_netwrk", among: ["mdns", "mdns_network"]) == "mdns_network")
        for word in ["", "x", "frobnicate", String(repeating: "a", count: 5_000)] {
            #expect(Spelling.likely(word, among: names) == nil, "\(word.prefix(20))")
        }
        #expect(
            CommandLineWords(["receipt", "verfy"]).fault?.contains("Did you mean mesh receipt verify?") == true)
        #expect(CommandLineWords(["receipt", "vrfy"]).fault?.contains("Did you mean mesh receipt verify?") == true)
        #expect(CommandLineWords(["help", "jbos"]).fault?.contains("Did you mean mesh jobs?") == true)
        #expect(
            CommandLineWords(["help", "receipt", "vrfy"]).fault?.contains("Did you mean mesh receipt verify?") == true)
        let unknown = "Unknown option '--max-mem'. Did you mean '--max-fuel'?"
        #expect(
            CommandLineWords(["run", "--max-mem", "5"]).meant(unknown)
                == "Unknown option '--max-mem'. Did you mean '--max-memory'?")
        let several = "Unknown option '--max'. Did you mean '--max-fuel'?"
        #expect(CommandLineWords(["run", "--max"]).meant(several) == several, "several begin so")
        #expect(
            CommandLineWords(["run", "--max-fule", "5"]).meant(
                "Unknown option '--max-fule'. Did you mean '--max-files'?")
                == "Unknown option '--max-fule'. Did you mean '--max-fuel'?", "letters that changed places")
        #expect(
            CommandLineWords(["receipt", "--jsn"]).meant("Unknown option '--jsn'\nUsage: mesh")
                == "Unknown option '--jsn'. Did you mean '--json'?\nUsage: mesh")
        #expect(
            CommandLineWords(["init", "--port", "5"]).meant("Unknown option '--port'. Did you mean '--home'?")
                == "Unknown option '--port'.", "no option is like it")
        for fine in [
            ["help", "jobs"], ["help", "help"], ["help", "receipt", "verify"], ["help", "--help"], ["help", "receipt"],
        ] {
            #expect(CommandLineWords(fine).fault == nil, "\(fine)")
        }
    }

    @Test func everyUsageErrorBeginsAsAllErrorsDo() {
        #expect(Mesh.usage("Error: Unknown option '--x'\nUsage: mesh") == "mesh: Unknown option '--x'\nUsage: mesh")
        #expect(Mesh.usage("A sentence.") == "mesh: A sentence.")
    }

    @Test func countersAreGroupedAndNamedForPeople() {
        let counters = [
            NodeStatus.Counter(name: "future_thing", value: 1_234), .init(name: "jobs_originated_open", value: 2),
            .init(name: "market_refused_price_too_high", value: 3), .init(name: "store_block_bytes", value: 2_048),
            .init(name: "store_commits", value: 1_000_000), .init(name: "swarm_connections_opened", value: 4),
            .init(name: "market_declined_expired", value: 9), .init(name: "market_duplicates", value: 1),
        ]
        let text = CounterGroup.groups(of: counters).map(\.text).joined(separator: "\n")
        #expect(
            text == """
                Jobs
                  under way, asked for by this node  2

                Bids and announcements
                  messages that came again  1
                  declined expired          9
                  refused price too high    3

                Storage
                  bytes of blocks   2.00 KiB
                  changes written  1,000,000

                Peers
                  connections opened  4

                Other
                  future thing  1,234

                """)
        #expect(CounterGroup.groups(of: []).isEmpty)
    }

    @Test func aNodeIsCalledByTheEndOfItsDIDEverywhere() {
        var peer = Samples.peer
        peer.did = "did:key:z6MkwUBSg7gdRAXJpZyDKdRsy1M2kfhwnVToNqiFXDbqT8EV"
        peer.peerID = "12D3KooWSqHZq11uGXJL7xdwGfDNthssRRUjQJHveRAM4vniRrB3"
        peer.addresses = ["/ip4/10.0.0.1/tcp/4001", "/ip4/10.0.0.2/tcp/4001"]
        let table = PeerList.table([peer])
        #expect(table.contains("…XDbqT8EV") && !table.contains("vniRrB3"), "\(table)")
        let facts = PeerList.facts(peer)
        for part in ["…XDbqT8EV", peer.did ?? "", peer.peerID] + peer.addresses { #expect(facts.contains(part)) }
        var status = Samples.status
        status.did = peer.did ?? ""
        #expect(Status.text(status).contains("…XDbqT8EV\n"))
    }
}
