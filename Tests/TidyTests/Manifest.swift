/// What `Package.swift` declares, read from its text: the helpers of its layers, their names, paths and dependencies.
struct Manifest {
    /// A target with the folder of its files.
    struct Target: Equatable {
        var name: String
        var folder: String
        var isTest: Bool
        var isExecutable: Bool
        /// Names of targets, and of products of other packages.
        var needs: [String]
        var line: Int
    }

    private(set) var targets: [Target] = []
    /// The products of other packages that have a name in `enum External`.
    private(set) var external: [String: String] = [:]

    init(_ file: SourceFile) {
        let tokens = file.tokens
        for index in tokens.indices where tokens[index].text == "let" && index + 1 < tokens.count {
            let name = tokens[index + 1].text
            let rest = tokens[index...].prefix(16).map(\.text)
            guard let product = rest.firstIndex(of: "product"), rest.count > product + 4 else { continue }
            external[name] = rest[product + 4]
        }
        for index in tokens.indices where index + 2 < tokens.count && tokens[index + 1].text == "(" {
            let before = index > 0 ? tokens[index - 1].text : ""
            // `func executable(` defines a helper, and `.executable(` is a product.
            guard before != "func", before != "." || tokens[index].text == "testTarget",
                let target = target(tokens, index)
            else { continue }
            targets.append(target)
        }
    }

    private func target(_ tokens: [Token], _ index: Int) -> Target? {
        let call = tokens[index].text
        let folders = [
            "libp2p": "libp2p/Sources/", "mesh": "mesh/Sources/", "executable": "mesh/Sources/",
            "libp2pTests": "libp2p/Tests/", "meshTests": "mesh/Tests/", "testTarget": "Tests/",
        ]
        guard let folder = folders[call] else { return nil }
        // A product of that kind is no target.
        if call == "executable", index > 0, tokens[index - 1].text == "." { return nil }
        let isNamed = tokens[index + 2].text == "name"
        let nameIndex = index + (isNamed ? 4 : 2)
        guard nameIndex < tokens.count, tokens[nameIndex].kind == .string else { return nil }
        let name = tokens[nameIndex].text
        var target = Target(
            name: name, folder: folder + name + "/", isTest: call.hasSuffix("Tests") || call == "testTarget",
            isExecutable: call == "executable", needs: [], line: tokens[index].line)
        var depth = 0
        for next in (index + 1)..<tokens.count {
            let token = tokens[next]
            if token.kind == .punctuation, "([".contains(token.text) { depth += 1 }
            if token.kind == .punctuation, ")]".contains(token.text) { depth -= 1 }
            if depth == 0 { break }
            if depth == 2, token.kind == .string { target.needs.append(token.text) }
            if depth == 2, tokens[next - 1].text == ".", tokens[next - 2].text == "External" {
                target.needs.append(external[token.text] ?? token.text)
            }
            if depth == 1, token.kind == .string, tokens[next - 1].text == ":", tokens[next - 2].text == "path" {
                target.folder = token.text + "/"
            }
        }
        return target
    }

    /// Everything that a target is built with, itself included.
    func closure(of name: String) -> Set<String> {
        var reached: Set<String> = [name]
        var waiting = [name]
        while let next = waiting.popLast() {
            for need in targets.first(where: { $0.name == next })?.needs ?? [] where reached.insert(need).inserted {
                waiting.append(need)
            }
        }
        return reached
    }

    /// The target whose folder a file stands in.
    func target(of path: String) -> Target? {
        targets.filter { path.hasPrefix($0.folder) }.max { $0.folder.count < $1.folder.count }
    }
}

/// Checks that what targets declare is what their files import.
enum DependencyChecks {
    /// What comes with the toolchain.
    static let toolchain: Set<String> = [
        "Swift", "Foundation", "FoundationEssentials", "Dispatch", "Glibc", "Musl", "Darwin", "Synchronization",
        "Testing",
        "PackageDescription",
    ]
    /// The modules of products that have more than the one of their own name.
    static let modules: [String: Set<String>] = [
        "Collections": ["Collections", "OrderedCollections", "DequeModule", "HeapModule", "HashTreeCollections"],
        "Hummingbird": ["Hummingbird", "HummingbirdCore"],
    ]

    /// What a client of a node is made of, and what it has to be built without.
    static let clients = ["NodeAPI", "NodeSetup", "MeshHTTP", "MeshCLI", "MeshHTTPTests", "MeshCLITests"]
    static let nodeOnly: Set<String> = [
        "CWasmtime", "CoVM", "MeshStore", "GRDB", "JobMarket", "NodeCore", "PlanetaryMesh", "mesh",
    ]

    /// Clients that are built with what only a node needs, by whatever way.
    static func clientFindings(_ manifest: Manifest, path: String = "Package.swift") -> [Finding] {
        clients.flatMap { client -> [Finding] in
            guard let target = manifest.targets.first(where: { $0.name == client }) else {
                return [Finding(path: path, line: 1, message: "there is no target \(client)")]
            }
            return manifest.closure(of: client).intersection(nodeOnly).sorted().map {
                Finding(
                    path: path, line: target.line, message: "\(client) is built with \($0), which only a node needs")
            }
        }
    }

    /// What is built by a manifest of its own.
    static let otherManifests = ["Examples/", "libp2p/Package.swift", "libp2p/Example/"]

    static func findings(_ manifest: Manifest, _ files: [SourceFile], path: String = "Package.swift") -> [Finding] {
        var findings: [Finding] = []
        var imports: [String: Set<String>] = [:]
        for file in files {
            guard let target = manifest.target(of: file.path) else {
                if !otherManifests.contains(where: file.path.hasPrefix), file.path != path {
                    findings.append(file.finding(1, "the file belongs to no target of \(path)"))
                }
                continue
            }
            let allowed = Set(target.needs.flatMap { modules[$0] ?? [$0] }).union(toolchain)
            for (module, line) in ImportChecks.imports(of: file) {
                imports[target.name, default: []].insert(module)
                guard !allowed.contains(module) else { continue }
                findings.append(file.finding(line, "\(target.name) imports \(module) and does not declare it"))
            }
        }
        let programs = Set(manifest.targets.filter(\.isExecutable).map(\.name))
        for target in manifest.targets {
            for need in target.needs where !(target.isTest && programs.contains(need)) {
                let names = modules[need] ?? [need]
                guard names.isDisjoint(with: imports[target.name] ?? []) else { continue }
                findings.append(
                    Finding(
                        path: path, line: target.line, message: "\(target.name) declares \(need) and imports it nowhere"
                    ))
            }
        }
        return findings
    }
}
