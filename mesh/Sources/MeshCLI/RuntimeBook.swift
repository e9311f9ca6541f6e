import Foundation
import MeshHTTP
import NodeAPI

/// An interpreter by name: a module that runs scripts, and what it needs beside them.
struct Runtime: Hashable, Codable {
    /// The user's name for it, such as `python`.
    var name: String
    /// The module: the whole path of a file, or a CID.
    var module: String
    /// Folders that it finds at paths, as `SRC:PATH` with whole paths or CIDs.
    var folders: [String]
    /// Its environment, as `NAME=VALUE`.
    var environment: [String]
    /// Arguments before the script.
    var arguments: [String]
    /// The endings of its scripts, without the dot.
    var endings: [String]

    private enum CodingKeys: String, CodingKey {
        case name, module, arguments, endings
        case folders = "dirs"
        case environment = "env"
    }

    /// The endings that scripts of well-known languages have, by the name of the interpreter.
    static let commonEndings: [String: [String]] = [
        "javascript": ["js", "mjs"], "js": ["js", "mjs"], "lua": ["lua"], "micropython": ["py"], "perl": ["pl"],
        "php": ["php"], "python": ["py"], "qjs": ["js", "mjs"], "quickjs": ["js", "mjs"], "ruby": ["rb"],
    ]
}

/// The runtimes that the user of a home folder has named, in `runtimes.json`.
struct RuntimeBook: Codable, Equatable {
    /// The most runtimes of a home.
    static let countMax = 64
    /// The longest file, in bytes.
    static let fileBytesMax = 1 << 20
    /// The most of a script that is read to tell what it is, in bytes.
    static let headBytesMax = 256

    /// By name.
    private(set) var runtimes: [Runtime] = []

    /// Where a home keeps them.
    static func path(_ home: NodeHome) -> String { home.path + "/runtimes.json" }

    /// Those of a home; none if it has no such file.
    static func load(_ home: NodeHome) throws -> RuntimeBook {
        let path = path(home)
        guard FileManager.default.fileExists(atPath: path) else { return RuntimeBook() }
        let bytes = try LocalFile.read(path, bytesMax: fileBytesMax)
        do {
            return try MeshJSON.decode(RuntimeBook.self, from: bytes)
        } catch {
            throw LocalFileError(
                path: path, reason: "it is not as mesh runtime writes it",
                hint: "Mend it, or remove it and add the runtimes anew.")
        }
    }

    /// Writes them, whole or not at all.
    func save(_ home: NodeHome) throws {
        if let obstacle = try home.create() { throw LocalFileError(path: home.path, reason: obstacle) }
        let path = Self.path(home)
        let text = try MeshJSON.render(self) + "\n"
        let draft = "\(path).\(getpid())"
        try LocalFile.write(Array(text.utf8), to: draft)
        guard rename(draft, path) == 0 else {
            let reason = String(cString: strerror(errno))
            unlink(draft)
            throw LocalFileError(path: path, reason: reason)
        }
    }

    /// Adds a runtime, in place of one of the same name; false if there are too many.
    mutating func add(_ runtime: Runtime) -> Bool {
        remove(runtime.name)
        guard runtimes.count < Self.countMax else { return false }
        runtimes.append(runtime)
        runtimes.sort { $0.name < $1.name }
        return true
    }

    /// Removes a runtime; false if there is none of that name.
    @discardableResult
    mutating func remove(_ name: String) -> Bool {
        let count = runtimes.count
        runtimes.removeAll { $0.name == name }
        return runtimes.count < count
    }

    /// The runtime of a script: by the interpreter of its `#!` line, else by the ending of its name.
    ///
    /// - Parameter head: the first bytes of the script.
    func runtime(for path: String, head: [UInt8]) -> Runtime? {
        if let name = Self.interpreter(head), let runtime = named(name) { return runtime }
        let ending = path.fileEnding.lowercased()
        return ending.isEmpty ? nil : runtimes.first { $0.endings.contains(ending) }
    }

    /// A runtime by the name of a program: `python3.12` and `python3` are `python`, unless they are there themselves.
    private func named(_ program: String) -> Runtime? {
        let plain = String(program.reversed().drop { $0.isNumber || $0 == "." }.reversed())
        return runtimes.first { $0.name == program } ?? runtimes.first { $0.name == plain }
    }

    /// The program that a `#!` line names: of `/usr/bin/env -S python3 -B` it is `python3`.
    static func interpreter(_ head: [UInt8]) -> String? {
        guard head.starts(with: [0x23, 0x21]) else { return nil }
        let line = head.dropFirst(2).prefix { $0 != 0x0A && $0 != 0x0D }
        let words = String(decoding: line, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        guard let first = words.first else { return nil }
        let program = first.split(separator: "/").last.map(String.init)
        guard program == "env" else { return program }
        return words.dropFirst().first { !$0.hasPrefix("-") && !$0.contains("=") }
            .flatMap { $0.split(separator: "/").last }.map(String.init)
    }
}
