import NodeAPI
import NodeAPITesting
import Testing

@testable import MeshCLI

/// What people read about the files of a job.
@Suite struct JobFileTextTests {
    private static let folder = "bafybeih3iwmtp32ijyxxvhnyvcxwl4pjiymfxfhgbfxfcqn5qbbphlwuhm"

    private static var files: JobSubmission.Files {
        var files = JobSubmission.Files(
            mounts: [
                .init(path: "/lib", cid: folder),
                .init(path: "/job/data.csv", cid: "bafkreif", isFolder: false),
                .init(path: "/job", cid: nil, isWritable: true),
            ], workingFolder: "/job")
        files.mounts[2].maxBytes = 1 << 20
        files.hasTemporaryFolder = true
        files.maxBytes = 256 << 20
        files.maxEntries = 65_536
        files.collect = [NamedText(name: "out", text: "out/**")]
        return files
    }

    @Test func eachMountHasItsLine() {
        let facts = JobFileText.facts(Self.files, sizes: [Self.folder: 3 << 20])
        #expect(
            facts.map(\.name)
                == ["folder", "file", "folder", "folder", "working folder", "written at most", "collected"])
        #expect(facts[0].value == "/lib, read-only: \(Self.folder), 3.00 MiB")
        #expect(facts[1].value == "/job/data.csv, read-only: bafkreif")
        #expect(facts[2].value == "/job, empty, to write to, at most 1.00 MiB")
        #expect(facts[4].value == "/job" && facts[6].value == "out: out/**")
        #expect(facts[5].value == "256 MiB and 65,536 entries")
    }

    @Test(arguments: [60, 120]) func thePageFitsTheTerminal(_ columns: Int) {
        var description = Samples.description
        description.request?.files = Self.files
        description.sizes = [.init(cid: Self.folder, bytes: 3 << 20)]
        let text = JobPageText(description, full: false, now: 1_700_000_100_000).text(width: columns)
        for part in ["/lib", Self.folder, "3.00 MiB", "/job/data.csv", "/tmp", "out: out/**", "65,536"] {
            #expect(text.contains(part), "\(part)")
        }
        for line in text.split(separator: "\n") where !line.contains("bafy") && !line.contains("did:") {
            #expect(line.count <= columns, "\(line)")
        }
    }

    @Test func namesThatSomebodyChoseMoveNothing() {
        var files = Self.files
        files.mounts[0].path = "/\u{1B}[2J\u{202E}x"
        files.collect = [NamedText(name: "a\u{7}", text: "b\n")]
        let text = Table.facts(JobFileText.facts(files), columns: 80)
        #expect(!text.contains("\u{1B}") && !text.contains("\u{202E}") && !text.contains("\u{7}"))
        #expect(text.split(separator: "\n").count <= 9)
    }
}
