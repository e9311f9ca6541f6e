import Foundation
import Testing

/// The real node on a disk that fills up: a file system of its own in memory, in a mount namespace of its own.
@Suite("A full disk", .serialized)
struct FullDiskTests {
    /// The command that gives a shell its own mounts; nil where this machine allows none.
    static let namespace: [String]? = [["unshare", "-rm"], ["unshare", "-m"]].first { command in
        let folder = NSTemporaryDirectory()
        let trial = try? RunningCommand(
            command + ["mount", "-t", "tmpfs", "tmpfs", folder], program: URL(fileURLWithPath: "/usr/bin/env"))
        return (try? trial?.finish().status) == 0
    }

    /// Runs a script on a disk of its own, with the program and the folder as its arguments and a few modules and files
    /// in the folder; gives the lines that it said.
    private func run(_ script: String) throws -> (told: [String], errors: String) {
        let folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        try Data(GuestModules.command("nop")).write(to: folder.appendingPathComponent("nothing.wasm"))
        try Data(CountdownModule.bytes(rounds: 4_000_000_000)).write(to: folder.appendingPathComponent("long.wasm"))
        try Data(repeating: 7, count: 3_000_000).write(to: folder.appendingPathComponent("kept"))
        try Data(repeating: 8, count: 9_000_000).write(to: folder.appendingPathComponent("big"))
        let command = try #require(Self.namespace)
        let ran = try RunningCommand(
            command + ["bash", "-c", Self.preparation + script, "bash", NodeProcess.mesh.path, folder.path],
            program: URL(fileURLWithPath: "/usr/bin/env")
        ).finish()
        #expect(ran.status == 0, "\(ran.errors)")
        return (ran.output.split(separator: "\n").map(String.init), ran.errors)
    }

