import Testing

@Suite struct DependencyChecksTests {
    private let manifest = Manifest(
        SourceFile(
            path: "Package.swift",
            text: """
                enum External {
                    static let core = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
                    static let collections = Target.Dependency.product(name: "Collections", package: "c")
                }
                func mesh(_ name: String, _ needs: [Target.Dependency]) -> Target { .target(name: name) }
                let all: [Target] = [
                    libp2p("Noise", ["Multiformats", External.core]),
                    mesh(
                        "JobMarket",
                        ["Noise", External.collections]),
                    executable("mesh-peer", ["Noise"], path: "Interop/mesh-peer"),
                    meshTests("MarketTests", ["JobMarket", "mesh-peer"]),
                    .testTarget(name: "TidyTests", swiftSettings: strict),
                ]
                let products: [Product] = [.executable(name: "mesh-peer", targets: ["mesh-peer"])]
                """))

    private func messages(_ files: [(String, String)]) -> [String] {
        DependencyChecks.findings(manifest, files.map { SourceFile(path: $0.0, text: $0.1) }).map(\.description)
    }

    private let complete = [
        ("libp2p/Sources/Noise/A.swift", "import Multiformats\nimport NIOCore\nimport Foundation"),
        ("mesh/Sources/JobMarket/A.swift", "import Noise\nimport DequeModule"),
        ("Interop/mesh-peer/A.swift", "import Noise"),
        ("mesh/Tests/MarketTests/A.swift", "@testable import JobMarket\nimport Testing"),
    ]

    @Test func targetsAreReadWithTheirFoldersAndNeeds() {
        #expect(manifest.targets.map(\.name) == ["Noise", "JobMarket", "mesh-peer", "MarketTests", "TidyTests"])
        #expect(
            manifest.targets.map(\.folder) == [
                "libp2p/Sources/Noise/", "mesh/Sources/JobMarket/", "Interop/mesh-peer/", "mesh/Tests/MarketTests/",
                "Tests/TidyTests/",
            ])
        #expect(manifest.targets.map(\.needs.count) == [2, 2, 1, 2, 0])
    }

    @Test func whatIsDeclaredAndImportedPasses() { #expect(messages(complete) == []) }

    @Test func anImportThatIsNotDeclaredIsFound() {
        let found = messages(complete + [("mesh/Sources/JobMarket/B.swift", "import Noise\nimport Multiformats")])
        #expect(found == ["mesh/Sources/JobMarket/B.swift:2: JobMarket imports Multiformats and does not declare it"])
    }

    @Test func aDependencyThatNobodyImportsIsFound() {
        let found = messages(Array(complete.dropFirst()))
        #expect(
            found == [
                "Package.swift:7: Noise declares Multiformats and imports it nowhere",
                "Package.swift:7: Noise declares NIOCore and imports it nowhere",
            ])
    }

    @Test func aClientThatIsBuiltWithTheNodeIsFound() {
        func found(_ http: String) -> [String] {
            let text = DependencyChecks.clients.map { client in
                client == "MeshHTTP" ? http : "mesh(\"\(client)\", [\"Multiformats\"]),"
            }
            let all = "let all = [\nmesh(\"NodeBits\", [\"CoVM\"]),\n\(text.joined(separator: "\n"))\n]"
            return DependencyChecks.clientFindings(Manifest(SourceFile(path: "Package.swift", text: all)))
                .map(\.message)
        }
        #expect(found("mesh(\"MeshHTTP\", [\"NodeAPI\"]),") == [])
        #expect(
            found("mesh(\"MeshHTTP\", [\"NodeBits\"]),") == [
                "MeshHTTP is built with CoVM, which only a node needs"
            ])
        #expect(found("") == ["there is no target MeshHTTP"])
    }

    @Test func aFileOfNoTargetIsFound() {
        let found = messages(complete + [("mesh/Sources/Forgotten/A.swift", "")])
        #expect(found == ["mesh/Sources/Forgotten/A.swift:1: the file belongs to no target of Package.swift"])
    }
}

