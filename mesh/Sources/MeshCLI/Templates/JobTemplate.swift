/// A language in which `mesh new` begins a job.
enum JobLanguage: String, CaseIterable {
    case swift
    case c
    case rust
    case zig

    /// What its programs are built with, for people.
    var toolchain: String {
        switch self {
        case .swift: "a Swift toolchain, which brings clang and wasm-ld"
        case .c:
            "clang with wasi-libc (Debian: clang lld wasi-libc libclang-rt-dev-wasm32), or Zig (pip install ziglang)"
        case .rust: "cargo with the target wasm32-wasip1 (rustup target add wasm32-wasip1)"
        case .zig: "Zig (pip install ziglang)"
        }
    }
}

/// The files of a new job, which says which job it is, and hands the same line out as an output.
struct JobTemplate {
    /// The most characters of a project's name.
    static let nameCharactersMax = 64

    let language: JobLanguage
    let name: String

    /// A file to write.
    struct File {
        let path: String
        let text: String
        var isProgram = false
    }

    /// What is wrong with a name; nil if nothing is. It becomes a folder, and stands in scripts.
    static func fault(ofName name: String) -> String? {
        let isPlain = name.unicodeScalars.allSatisfy {
            $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0) || $0 == "-" || $0 == "_")
        }
        guard isPlain, let first = name.unicodeScalars.first, first.properties.isAlphabetic else {
            return "a project's name begins with a letter and goes on with letters, digits, - and _"
        }
        guard name.utf8.count <= nameCharactersMax else {
            return "a project's name has at most \(nameCharactersMax) characters"
        }
        return nil
    }

    /// All files; paths are below the project's folder.
    var files: [File] {
        let sources =
            switch language {
            case .swift:
                [
                    File(path: "main.swift", text: Self.swiftMain),
                    File(path: "support/MeshHost.swift", text: Self.embedded(PackageResources.MeshHost_txt)),
                    File(path: "support/runtime.c", text: Self.embedded(PackageResources.runtime_txt)),
                ]
            case .c: [File(path: "main.c", text: Self.cMain), File(path: "mesh_host.h", text: Self.header)]
            case .rust:
                [
                    File(path: "Cargo.toml", text: Self.cargo), File(path: "src/main.rs", text: Self.rustMain),
                    File(path: "mesh_host/Cargo.toml", text: Self.hostCargo),
                    File(path: "mesh_host/src/lib.rs", text: Self.hostCrate),
                ]
            case .zig:
                [File(path: "main.zig", text: Self.zigMain), File(path: "mesh_host.zig", text: Self.zigModule)]
            }
        return sources + [
            File(path: "build.sh", text: buildScript, isProgram: true), File(path: "README.md", text: readme),
            File(path: ".gitignore", text: "build/\ntarget/\n"),
        ]
    }

    /// A file of Examples/Support, which a link beside this file leads to and `Package.swift` puts into the program.
    private static func embedded(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    /// The commands behind `mesh new`, in their order.
    var commands: [String] {
        ["./build.sh", "mesh check build/\(name).wasm", "mesh run --local build/\(name).wasm"]
    }

    private var readme: String {
        """
        # \(name)
        A job for Planetary Mesh. It needs \(language.toolchain).

        ```
        \(commands.joined(separator: "\n"))
        ```

        The last command runs it on this machine, with no mesh and no money; without `--local`, `mesh run` hands it
        to others. What a job can ask of the mesh is declared for this language beside the program. Whatever it prints
        and writes as an output is public, and so are its arguments.

        """
    }

    private var buildScript: String {
        let commands =
            switch language {
            case .swift: Self.swiftBuild
            case .c: Self.cBuild
            case .rust: Self.rustBuild
            case .zig: Self.zigBuild
            }
        return """
            #!/usr/bin/env bash
            # Builds build/\(name).wasm. It needs \(language.toolchain).
            set -euo pipefail
            cd "$(dirname "$0")"
            mkdir -p build
            target=build/\(name).wasm

            """ + commands
    }
}
