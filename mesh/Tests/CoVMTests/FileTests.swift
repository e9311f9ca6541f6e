import GuestFiles
import MeshTypes
import Multiformats
import Testing

@testable import CoVM

/// The files of a job as a module meets them: real calls of a real guest.
@Suite("The files of a job")
struct FileTests {
    /// Opens to read and write, and makes the file.
    static func create(_ path: String, in directory: String = "3") -> String { "open \(directory) 0 \(path) 1 66 0" }

    struct Script: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let steps: [(call: String, answer: String)]

        init(_ name: String, _ steps: [(String, String)]) {
            testDescription = name
            self.steps = steps.map { (call: $0.0, answer: $0.1) }
        }
    }

    static let scripts: [Script] = [
        Script(
            "write, seek, read",
            [
                (create("a"), "0 4"), ("write #1 hello,%20world", "0 12"), ("tell #1", "0 12"), ("seek #1 -5 1", "0 7"),
                ("read #1 100", "0 5 world"), ("read #1 100", "0 0 "), ("seek #1 -1 0", "28"), ("seek #1 2 2", "0 14"),
                ("write #1 !", "0 1"), ("pread #1 4 11", "0 4 d\0\0!"), ("fstat #1", "0 4 15 1 "),
            ]),
        Script(
            "position and offset",
            [
                (create("a"), "0 4"), ("pwrite #1 5 x", "0 1"), ("tell #1", "0 0"), ("pwrite #1 0 abc", "0 3"),
                ("pread #1 9 0", "0 6 abc\0\0x"), ("pread #1 9 -1", "28"), ("pread #1 9 6", "0 0 "),
            ]),
        Script(
            "append",
            [
                ("open 3 0 a 1 66 1", "0 4"), ("write #1 ab", "0 2"), ("seek #1 0 0", "0 0"), ("write #1 cd", "0 2"),
                ("pread #1 9 0", "0 4 abcd"), ("fdstat #1", "0 4 1 "),
            ]),
        Script(
            "truncate and make longer",
            [
                (create("a"), "0 4"), ("write #1 abcdef", "0 6"), ("size #1 3", "0"), ("size #1 5", "0"),
                ("pread #1 9 0", "0 5 abc\0\0"), ("open 3 0 a 8 66 0", "0 5"), ("fstat #2", "0 4 0 1 "),
                ("size #1 17592186044417", "22"), ("allocate #1 2 6", "0"), ("pread #1 9 0", "0 8 "),
                ("open 3 0 a 0 2 0", "0 6"), ("size #3 1", "28"), ("write #3 x", "8"),
            ]),
        Script(
            "sparse",
            [
                (create("a"), "0 4"), ("pwrite #1 1099511627776 x", "0 1"), ("fstat #1", "0 4 1099511627777 1 "),
                ("pread #1 2 1099511627775", "0 2 \0x"), ("pread #1 4 4096", "0 4 \0\0\0\0"),
            ]),
        Script(
            "folders and listing",
            [
                ("mkdir 3 d", "0"), ("mkdir 3 d", "20"), ("mkdir 3 x/y", "44"), ("mkdir 3 d/b", "0"),
                (create("d/a"), "0 4"), (create("d/c"), "0 5"), ("open 3 0 d 2 0 0", "0 6"),
                ("list #3 4096", "0 . .. a b c"), ("list #3 60", "0 . .. a b c"), ("list 3 4096", "0 . .. d"),
                ("list #1 4096", "54"), ("rmdir 3 d", "55"), ("rmdir 3 d/b", "0"), ("unlink 3 d", "31"),
                ("unlink 3 d/a", "0"), ("rmdir 3 d/c", "54"), ("list #3 4096", "0 . .. c"),
            ]),
        Script(
            "rename and link",
            [
                (create("a"), "0 4"), ("write #1 A", "0 1"), (create("b"), "0 5"), ("write #2 B", "0 1"),
                ("rename 3 a 3 b", "0"), ("stat 3 0 a", "44"), ("open 3 0 b 0 2 0", "0 6"), ("read #3 9", "0 1 A"),
                ("pread #2 9 0", "0 1 B"), ("link 3 0 b 3 c", "0"), ("stat 3 0 c", "0 4 1 2 "), ("mkdir 3 d", "0"),
                ("rename 3 b 3 d", "31"), ("rename 3 d 3 d/e", "28"), ("link 3 0 d 3 e", "63"),
                ("rename 3 c 3 d/c", "0"), ("rename 3 ../x 3 y", "63"),
            ]),
        Script(
            "symbolic links",
            [
                ("mkdir 3 d", "0"), (create("d/f"), "0 4"), ("write #1 inside", "0 6"), ("symlink d 3 l", "0"),
                ("symlink d/f 3 lf", "0"), ("symlink lf/ 3 d/up", "0"), ("readlink 3 l", "0 d"),
                ("stat 3 0 l", "0 7 1 1 "), ("stat 3 1 l", "0 3 0 1 "), ("open 3 1 l/f 0 2 0", "0 5"),
                ("read #2 9", "0 6 inside"), ("open 3 0 lf 0 2 0", "32"), ("symlink / 3 root", "63"),
                ("symlink ../../etc/passwd 3 up", "0"), ("stat 3 1 up", "63"), ("symlink me 3 me", "0"),
                ("stat 3 1 me", "32"), ("unlink 3 l", "0"), ("stat 3 1 d/f", "0 4 6 1 "),
            ]),
        Script(
            "what leads out",
            [
                ("stat 3 1 ..", "63"), ("stat 3 1 /job", "63"), ("open 3 1 ../dev/null 0 2 0", "63"),
                ("stat 3 1 %-", "44"), ("stat 3 1 a%00b", "28"), ("mkdir 3 %FF", "0"),
                ("list 3 100", "0 . .. \u{FFFD}"),
            ]),
        Script(
            "descriptors",
            [
                (create("a"), "0 4"), (create("b"), "0 5"), ("write #1 A", "0 1"), ("renumber #1 #2", "0"),
                ("pread 5 9 0", "0 1 A"), ("write 4 x", "8"), ("close 5", "0"), ("close 5", "8"), ("sync 3", "0"),
                ("prestat 3", "0 /job"), ("prestat 4", "8"), ("prestat 1", "8"), ("close 0", "0"), ("read 0 1", "8"),
                (create("c"), "0 0"), ("renumber 9 0", "8"),
            ]),
        Script(
            "what is unlinked stays while it is open",
            [
                (create("a"), "0 4"), ("write #1 kept", "0 4"), ("unlink 3 a", "0"), ("pread #1 9 0", "0 4 kept"),
                ("fstat #1", "0 4 4 0 "), ("stat 3 0 a", "44"), ("close #1", "0"),
            ]),
        Script(
            "ready at once, with the bytes at hand",
            [
                (create("a"), "0 4"), ("write #1 abcdef", "0 6"), ("seek #1 2 0", "0 2"), ("poll #1 1", "0 0 4"),
                ("poll #1 2", "0 0 0"), ("poll 0 1", "0 0 0"), ("poll 77 1", "0 8 0"),
            ]),
    ]

    @Test("are answered as they should be", arguments: scripts)
    func calls(_ script: Script) async throws {
        let run = try await Machine().perform(script.steps.map(\.call).joined(separator: "\n"))
        #expect(run.result.outcome == .exited(code: 0))
        #expect(run.lines.count == script.steps.count)
        for ((call, answer), line) in zip(script.steps, run.lines) {
            // Those that end in a blank have more to tell, such as times.
            let isRight = answer.hasSuffix(" ") ? line.hasPrefix(answer.dropLast()) : line == answer
            #expect(isRight, "\(call) said \(line), not \(answer)")
        }
    }

    @Test("have the standard streams in /dev, and null")
    func devices() async throws {
        let host = FileHost()
        var plan = FileGuest.plan()
        plan.preopens.append(.init(name: Array("/dev".utf8), path: Array("/dev".utf8)))
        let run = try await Machine().perform(
            """
            list 4 4096
            open 4 0 stdout 0 64 0
            write #1 out%0A
            open 4 0 stderr 0 64 0
            write #2 err
            open 4 0 null 0 66 0
            write #3 nothing
            read #3 9
            open 4 0 stdin 0 2 0
            read #4 9
            mkdir 4 x
            unlink 4 null
            """, files: plan, host: host)
        // What went to the stream by its path came before what the guest says at its end.
        #expect(
            run.lines == [
                "out", "0 . .. null random stderr stdin stdout urandom zero", "0 5", "0 4", "0 6", "0 3", "0 7", "0 7",
                "0 0 ", "0 8", "0 0 ", "69", "69",
            ])
        #expect(host.text(run.result.standardErrorCID) == "err")
    }

    @Test("have the times of the guest's clock")
    func times() async throws {
        let run = try await Machine().perform("mkdir 3 a\nstat 3 0 a\nclock 0\nmkdir 3 b\nstat 3 0 b") {
            $0.clockStartNanoseconds = 1_800_000_000_000_000_000
        }
        let numbers = run.lines.map { $0.split(separator: " ").compactMap { UInt64($0) } }
        let (a, clock, b) = (numbers[1][5], numbers[2][1], numbers[4][5])
        #expect(1_800_000_000_000_000_000 < a && a < clock && clock < b)
        #expect(b < 1_800_000_000_000_000_000 + run.result.usage.fuel)
    }

    @Test("a job without files finds none")
    func none() async throws {
        let run = try await Machine().perform(
            """
            prestat 3
            open 3 0 a 1 66 0
            stat 3 0 a
            read 1 5
            seek 1 0 0
            fdstat 0
            list 3 100
            renumber 3 1
            """, files: FileSystemPlan())
        #expect(run.result.outcome == .exited(code: 0))
        #expect(run.lines.map { $0.prefix { $0 != " " } } == ["8", "8", "8", "8", "70", "0", "8", "8"])
        #expect(run.result.read.entries.isEmpty)
        #expect(run.result.outputs.isEmpty)
    }

    // MARK: Limits

    @Test("are bounded by the quota of the job and by that of a mount")
    func quota() async throws {
        let small = FileSystemPlan.Mount(
            path: Array("/small".utf8), content: .empty, isWritable: true,
            quota: .init(bytesMax: 8_192, entriesMax: 2))
        let plan = FileGuest.plan(others: [small], quota: .init(bytesMax: 65_536, entriesMax: 5))
        let run = try await Machine().perform(
            """
            \(Self.create("a", in: "4"))
            fill #1 10000 1
            fill #1 1 1
            mkdir 4 b
            mkdir 4 c
            \(Self.create("a"))
            fill #2 100000 1
            fill #2 1 1
            symlink x 3 l
            mkdir 3 b
            mkdir 3 c
            mkdir 3 d
            unlink 4 a
            close #1
            fill #2 9000 1
            mkdir 3 d
            """, files: plan)
        #expect(run.lines[1] == "0 8192")
        #expect(run.lines[2] == "19 0")
        #expect(Array(run.lines[3...4]) == ["0", "19"])
        #expect(run.lines[6] == "0 57344")
        #expect(run.lines[7] == "51 0")
        #expect(Array(run.lines[8...13]) == ["51", "0", "0", "51", "0", "0"])
        #expect(Array(run.lines[14...15]) == ["0 8192", "0"])
    }

    struct Storm: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let script: String
        let answer: String
    }

    /// What all storms may write.
    private static let stormQuota = FileSystemPlan.Quota(bytesMax: 64 << 20, entriesMax: 65_536)

    static let storms: [Storm] = [
        Storm(testDescription: "names", script: "repeat 1000000 mkdir 3 d%d", answer: "51 65536"),
        Storm(
            testDescription: "names of one file", script: "\(create("a"))\nrepeat 1000000 link 3 0 a 3 l%d",
            answer: "34 64999"),
        Storm(testDescription: "links", script: "repeat 1000000 symlink x 3 l%d", answer: "51 16384"),
        Storm(testDescription: "depth", script: "deep 3 n 1000000", answer: "37 255"),
        Storm(
            testDescription: "descriptors", script: "\(create("a"))\nrepeat 1000000 open 3 0 a 0 2 0",
            answer: "33 1019"),
        Storm(testDescription: "bytes", script: "\(create("a"))\nfill #1 1099511627776 7", answer: "51 67108864"),
        Storm(
            testDescription: "sparse giants",
            script: "\(create("a"))\nsize #1 17592186044416\nrepeat 10000 pwrite #1 17592186044415 x",
            answer: "0 10000"),
        Storm(testDescription: "long paths", script: "mkdir 3 \(String(repeating: "n", count: 256))", answer: "37"),
        Storm(
            testDescription: "paths without end", script: "stat 3 0 \(String(repeating: "n/", count: 3_000))",
            answer: "37"),
    ]

    @Test("withstand storms of", arguments: storms)
    func storm(_ storm: Storm) async throws {
        let run = try await Machine().perform(storm.script, files: FileGuest.plan(quota: Self.stormQuota))
        #expect(run.result.outcome == .exited(code: 0))
        #expect(run.lines.last == storm.answer)
    }

    @Test("cost fuel by what is asked for, so that a storm ends at its fuel")
    func fuel() async throws {
        let run = try await Machine().perform("mkdir 3 d\nrepeat 100000000 stat 3 0 d") {
            $0.limits.maxFuel = 10_000_000
        }
        #expect(run.result.outcome == .limitExceeded(.fuel))
        #expect(run.result.usage.fuel == 10_000_000)
    }
}
