import Foundation
import MeshHTTP
import Multiformats
import NodeAPI

extension Run {
    typealias Collected = (name: String, pattern: String, destination: String)

    /// Writes what was collected to where the user wants it.
    func writeCollected(
        _ collected: [Collected], of result: JobResult, _ node: some NodeService, _ console: Console
    ) async throws -> [WrittenOutput] {
        var written: [WrittenOutput] = []
        for wanted in collected {
            guard let output = result.outputs.first(where: { $0.name == wanted.name }) else { continue }
            do {
                written.append(
                    try await WrittenOutput.write(
                        output.name, try JobReference.cid(output.cid), to: wanted.destination, from: node))
            } catch var error as LocalFileError {
                error.hint = "The job is done and paid; get the files with mesh get \(output.cid) -o DESTINATION."
                throw error
            }
        }
        return written
    }

    /// Writes what was collected, and says what was written where, and what fitted nothing.
    func tellCollected(
        _ collected: [Collected], of result: JobResult, _ node: some NodeService, _ console: Console
    ) async throws {
        let written = try await writeCollected(collected, of: result, node, console)
        if !quiet { for output in written { console.note(Terminal.safe(output.line)) } }
        for wanted in collected where result.receiptCID != nil && !written.contains(where: { $0.name == wanted.name }) {
            console.note(Terminal.safe("mesh: The job left no file that fits \"\(wanted.pattern)\"."))
        }
    }
}

/// An output that was written to this machine, as JSON.
struct WrittenOutput: Encodable, Hashable {
    let name: String
    let cid: String
    let path: String
    /// How many files; 1 for a file.
    let files: Int
    /// Their bytes.
    let bytes: UInt64
    /// Links that lead out of the folder, and were not made here.
    let leftOutLinks: Int

    /// The line about it.
    var line: String {
        let count = files == 1 ? "1 file" : "\(Readable.count(UInt64(files))) files"
        let links = leftOutLinks == 0 ? "" : ", without \(leftOutLinks) links that lead elsewhere"
        return "\(name.padding(toLength: max(8, name.count), withPad: " ", startingAt: 0)) "
            + "\(count), \(Readable.bytes(bytes)) in \(path)\(links)"
    }

    private enum CodingKeys: String, CodingKey {
        case name, cid, path, files, bytes
        case leftOutLinks = "left_out_links"
    }
}

extension WrittenOutput {
    /// Writes an output, a file or a folder with all that is in it.
    static func write(
        _ name: String, _ cid: CID, to path: String, from node: some NodeService
    ) async throws -> WrittenOutput {
        var download = FolderDownload(from: TreeReader(cid, on: node))
        let written = try await download.write(cid.version1, to: path)
        return WrittenOutput(
            name: name, cid: cid.text, path: path, files: written.files, bytes: written.bytes,
            leftOutLinks: written.leftOutCount)
    }
}
