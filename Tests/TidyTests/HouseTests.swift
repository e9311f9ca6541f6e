import Testing

/// The habits of the house (CONTRIBUTING.md), checked on every file of the repository.
@Suite struct HouseTests {
    private static let swiftFolders = [
        "libp2p/", "mesh/", "Tests/", "Interop/", "Benchmarks/", "Examples/", "Package.swift",
    ]

    private static let sourceFolders = ["libp2p/Sources/", "mesh/Sources/"]
    private static let testFolders = ["libp2p/Tests/", "mesh/Tests/", "Tests/"]

    private func check(_ folders: [String], _ findings: (SourceFile) -> [Finding]) throws {
        let files = try Repository.swiftFiles(under: folders)
        #expect(!files.isEmpty, "no Swift files found")
        for finding in files.flatMap(findings) {
            Issue.record("\(finding)")
        }
    }

    @Test func importsPointDownward() throws { try check(Self.sourceFolders, ImportChecks.findings) }

    @Test func filesAndFunctionsAreSmall() throws { try check(Self.swiftFolders, SizeChecks.findings) }

    @Test func sourcesHoldNoBannedTokens() throws { try check(Self.sourceFolders, BannedTokenChecks.findings) }

    @Test func publicSymbolsAreDocumented() throws {
        let inherited = DocumentationChecks.requirements(of: try Repository.swiftFiles(under: Self.sourceFolders))
        try check(Self.sourceFolders) { DocumentationChecks.findings(in: $0, inherited: inherited) }
    }

    @Test func commentsSaySomething() throws { try check(Self.sourceFolders, FillerChecks.findings) }

    @Test func unsafeCodeSaysWhyItIsSafe() throws { try check(Self.sourceFolders, SafetyChecks.findings) }

    @Test func namesSaySomething() throws { try check(Self.sourceFolders, NameChecks.findings) }

    @Test func testsDoNotSleep() throws { try check(Self.testFolders, TestHabitChecks.findings) }

    @Test func trackedFilesAreTextOfNoParticularMachine() throws {
        let repository = try Repository()
        for path in repository.paths {
            let bytes = try repository.bytes(path)
            if let reason = TextChecks.binaryReason(bytes), !TextChecks.isPicture(bytes, at: path) {
                Issue.record("\(path): \(reason)")
            }
            guard TextChecks.binaryReason(bytes) == nil else { continue }
            let file = SourceFile(path: path + ".text", text: String(decoding: bytes, as: UTF8.self))
            for finding in TextChecks.findings(in: file) { Issue.record("\(finding)") }
        }
    }

    @Test func dependenciesAreDeclaredAndUsed() throws {
        let files = try Repository.swiftFiles(under: Self.swiftFolders)
        let manifest = Manifest(try #require(files.first { $0.path == "Package.swift" }))
        #expect(manifest.targets.count > 40, "the manifest is read")
        for finding in DependencyChecks.findings(manifest, files) { Issue.record("\(finding)") }
        for finding in DependencyChecks.clientFindings(manifest) { Issue.record("\(finding)") }
    }

    @Test func noFileIsEmptyOrDead() throws {
        let files = try Repository.swiftFiles(under: Self.swiftFolders)
        for finding in DeadFileChecks.findings(in: files) { Issue.record("\(finding)") }
    }

    @Test func typesAreSmallOverAllTheirFiles() throws {
        let files = try Repository.swiftFiles(under: Self.sourceFolders)
        for finding in TypeSizeChecks.findings(in: files) { Issue.record("\(finding)") }
    }

    @Test func streamsAreBounded() throws { try check(Self.sourceFolders, StreamChecks.findings) }

    @Test func whatGoesWrongIsSaidInWords() throws {
        let files = try Repository.swiftFiles(under: Self.sourceFolders)
        for finding in WordChecks.silentErrors(in: files) { Issue.record("\(finding)") }
        try check(Self.sourceFolders, WordChecks.structures)
    }

    @Test func everyCodeThatIsListedIsReturned() throws {
        let files = try Repository.swiftFiles(under: ["mesh/Sources/"])
        func file(_ name: String) throws -> SourceFile {
            try #require(files.first { $0.path.hasSuffix("/\(name).swift") }, "\(name).swift")
        }
        let (codes, endings, statuses) = try (file("NodeServiceError"), file("NodeServiceJobs"), file("ExitStatus"))
        let (problems, outcomes) = (try file("Problem"), files.filter { $0.stem == "JobOutcome" }.map(\.path))
        // Those that define, map and list them make none.
        let makers = files.filter { file in
            ![codes, endings, statuses, problems].contains { $0.path == file.path } && !outcomes.contains(file.path)
        }
        let ofNode = makers.filter { $0.target != "MeshCLI" }
        for finding in WordChecks.unmade("Code", in: codes, by: makers) { Issue.record("\(finding)") }
        for finding in WordChecks.unmade("JobEnding", in: endings, by: ofNode) { Issue.record("\(finding)") }
        // A status is that of a code, of the end of a job, or of a command.
        let commands = files.filter { $0.target == "MeshCLI" }
        for finding in WordChecks.unmade("ExitStatus", in: statuses, by: commands) { Issue.record("\(finding)") }
    }

    @Test func everyTargetHasALayer() throws {
        let targets = Set(try Repository().paths.compactMap { SourceFile(path: $0, text: "").target })
        for target in targets.sorted() where HouseLayer.of(target: target) == nil {
            Issue.record("\(target) has no layer; give it one in HouseLayers.swift")
        }
    }
}
