import Foundation
import PlanetaryMesh

/// A file of the user's own could not be read or written.
struct LocalFileError: Error {
    let path: String
    let reason: String

    /// The failure as it is told.
    var asServiceError: NodeServiceError {
        NodeServiceError(.invalidRequest, "\(path): \(reason).", hint: "Check the path and its permissions.")
    }
}

/// Reads and writes the user's own files.
enum LocalFile {
    /// The whole file; `-` is standard input. More than `bytesMax` is refused before it is read.
    static func read(_ path: String, bytesMax: Int) throws -> [UInt8] {
        let file: FileHandle
        if path == "-" {
            file = .standardInput
        } else {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw LocalFileError(path: path, reason: String(cString: strerror(errno))) }
            file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        }
        do {
            let data = try file.read(upToCount: bytesMax + 1) ?? Data()
            guard data.count <= bytesMax else {
                throw NodeServiceError(.tooLarge, "\(path) has more than \(bytesMax) bytes.")
            }
            return [UInt8](data)
        } catch let error as NodeServiceError {
            throw error
        } catch {
            throw LocalFileError(path: path, reason: error.localizedDescription)
        }
    }

    /// Writes the whole file, replacing one that is there.
    static func write(_ bytes: [UInt8], to path: String) throws {
        do {
            try Data(bytes).write(to: URL(filePath: path))
        } catch {
            throw LocalFileError(path: path, reason: error.localizedDescription)
        }
    }
}
