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

    @Test(
        "What does not fit is refused in one sentence, the node that cannot go on says so, and what was kept is there",
        .enabled(if: FullDiskTests.namespace != nil, "this machine lets no test mount a file system"))
    func fullDisk() throws {
        let folder = URL(fileURLWithPath: "/tmp/mc-\(UUID().uuidString.prefix(8))")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let module = folder.appendingPathComponent("nothing.wasm")
        try Data(GuestModules.command("nop")).write(to: module)
        try Data(repeating: 7, count: 3_000_000).write(to: folder.appendingPathComponent("kept"))
        try Data(repeating: 8, count: 9_000_000).write(to: folder.appendingPathComponent("big"))
        let command = try #require(Self.namespace)
        let ran = try RunningCommand(
            command + ["bash", "-c", Self.script, "bash", NodeProcess.mesh.path, folder.path],
            program: URL(fileURLWithPath: "/usr/bin/env")
        ).finish()
        #expect(ran.status == 0, "\(ran.errors)")
        let told = Set(ran.output.split(separator: "\n").map(String.init))
        let expected = [
            "init 0", "add before 0", "nobody bid 220", "add on a full disk 236", "still up 0",
            "submit on a full disk 236", "node 236", "up again 0", "same file", "add with space 0", "the job is known",
        ]
        for line in expected { #expect(told.contains(line), "\(line) is missing in \(ran.output)\(ran.errors)") }
        let sentence = "is full; free some space, nothing acknowledged was lost."
        let complaints = ran.errors.split(separator: "\n").filter { $0.hasPrefix("mesh: ") }
        #expect(complaints.count == 3, "\(ran.errors)")
        #expect(complaints.allSatisfy { $0.hasSuffix(sentence) }, "\(ran.errors)")
    }

    /// Says what each step ended with; the complaints of the steps that are expected to fail go to standard error.
    private static let script = """
        mesh=$1 folder=$2 disk=$2/disk home=$2/disk/home
        mkdir "$disk" && mount -t tmpfs -o size=24m tmpfs "$disk" || exit 1
        start() {
            "$mesh" up --home "$home" >/dev/null & node=$!
            until "$mesh" status --home "$home" >/dev/null 2>&1; do kill -0 $node || exit 1; done
        }
        "$mesh" init --home "$home" --listen /ip4/127.0.0.1/tcp/0 --log-level critical >/dev/null 2>&1; echo "init $?"
        sed -i 's/: 30000/: 300/' "$home/config.json"
        start
        cid=$("$mesh" add "$folder/kept" --home "$home"); echo "add before $?"
        module=$("$mesh" add "$folder/nothing.wasm" --home "$home")
        job=$("$mesh" run "$module" --detach --home "$home")
        "$mesh" run "$module" --home "$home" 2>/dev/null; echo "nobody bid $?"
        head -c 24m /dev/zero > "$disk/filler" 2>/dev/null
        "$mesh" add "$folder/big" --home "$home"; echo "add on a full disk $?"
        "$mesh" status --home "$home" >/dev/null; echo "still up $?"
        "$mesh" run "$module" --detach --home "$home"; echo "submit on a full disk $?"
        wait $node; echo "node $?"
        rm "$disk/filler"
        start; echo "up again $?"
        "$mesh" get "$cid" --output "$folder/copy" --home "$home"
        cmp "$folder/kept" "$folder/copy" && echo "same file"
        "$mesh" add "$folder/big" --home "$home" >/dev/null; echo "add with space $?"
        "$mesh" jobs --full --home "$home" | grep -q "$job" && echo "the job is known"
        "$mesh" stop --home "$home"; wait $node
        """
}
