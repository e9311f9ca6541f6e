import ArgumentParser
import Foundation
import NodeAPI
import P2PTesting
import Testing

@testable import MeshCLI

/// `mesh new`: what it writes, and that its declarations are those of the host. `make templates` builds and runs them.
@Suite struct TemplateTests {
    private static let root = #filePath.split(separator: "/").dropLast(4).map { "/" + $0 }.joined()

    private static func text(_ path: String) throws -> String {
        try String(contentsOf: URL(filePath: root + "/" + path), encoding: .utf8)
    }

    @Test func everyLanguageGetsAWholeProject() throws {
        let folder = try TestFolder()
        for language in JobLanguage.allCases {
            let place = folder.path + "/" + language.rawValue
            let template = JobTemplate(language: language, name: "counts-words_2")
            try template.write(to: place)
            for file in template.files {
                let text = try String(contentsOf: URL(filePath: place + "/" + file.path), encoding: .utf8)
                #expect(text == file.text && text.hasSuffix("\n") && !text.hasSuffix("\n\n"), "\(file.path)")
                #expect(!text.contains("\\("), "\(file.path) has a placeholder")
                let isProgram = FileManager.default.isExecutableFile(atPath: place + "/" + file.path)
                #expect(isProgram == file.isProgram, "\(file.path)")
            }
            let readme = try String(contentsOf: URL(filePath: place + "/README.md"), encoding: .utf8)
            for command in template.commands { #expect(readme.contains("\n" + command + "\n")) }
            #expect(template.commands.contains("mesh run --local build/counts-words_2.wasm"))
        }
    }

    @Test func whatIsThereIsNeverWrittenOver() throws {
        let folder = try TestFolder()
        let place = folder.path + "/job"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        do {
            try JobTemplate(language: .c, name: "job").write(to: place)
            Issue.record("it wrote into a folder that was there")
        } catch let error as LocalFileError {
            #expect(error.path == place && error.reason == "it is there already")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: place).isEmpty)
    }

    @Test func namesAndLanguagesAreChecked() throws {
        for name in ["a", "Job", "a-b_2", String(repeating: "a", count: JobTemplate.nameCharactersMax)] {
            #expect(JobTemplate.fault(ofName: name) == nil, "\(name)")
        }
        let long = String(repeating: "a", count: JobTemplate.nameCharactersMax + 1)
        for name in ["", "2a", "-a", "a/b", "..", "a b", "ä", "a\n", "$(a)", "a\"", long] {
            #expect(JobTemplate.fault(ofName: name) != nil, "\(name)")
        }
        #expect(throws: (any Error).self) { try Mesh.parseAsRoot(["new", "rust", "a/b"]) }
        do {
            _ = try Mesh.parseAsRoot(["new", "rusty", "a"])
            Issue.record("there is no such language")
        } catch {
            let message = Mesh.message(for: error)
            #expect(message.contains("Did you mean rust?") && message.contains("swift, c, rust, zig"))
        }
    }

    @Test func declarationsAreThoseOfTheHost() throws {
        // What the engine defines, in its own letters.
        let source = try Self.text("mesh/Sources/CoVM/MeshHostABI.swift")
        let defined = source.matches(of: /table\.define\(module, "([a-z_]+)", "([iI]*:[iI])"\)/)
            .map { "\($0.1) \($0.2)" }
        #expect(defined.count == 20)
        #expect(HostDeclaration.all.map { "\($0.name) \($0.letters)" }.sorted() == defined.sorted())
        // What the reference tells: names, and where an i64 stands.
        let page = try Self.text("docs/MeshHostABI.md")
        let told = page.matches(of: /\n\| `([a-z_]+)` \| `\(([^`]*)\) -> (i32|i64)`/).map { row in
            let parameters = row.2.split(separator: ",").map { $0.hasSuffix("i64") ? "I" : "i" }.joined()
            return "\(row.1) \(parameters):\(row.3 == "i64" ? "I" : "i")"
        }
        #expect(told == HostDeclaration.all.map { "\($0.name) \($0.letters)" })
    }

    @Test func aDeclarationHasTheSameTypeInEveryLanguage() throws {
        let read = try #require(HostDeclaration.all.first { $0.name == "input_read" })
        #expect(
            read.inC == "MESH_HOST(input_read) int32_t mesh_input_read(uint32_t index, uint64_t offset, void *buffer, "
                + "uint32_t count);")
        #expect(read.inRust == "pub fn input_read(index: u32, offset: u64, buffer: *mut u8, count: u32) -> i32;")
        #expect(
            read.inZig == "pub extern \"mesh_host_v1\" fn input_read(index: u32, offset: u64, buffer: [*]u8, "
                + "count: u32) i32;")
        for declaration in HostDeclaration.all {
            #expect(JobTemplate.header.contains(declaration.inC))
            #expect(JobTemplate.hostCrate.contains(declaration.inRust))
            #expect(JobTemplate.zigModule.contains(declaration.inZig))
        }
    }

    @Test func swiftIsBuiltWithWhatTheExamplesAre() throws {
        let files = JobTemplate(language: .swift, name: "job").files
        for name in ["MeshHost.swift", "runtime.c"] {
            let written = files.first { $0.path == "support/\(name)" }?.text
            #expect(written == (try Self.text("Examples/Support/\(name)")), "\(name)")
        }
    }
}