    private func expect(_ expected: [String], of ran: (told: [String], errors: String)) {
        let told = Set(ran.told)
        for line in expected { #expect(told.contains(line), "\(line) is missing in \(ran.told)\n\(ran.errors)") }
    }

    @Test(
        "On a full disk a node refuses new work and says why, stays up, keeps what it has, and takes work again",
        .enabled(if: FullDiskTests.namespace != nil, "this machine lets no test mount a file system"))
    func fullDisk() throws {
        let ran = try run(
            """
            start
            cid=$("$mesh" add "$folder/kept" --home "$home"); echo "add before $?"
            module=$("$mesh" add "$folder/nothing.wasm" --home "$home")
            spare=$("$mesh" add "$folder/long.wasm" --home "$home")
            job=$("$mesh" run "$module" --detach --home "$home")
            "$mesh" run "$module" --home "$home" >/dev/null 2>&1; echo "run before $?"
            fill
            "$mesh" add "$folder/big" --home "$home"; echo "add on a full disk $?"
            "$mesh" run "$module" --detach --home "$home"; echo "submit on a full disk $?"
            "$mesh" status --home "$home" | grep -q "disk full, takes no new work"; echo "says so $?"
            "$mesh" rm "$spare" --home "$home" >/dev/null; echo "remove on a full disk $?"
            "$mesh" stop --home "$home"; wait $node; echo "stopped $?"
            rm "$disk/filler"; start
            until [ -e "$home/mesh.sqlite.reserve" ]; do again; done
            "$mesh" stop --home "$home"; wait $node
            fill; start; echo "up on a full disk"
            "$mesh" get "$cid" --output "$folder/copy" --home "$home"
            cmp "$folder/kept" "$folder/copy" && echo "same file"
            "$mesh" run "$module" --detach --home "$home" 2>/dev/null; echo "still refused $?"
            rm "$disk/filler"
            until "$mesh" add "$folder/big" --home "$home" >/dev/null 2>&1; do again; done
            echo "add with space"
            until "$mesh" run "$module" --home "$home" >/dev/null 2>&1; do again; done
            echo "runs again"
            "$mesh" jobs --full --home "$home" | grep -q "$job" && echo "the job is known"
            "$mesh" stop --home "$home"; wait $node; echo "stopped at last $?"
            """)
        expect(
            [
                "add before 0", "run before 0", "add on a full disk 236", "submit on a full disk 236", "says so 0",
                "remove on a full disk 0",
                "stopped 0", "up on a full disk", "same file", "still refused 236", "add with space", "runs again",
                "the job is known", "stopped at last 0",
            ], of: ran)
        let complaints = ran.errors.split(separator: "\n").filter { $0.hasPrefix("mesh: ") }
        #expect(complaints.count == 2, "\(ran.errors)")
        #expect(complaints.allSatisfy { $0.contains("bytes left, and below 1048576") }, "\(ran.errors)")
    }

    @Test(
        "A job that runs while others fill the disk ends and is paid once there is room; meanwhile the node stays up",
        .enabled(if: FullDiskTests.namespace != nil, "this machine lets no test mount a file system"))
    func filledWhileAJobRuns() throws {
        let ran = try run(
            """
            start
            module=$("$mesh" add "$folder/long.wasm" --home "$home")
            before=$(tokens)
            job=$("$mesh" run "$module" --max-fuel 1T --timeout 600 --detach --home "$home")
            until "$mesh" jobs --json --home "$home" | grep -q '"phase" *: *"Running"'; do again; done
            keep_filling & filling=$!
            until "$mesh" status --json --home "$home" | grep -q store_full_retries; do again; done
            echo "it waits for room"
            "$mesh" run "$module" --detach --home "$home" 2>/dev/null; echo "submit meanwhile $?"
            "$mesh" jobs --full --home "$home" | grep -q "$job" && echo "the job is told of"
            [ -e "$home/mesh.sqlite.reserve" ] || echo "the reserve is given"
            rm "$folder/filling"; wait $filling; rm "$disk/filler"
            until [ "$(ended)" = succeeded ]; do again; done
            echo "the job ended"
            receipt=$(field receipt_cid | head -1)
            "$mesh" receipt verify "$receipt" --home "$home" >/dev/null; echo "receipt $?"
            until [ "$(tokens)" = "$before" ]; do again; done; echo "the wallet is what it was"
            "$mesh" wallet --json --home "$home" | grep -q '"paid" *: *[1-9]' && echo "it was paid"
            until [ -e "$home/mesh.sqlite.reserve" ]; do again; done; echo "the reserve is back"
            "$mesh" stop --home "$home"; wait $node; echo "stopped $?"
            """)
        expect(
            [
                "it waits for room", "submit meanwhile 236", "the job is told of", "the reserve is given",
                "the job ended", "receipt 0", "the wallet is what it was", "it was paid", "the reserve is back",
                "stopped 0",
            ], of: ran)
    }

    @Test(
        "A node that finds no room for full_disk_seconds stops with one sentence, and its next start goes on",
        .enabled(if: FullDiskTests.namespace != nil, "this machine lets no test mount a file system"))
    func noRoomForTooLong() throws {
        let ran = try run(
            """
            sed -i 's/"full_disk_seconds" : 600/"full_disk_seconds" : 1/' "$home/config.json"
            start
            module=$("$mesh" add "$folder/long.wasm" --home "$home")
            job=$("$mesh" run "$module" --max-fuel 1T --timeout 600 --detach --home "$home")
            until "$mesh" jobs --json --home "$home" | grep -q '"phase" *: *"Running"'; do again; done
            keep_filling & filling=$!
            wait $node; echo "node $?"
            rm "$folder/filling"; wait $filling; rm "$disk/filler"
            start; echo "up again"
            until [ "$(ended)" = succeeded ]; do again; done; echo "the job ended"
            "$mesh" stop --home "$home"; wait $node; echo "stopped $?"
            """)
        expect(["node 236", "up again", "the job ended", "stopped 0"], of: ran)
        let sentence = "is full; free some space, nothing acknowledged was lost."
        let complaints = ran.errors.split(separator: "\n").filter { $0.hasPrefix("mesh: ") }
        #expect(complaints.count == 1 && complaints[0].hasSuffix(sentence), "\(ran.errors)")
    }

    /// A disk with a home on it, which keeps 1 MiB free for what is under way.
    private static let preparation = """
        mesh=$1 folder=$2 disk=$2/disk home=$2/disk/home
        mkdir "$disk" && mount -t tmpfs -o size=40m tmpfs "$disk" || exit 1
        start() {
            "$mesh" up --home "$home" >/dev/null & node=$!
            until "$mesh" status --home "$home" >/dev/null 2>&1; do again; done
        }
        again() { kill -0 $node || exit 1; sleep 0.05; }
        fill() { head -c 40m /dev/zero >> "$disk/filler" 2>/dev/null; }
        keep_filling() {
            touch "$folder/filling"
            while [ -e "$folder/filling" ]; do fill; sleep 0.01; done
        }
        tokens() {
            "$mesh" wallet --json --home "$home" | grep -oE '"(available|held)" *: *[0-9]+' |
                awk -F: '{ sum += $2 } END { print sum }'
        }
        field() { "$mesh" jobs --json --home "$home" | grep -oE '"'$1'" *: *"[^"]+"' | cut -d '"' -f 4; }
        ended() { field ending; }
        "$mesh" init --home "$home" --listen /ip4/127.0.0.1/tcp/0 --log-level critical >/dev/null 2>&1 || exit 1
        sed -i 's/"disk_reserve_bytes" : 67108864/"disk_reserve_bytes" : 1048576/' "$home/config.json"

        """
}
