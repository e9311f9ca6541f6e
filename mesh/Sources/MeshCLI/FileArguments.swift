import ArgumentParser
import Foundation

/// `SOURCE:PATH`, and `:rw` behind it: what a job's module sees where.
struct MountArgument: Hashable {
    /// A path here, a CID, or a CID and a path in it.
    let source: String
    /// Where the module sees it.
    let path: String
    /// Whether the module may change its copy.
    let isWritable: Bool

    /// Whether the source is a CID, and a path behind it: nothing of that name is there.
    var namesContent: Bool {
        (try? TreePath(source)) != nil && !FileManager.default.fileExists(atPath: source)
    }

    /// A folder, for `transform:`.
    static func folder(_ text: String) throws -> MountArgument { try read(text, "./lib:/lib") }

    /// A file, for `transform:`.
    static func file(_ text: String) throws -> MountArgument { try read(text, "data.csv:/job/data.csv") }

    private static func read(_ text: String, _ example: String) throws -> MountArgument {
        var mount = text[...]
        let isWritable = mount.hasSuffix(":rw")
        if isWritable || mount.hasSuffix(":ro") { mount = mount.dropLast(3) }
        // The last one, since a source may hold a colon as well.
        guard let place = mount.ranges(of: ":/").last, place.lowerBound > mount.startIndex else {
            throw ValidationError(
                "it is SOURCE:PATH with a path from the root, such as \(example), and :rw behind it to let the module "
                    + "change its copy.")
        }
        return MountArgument(
            source: String(mount[..<place.lowerBound]),
            path: GuestPath.tidied(String(mount[mount.index(after: place.lowerBound)...])), isWritable: isWritable)
    }
}

/// `PATTERN:DESTINATION`: which files of a run to keep, and where to write them.
struct CollectArgument: Hashable {
    /// Which files.
    let pattern: String
    /// Where to write them; nil to keep them only.
    let destination: String?

    /// Reads it, for `transform:`; the last colon ends the pattern.
    static func read(_ text: String) throws -> CollectArgument {
        guard let colon = text.lastIndex(of: ":") else { return CollectArgument(pattern: text, destination: nil) }
        let destination = String(text[text.index(after: colon)...])
        guard colon > text.startIndex, !destination.isEmpty else {
            throw ValidationError(
                "it is PATTERN:DESTINATION, such as 'out/**:./results', or a pattern alone to keep the files only.")
        }
        return CollectArgument(pattern: String(text[..<colon]), destination: destination)
    }

    /// The name of the output: the last part of the path before the first wildcard.
    var name: String {
        let parts = pattern.split(separator: "/")
        let literal = parts.prefix { part in !part.contains { "*?[\\".contains($0) } }
        return literal.last.map(String.init) ?? "files"
    }

    /// Names for all, none twice and none that is taken.
    static func names(of all: [CollectArgument], besides taken: Set<String>) -> [String] {
        var used = taken
        return all.map { argument in
            let name = argument.name
            var number = 1
            var chosen = name
            while !used.insert(chosen).inserted {
                number += 1
                chosen = "\(name)-\(number)"
            }
            return chosen
        }
    }
}

/// A path as a module sees it.
enum GuestPath {
    /// Without a slash at the end, and without double ones.
    static func tidied(_ path: String) -> String {
        let parts = path.split(separator: "/").joined(separator: "/")
        return path.hasPrefix("/") ? "/" + parts : parts
    }

    /// Whether a path is a folder or lies in it.
    static func isPath(_ path: String, atOrIn folder: String) -> Bool {
        path == folder || path.hasPrefix(folder == "/" ? "/" : folder + "/")
    }
}
