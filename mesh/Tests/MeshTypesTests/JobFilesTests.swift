import GuestFiles
import IPLD
import MeshTypes
import Multiformats
import Testing

@Suite("Files of jobs")
struct JobFilesTests {
    private static let folder = CID.hashing(Array("folder".utf8), codec: .dagPB)
    private static let file = CID.hashing(Array("file".utf8), codec: .raw)

    /// As in `mesh run python.wasm --dir ./lib:/lib --file data.csv:/job/data.csv --workdir /job --tmp
    /// --collect 'out/**':./results`.
    private static var files: JobFiles {
        var files = JobFiles(
            mounts: [
                JobFiles.Mount(path: "/lib", cid: folder, isFolder: true),
                JobFiles.Mount(path: "/job/data.csv", cid: file, isFolder: false),
                JobFiles.Mount(emptyFolderAt: "/job"),
            ], workingFolder: "/job")
        files.hasTemporaryFolder = true
        files.collect = ["results": "out/**"]
        return files
    }

    private static func job(_ change: (inout JobFiles) -> Void = { _ in }) -> MeshJobParams {
        var params = MeshJobParams(wasmCID: file)
        var files = files
        change(&files)
        params.files = files
        params.executionPolicy = ExecutionPolicy()
        params.executionPolicy?.require(JobFiles.feature)
        return params
    }

    private func refusal(_ change: (inout JobFiles) -> Void) -> JobRefusal? {
        JobRules().refusal(of: Self.job(change))
    }

    @Test func aJobWithoutFilesIsTheSameBytesAsBefore() throws {
        let bytes = try DAGCBOREncoder().encode(Samples.params)
        #expect(!String(decoding: bytes, as: UTF8.self).contains("files"))
        #expect(try DAGCBORDecoder().decode(MeshJobParams.self, from: bytes).files == nil)
    }

    @Test func filesAreReadAsTheyWereWritten() throws {
        let params = Self.job { files in
            files.mounts[2].maxBytes = 4_096
            files.mounts[2].maxEntries = 7
        }
        #expect(JobRules().refusal(of: params) == nil)
        let read = try DAGCBORDecoder().decode(MeshJobParams.self, from: try DAGCBOREncoder().encode(params))
        #expect(read == params && read.files == params.files && read.files?.mounts[2].maxEntries == 7)
        #expect(read.files?.contentRoots == [Self.folder, Self.file])
    }

    @Test func aJobWithFilesAsksForExecutorsThatGiveThem() {
        var params = Self.job()
        params.executionPolicy = nil
        #expect(JobRules().refusal(of: params) == .featureNotRequired("files-v1"))
        params.executionPolicy = Samples.policy
        #expect(JobRules().refusal(of: params) == .featureNotRequired("files-v1"))
        params.executionPolicy?.require(JobFiles.feature)
        params.executionPolicy?.require(JobFiles.feature)
        #expect(JobRules().refusal(of: params) == nil)
        #expect(params.executionPolicy?.requiredFeatures == ["simd", "files-v1"])
    }

