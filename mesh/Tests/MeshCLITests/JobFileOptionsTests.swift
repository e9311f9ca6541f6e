import ArgumentParser
import Foundation
import NodeAPI
import Testing

@testable import MeshCLI

/// The options that give a job files.
@Suite struct JobFileOptionsTests {
    private func options(_ arguments: [String]) throws -> JobFileOptions { try JobFileOptions.parse(arguments) }

    @Test(arguments: [
        ("./lib:/lib", "./lib", "/lib", false), ("./lib:/lib:rw", "./lib", "/lib", true),
        ("./lib:/lib:ro", "./lib", "/lib", false), ("a:b:/c", "a:b", "/c", false), ("lib:/lib/", "lib", "/lib", false),
        ("lib://lib//x/", "lib", "/lib/x", false), (".:/", ".", "/", false), ("a:/b:/c", "a:/b", "/c", false),
        ("bafyfolder/in/it:/x", "bafyfolder/in/it", "/x", false),
    ])
    func aMountIsASourceAndAPath(_ text: String, _ source: String, _ path: String, _ isWritable: Bool) throws {
        #expect(
            try MountArgument.folder(text) == MountArgument(source: source, path: path, isWritable: isWritable))
    }

    @Test(arguments: ["", "lib", "lib:", "lib:lib", ":/lib", "lib:rw", "./lib:./lib:rw"])
    func otherMountsAreAnsweredWithAnExample(_ text: String) throws {
        #expect(throws: ValidationError.self) { try MountArgument.folder(text) }
        #expect(throws: ValidationError.self) { try MountArgument.file(text) }
    }

    @Test func aCollectionIsAPatternAndADestination() throws {
        let folder = CollectArgument(pattern: "out/**", destination: "./results")
        #expect(try CollectArgument.read("out/**:./results") == folder)
        #expect(try CollectArgument.read("a:b:c") == CollectArgument(pattern: "a:b", destination: "c"))
        #expect(try CollectArgument.read("*.csv") == CollectArgument(pattern: "*.csv", destination: nil))
        for text in [":x", "x:"] { #expect(throws: ValidationError.self) { try CollectArgument.read(text) } }
    }

    @Test func outputsAreNamedAfterWhatIsCollectedAndNeverTwice() throws {
        let patterns = ["out/**", "result.json", "*.csv", "/job/out/[ab]*", "out", "**"]
        let all = patterns.map { CollectArgument(pattern: $0, destination: nil) }
        #expect(
            CollectArgument.names(of: all, besides: [])
                == ["out", "result.json", "files", "out-2", "out-3", "files-2"])
        #expect(CollectArgument.names(of: [all[0], all[4]], besides: ["out", "out-2"]) == ["out-3", "out-4"])
        let stream = try options(["--workdir", "/job", "--collect", "stdout"])
        #expect(stream.plan().collect.map(\.name) == ["stdout-2"])
    }

    @Test func theExampleOfTheHelpIsAJob() throws {
        let options = try options([
            "--dir", "./lib:/lib", "--file", "data.csv:/job/data.csv", "--workdir", "/job/", "--tmp", "--collect",
            "out/**:./results", "--max-files", "64Mi", "--max-entries", "1k",
        ])
        try options.check()
        let plan = options.plan()
        #expect(plan.mounts.map(\.path) == ["/lib", "/job", "/job/data.csv"])
        #expect(plan.mounts.map(\.isFolder) == [true, true, false])
        #expect(plan.mounts.map(\.isWritable) == [false, true, false])
        #expect(plan.workingFolder == "/job" && plan.hasTemporaryFolder && plan.maxBytes == 64 << 20)
        #expect(plan.maxEntries == 1_000 && plan.collect == [NamedText(name: "out", text: "out/**")])
        let collected = options.collected(besides: ["out"])
        #expect(collected.map(\.name) == ["out-2"] && collected.map(\.destination) == ["./results"])
    }

    @Test func theWorkingFolderIsACopyOfTheInnermostFolderAround() throws {
        let inner = try options(["--dir", "a:/job", "--dir", "b:/job/b", "--workdir", "/job/b/c"]).plan()
        #expect(inner.mounts.map(\.isWritable) == [false, true] && inner.mounts.count == 2)
        let same = try options(["--dir", "a:/job", "--workdir", "/job"]).plan()
        #expect(same.mounts.map(\.isWritable) == [true])
        let beside = try options(["--dir", "a:/job", "--workdir", "/jobs"]).plan()
        #expect(beside.mounts.map(\.path) == ["/job", "/jobs"] && beside.mounts.map(\.isWritable) == [false, true])
        let temporary = try options(["--tmp", "--workdir", "/tmp/x"]).plan()
        #expect(temporary.mounts.isEmpty)
        let written = try options(["--dir", "a:/job:rw"]).plan()
        #expect(written.mounts.map(\.isWritable) == [true] && written.workingFolder == nil)
    }

    @Test(arguments: [
        ["--dir", "a:/dev"], ["--dir", "a:/dev/x"], ["--dir", "a:/x", "--dir", "b:/x/"],
        ["--dir", "a:/x/../y"], ["--file", "a:/x", "--dir", "b:/x/y"], ["--dir", "a:/tmp", "--tmp"],
        ["--workdir", "job"], ["--workdir", "/dev"], ["--file", "a:/job", "--workdir", "/job"],
        ["--collect", "out:x"], ["--workdir", "/job", "--collect", "../x:y"],
        ["--workdir", "/job", "--collect", "[x:y"], ["--tmp", "--collect", "out:x"],
        ["--workdir", "/job", "--collect", "a:x", "--collect", "b:x"], ["--max-files", "1Mi"],
        ["--max-entries", "5"], ["--workdir", "/job", "--max-files", "5Gi"],
        ["--workdir", "/job", "--max-entries", "300k"], ["--dir", "a:/", "--workdir", "/job"],
        ["--file", "a:/x.v", "--workdir", "/job"],
    ])
    func whatCannotWorkIsSaidBeforeAnythingIsSent(_ arguments: [String]) throws {
        let options = try options(arguments)
        #expect(throws: (any Error).self, "\(arguments)") { try options.check() }
    }

    @Test func anErrorOfTheRulesNamesTheOption() throws {
        for (arguments, option) in [
            (["--dir", "a:/dev/x"], "--dir"), (["--workdir", "/job", "--max-files", "5Gi"], "--max-files"),
            (["--workdir", "/job", "--max-entries", "300k"], "--max-entries"),
            (["--workdir", "/job", "--collect", "[x:y"], "--collect"),
        ] {
            let options = try options(arguments)
            let error = #expect(throws: NodeServiceError.self) { try options.check() }
            #expect(error?.message.contains(option) == true, "\(arguments)")
            #expect(error?.hint?.isEmpty == false)
        }
    }

    @Test func sourcesAreLookedAtBeforeAnythingIsSent() throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "mesh-files-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appending(path: "file").path
        try Data("x".utf8).write(to: URL(filePath: file))
        let link = folder.appending(path: "link").path
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "nowhere")
        let cid = "bafkreieturf3xfwhkeqy4taa2r46jqkdlajcuoe2zsqwebnr4tinyx4uoy"
        for sound in [
            ["--dir", "\(folder.path):/x"], ["--file", "\(file):/x/y"], ["--dir", "\(cid):/x"],
            ["--file", "\(cid)/a/b:/x/y"], ["--workdir", "/job", "--collect", "out:\(folder.path)/new"],
        ] {
            #expect(throws: Never.self, "\(sound)") { try options(sound).checkPaths() }
        }
        for (arguments, words) in [
            (["--dir", "\(folder.path)/none:/x"], "no such file"), (["--dir", "\(file):/x"], "--file"),
            (["--file", "\(folder.path):/x/y"], "--dir"), (["--file", "\(link):/x/y"], "no such file"),
            (["--collect", "out:\(file)"], "there already"), (["--collect", "out:\(link)"], "there already"),
            (["--collect", "out:\(folder.path)"], "there already"), (["--collect", "out:-"], "standard output"),
            (["--collect", "out:\(folder.path)/none/new"], "no folder"),
            (["--collect", "out:\(file)/new"], "not a folder"),
        ] {
            let error = #expect(throws: LocalFileError.self, "\(arguments)") { try options(arguments).checkPaths() }
            let told = [error?.reason, error?.hint].compactMap(\.self).joined(separator: " ")
            #expect(told.contains(words), "\(arguments)")
        }
    }
}