@Suite struct DeadFileChecksTests {
    private func messages(_ files: [(String, String)]) -> [String] {
        DeadFileChecks.findings(in: files.map { SourceFile(path: $0.0, text: $0.1) }).map(\.description)
    }

    @Test func emptyAndForgottenFilesAreFound() {
        let user = ("mesh/Sources/IPLD/User.swift", "struct User { let a = Used() }\nlet b = User()")
        let used = ("mesh/Sources/IPLD/Used.swift", "struct Used { func go() { User() } }")
        #expect(messages([user, used]) == [])
        #expect(messages([user, used, ("mesh/Sources/IPLD/E.swift", "import Foundation")]).count == 1)
        #expect(messages([user, used, ("mesh/Tests/IPLDTests/E.swift", "")]).count == 1)
        let dead = ("mesh/Sources/IPLD/Dead.swift", "struct Dead { let a = Used() }")
        #expect(
            messages([user, used, dead])
                == ["mesh/Sources/IPLD/Dead.swift:1: no other file mentions what this one declares: Dead"])
    }

    @Test func programsAndTestsNeedNoMention() {
        #expect(messages([("mesh/Sources/mesh/Mesh.swift", "@main struct Mesh {}")]) == [])
        #expect(messages([("mesh/Tests/IPLDTests/A.swift", "@Suite struct ATests { @Test func a() {} }")]) == [])
    }
}

@Suite struct StreamChecksTests {
    private func count(_ text: String) -> Int {
        StreamChecks.findings(in: SourceFile(path: "mesh/Sources/MeshHTTP/A.swift", text: text)).count
    }

    @Test func streamsWithoutABoundAreFound() {
        #expect(count("let (a, b) = AsyncStream.makeStream(of: Int.self)") == 1)
        #expect(count("let (a, b) = AsyncStream<Int>.makeStream()") == 1)
        #expect(count("let (a, b) = AsyncStream.makeStream(of: Int.self, bufferingPolicy: .unbounded)") == 1)
        #expect(count("let a = AsyncThrowingStream { continuation in use(continuation) }") == 1)
    }

    @Test func boundedAndExplainedStreamsPass() {
        #expect(count("let (a, b) = AsyncStream.makeStream(of: Int.self, bufferingPolicy: .bufferingNewest(1))") == 0)
        #expect(count("// BOUNDED: one a run.\nlet (a, b) = AsyncStream.makeStream(of: Int.self)") == 0)
        #expect(count("let a = AsyncStream(unfolding: { nil })") == 0)
        #expect(count("let a = makeStream(slot)") == 0)
    }
}

@Suite struct TypeSizeChecksTests {
    private func files(_ count: Int, lines: Int) -> [SourceFile] {
        (0..<count).map { number in
            SourceFile(
                path: "mesh/Sources/IPLD/A\(number).swift",
                text: "\(number == 0 ? "struct" : "extension") A {\n"
                    + String(repeating: "    var a = 1\n", count: lines - 2) + "}\n")
        }
    }

    @Test func aTypeIsCountedOverItsFiles() {
        #expect(TypeSizeChecks.findings(in: files(3, lines: 300), exceptions: [:]).isEmpty)
        #expect(
            TypeSizeChecks.findings(in: files(3, lines: 301), exceptions: [:]).map(\.message)
                == ["IPLD.A has 903 lines in 3 files, more than 900 in 3"])
        #expect(TypeSizeChecks.findings(in: files(4, lines: 10), exceptions: [:]).count == 1)
    }

    @Test func anExceptionMayOnlyShrinkAndGoes() {
        #expect(TypeSizeChecks.findings(in: files(4, lines: 10), exceptions: ["IPLD.A": (4, 40)]).isEmpty)
        #expect(TypeSizeChecks.findings(in: files(4, lines: 11), exceptions: ["IPLD.A": (4, 40)]).count == 1)
        #expect(
            TypeSizeChecks.findings(in: files(3, lines: 10), exceptions: ["IPLD.A": (4, 40)]).map(\.message)
                == ["IPLD.A fits now; take it out of the exceptions"])
    }
}