    @Test func theFileSystemIsTheOneThatProgramsExpect() throws {
        let plan = Self.job().files?.plan(standardInput: Self.file)
        #expect(
            plan?.preopens.map { String(decoding: $0.name, as: UTF8.self) } == ["/job", "/lib", "/tmp", ".", "/dev"]
                && plan?.preopens.dropLast().last?.path == Array("/job".utf8))
        #expect(plan?.mounts.map(\.isWritable) == [false, false, true, true] && plan?.mounts[2].content == .empty)
        #expect(plan?.mounts[0].content == .tree(Self.folder) && plan?.standardInput == .file(Self.file))
        #expect(plan?.quota == FileSystemPlan.Quota(bytesMax: 256 << 20, entriesMax: 65_536))
        #expect(try Self.files.selections().keys.sorted() == ["results"])
    }

    @Test func theFolderOfAFileThatStandsAloneIsOpen() {
        var files = JobFiles(mounts: [
            JobFiles.Mount(path: "/data/in.csv", cid: Self.file, isFolder: false),
            JobFiles.Mount(path: "/data/more.csv", cid: Self.file, isFolder: false),
            JobFiles.Mount(path: "/data/below/it.csv", cid: Self.file, isFolder: false),
            JobFiles.Mount(path: "/else/it.csv", cid: Self.file, isFolder: false),
        ])
        func names() -> [String] {
            files.plan(standardInput: nil).preopens.map { String(decoding: $0.name, as: UTF8.self) }
        }
        #expect(names() == ["/data", "/else", "/dev"])
        files.mounts.reverse()
        #expect(names() == ["/data", "/else", "/dev"])
        files.mounts.append(JobFiles.Mount(path: "/top", cid: Self.file, isFolder: false))
        #expect(names() == ["/", "/dev"])
        files.mounts.append(JobFiles.Mount(path: "/", cid: Self.folder, isFolder: true))
        #expect(names() == ["/", "/dev"])
    }

    @Test func quotasOfMountsAreWithinTheJobs() {
        var files = Self.files
        files.maxBytes = 10_000
        files.mounts[2].maxEntries = 3
        let quota = files.plan(standardInput: nil).mounts[2].quota
        #expect(quota == FileSystemPlan.Quota(bytesMax: 10_000, entriesMax: 3))
        #expect(files.plan(standardInput: nil).mounts[0].quota == nil)
    }

    @Test(arguments: [
        "", "job", "/job/", "//job", "/a//b", "/a/./b", "/a/../b", "/..", "/dev", "/dev/x", "/job/data.csv/x", "/lib",
        "/tmp", "/new\nline", "/a\0b", "/" + String(repeating: "x", count: 256),
        "/" + String(repeating: "a/", count: 600) + "a",
        "/" + (0..<257).map { _ in "a" }.joined(separator: "/"),
    ])
    func aPathHasOneSpellingAndAPlaceOfItsOwn(_ path: String) throws {
        let refused = try #require(
            refusal { $0.mounts.append(JobFiles.Mount(path: path, cid: Self.folder, isFolder: true)) }, "\(path)")
        #expect("\(refused)".contains("--dir and --file"))
        #expect("\(refused)".utf8.count < 700)
    }

    @Test(arguments: ["/", "/a", "/lib/inside/a/mount", "/deviled", "/job/data.csv2", "/tmp/x", "/ä b"])
    func otherPathsAreTaken(_ path: String) {
        #expect(refusal { $0.mounts.append(JobFiles.Mount(path: path, cid: Self.folder, isFolder: true)) } == nil)
    }

    @Test func mountsAreWhatTheySay() {
        let object = CID.hashing([0xA0], codec: .dagCBOR)
        let old = CID.hashing([1], codec: .dagPB)
        #expect(
            refusal { $0.mounts[1].cid = object } == .cidNotAccepted(field: "mounts", object))
        #expect(refusal { $0.mounts[1].cid = old } == nil)
        for change: (inout JobFiles) -> Void in [
            { $0.mounts[0].cid = Self.file }, { $0.mounts[2].isWritable = false }, { $0.mounts[1].cid = nil },
            { $0.mounts[0].maxBytes = 1 }, { $0.mounts[1].maxEntries = 0 },
        ] {
            guard case .badFiles("mounts", _) = refusal(change) else {
                Issue.record("a mount was taken")
                continue
            }
        }
    }

    @Test func whatAJobMayHaveIsLimited() {
        let rules = JobRules()
        #expect(
            refusal { files in
                files.mounts = (0..<61).map { JobFiles.Mount(emptyFolderAt: "/m\($0)") }
            } == .tooMany(field: "mounts", count: 61, max: 60))
        #expect(
            refusal { files in
                files.mounts = (0..<59).map { JobFiles.Mount(emptyFolderAt: "/m\($0)") }
                files.mounts.append(JobFiles.Mount(emptyFolderAt: "/job"))
            } == nil)
        #expect(
            refusal { $0.collect = CanonicalMap((0..<65).map { ("o\($0)", "x") }) }
                == .tooMany(field: "collect", count: 65, max: 64))
        #expect(
            refusal { $0.maxBytes = rules.fileBytesMax + 1 }
                == .limitTooLarge(field: "files_max_bytes", asked: rules.fileBytesMax + 1, max: rules.fileBytesMax))
        #expect(
            refusal { $0.maxEntries = .max }
                == .limitTooLarge(field: "files_max_entries", asked: .max, max: rules.fileEntriesMax))
        #expect(
            refusal { $0.mounts[2].maxBytes = (256 << 20) + 1 }
                == .limitTooLarge(field: "mount_max_bytes", asked: (256 << 20) + 1, max: 256 << 20))
        #expect(refusal { $0 = JobFiles() } == .empty(field: "files"))
    }

    @Test func theWorkingFolderIsAFolderOfTheJob() {
        #expect(refusal { $0.workingFolder = "/lib/python" } == nil)
        #expect(refusal { $0.workingFolder = "/tmp" } == nil)
        for folder in ["/", "/else", "/job/data.csv", "/job/data.csv/x", "job", "/job/"] {
            guard case .badFiles("working_folder", _) = refusal({ $0.workingFolder = folder }) else {
                Issue.record("\(folder) was taken")
                continue
            }
        }
    }

    @Test(arguments: [
        ("stdout", "x"), ("stderr", "x"), ("log", "x"), ("out", ""), ("out", "a/../b"), ("out", "[a"), ("out", "a\\"),
        ("out", "x\0"), ("", "x"), ("a\u{202E}b", "x"), ("out", String(repeating: "x", count: 1_025)),
        (String(repeating: "n", count: 257), "x"),
    ])
    func whatIsCollectedIsNamedAndCanBeRead(_ name: String, _ pattern: String) throws {
        let refused = try #require(refusal { $0.collect = CanonicalMap([(name, pattern)]) })
        #expect("\(refused)".contains("--collect"))
    }

    @Test func aPatternWithoutAWorkingFolderBeginsAtTheRoot() {
        #expect(
            refusal { files in
                files.workingFolder = nil
                files.collect = ["out": "/job/out"]
            } == nil)
        guard case .badFiles("collect", let reason) = refusal({ $0.workingFolder = nil }) else {
            Issue.record("it was taken")
            return
        }
        #expect(reason.contains("no working folder"))
    }

    /// Numbers that are the same in every run.
    private struct Numbers: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 33
        }
    }

    private static func anyFiles(_ numbers: inout Numbers) -> JobFiles {
        let paths = ["/", "/a", "/a/b", "/a/b/c", "/b", "/dev", "/tmp", "/tmp/x", "/ab", "/a/", "b"]
        var files = JobFiles()
        for _ in 0..<Int.random(in: 0...4, using: &numbers) {
            let path = paths.randomElement(using: &numbers) ?? "/"
            files.mounts.append(
                [
                    JobFiles.Mount(emptyFolderAt: path),
                    JobFiles.Mount(path: path, cid: folder, isFolder: true, isWritable: .random(using: &numbers)),
                    JobFiles.Mount(path: path, cid: file, isFolder: false),
                ].randomElement(using: &numbers) ?? JobFiles.Mount(emptyFolderAt: path))
        }
        files.hasTemporaryFolder = .random(using: &numbers)
        if Bool.random(using: &numbers) { files.workingFolder = paths.randomElement(using: &numbers) }
        if Bool.random(using: &numbers) {
            files.collect = ["out": ["out/**", "/a/*", "../x"].randomElement(using: &numbers) ?? ""]
        }
        return files
    }

    @Test func whatTheRulesTakeCanBeBuiltInAnyOrder() {
        var numbers = Numbers(state: 8)
        var taken = 0
        for round in 0..<4_000 {
            let files = Self.anyFiles(&numbers)
            let isTaken = refusal { $0 = files } == nil
            taken += isTaken ? 1 : 0
            // The order of the mounts says nothing.
            var shuffled = files
            shuffled.mounts.shuffle(using: &numbers)
            #expect((refusal { $0 = shuffled } == nil) == isTaken, "\(round): \(files)")
            guard isTaken else { continue }
            let plan = files.plan(standardInput: nil)
            #expect(plan.preopens == shuffled.plan(standardInput: nil).preopens, "\(round): \(files)")
            #expect(plan.fault() == nil && plan.preopens.count <= 64, "\(round): \(files)")
            #expect(
                (plan.preopens.dropLast().last?.name == [0x2E]) == (files.workingFolder != nil), "\(round): \(files)")
            #expect(Set(plan.preopens.map(\.name)).count == plan.preopens.count, "\(round): \(files)")
            // A mount that the working folder does not need can be left out.
            for index in files.mounts.indices {
                var fewer = files
                let gone = fewer.mounts.remove(at: index)
                let isNeeded = files.workingFolder.map { $0 == gone.path || $0.isPath(inside: gone.path) } ?? false
                if fewer.mounts.isEmpty || isNeeded { continue }
                #expect(refusal { $0 = fewer } == nil, "\(round): \(fewer)")
            }
        }
        #expect(taken > 200 && taken < 3_500)
    }
}
