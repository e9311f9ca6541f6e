import Hummingbird
import IPLD
import Multiformats
import NIOCore
import NodeAPI

/// Answers whose bytes never change, by the CIDs that name them: with an `ETag`, and files and blocks in parts too.
extension NodeRoutes {
    /// A file, or the range of it that a request asks for, a window at a time as the reader takes it.
    func file(_ cid: CID, for request: Request) async throws -> Response {
        let tag = EntityTag(cid.version1.text)
        if tag.isNamed(by: request) { return unchanged(tag) }
        let type = "application/octet-stream"
        var windows = TreeReader.Limits()
        windows.windowBytes = UInt64(limits.fileWindowBytes)
        let tree = TreeReader(cid, on: service, limits: windows)
        guard let size = try await size(of: tree) else {
            return try part(of: await service.get(cid), type: type, tag, for: request)
        }
        let range = ByteRange(of: request, size: size, tag: tag)
        if case .outside = range { return try outside(size, tag) }
        let wanted = if case .part(let part) = range { part } else { 0..<size }
        var rest = FileWindows(of: tree.root, wanted, in: tree)
        // What cannot be had is refused before the answer begins; later the answer breaks off.
        let first = try await rest.next()
        if tag.isKnown(to: request) { return unchanged(tag) }
        let body = ResponseBody(contentLength: Int(clamping: wanted.upperBound - wanted.lowerBound)) { [rest] writer in
            var (rest, next) = (rest, first)
            while let bytes = next {
                try await writer.write(ByteBuffer(bytes: bytes))
                next = try await rest.next()
            }
            try await writer.finish(nil)
        }
        var response = Response(status: .ok, headers: headers(tag, type: type), body: body)
        name(range, of: size, in: &response)
        return response
    }

    /// The size of the file that is a tree; nil where its first block does not say, or it is no file.
    private func size(of tree: TreeReader) async throws -> UInt64? {
        do throws(NodeServiceError) {
            guard case .file(let bytes) = try await tree.look(at: tree.root).kind else { return nil }
            return bytes
        } catch {
            // The block is here, and cannot be read in parts.
            if error.code == .invalidRequest || error.code == .tooLarge || error.code == .blockCorrupt { return nil }
            throw error
        }
    }

    /// Bytes at hand, or the range of them that a request asks for.
    func part(of bytes: [UInt8], type: String, _ tag: EntityTag, for request: Request) throws -> Response {
        if tag.isKnown(to: request) { return unchanged(tag) }
        let size = UInt64(bytes.count)
        let range = ByteRange(of: request, size: size, tag: tag)
        if case .outside = range { return try outside(size, tag) }
        var buffer = ByteBuffer(bytes: bytes)
        if case .part(let part) = range {
            buffer.moveReaderIndex(forwardBy: Int(part.lowerBound))
            buffer = buffer.readSlice(length: Int(part.upperBound - part.lowerBound)) ?? ByteBuffer()
        }
        var response = Response(status: .ok, headers: headers(tag, type: type), body: .init(byteBuffer: buffer))
        name(range, of: size, in: &response)
        return response
    }

    /// What was made for a request, unless the caller has it already.
    func tagged(_ response: Response, _ bytes: [UInt8], for request: Request) -> Response {
        let tag = EntityTag(hashing: bytes)
        if tag.isKnown(to: request) { return unchanged(tag) }
        var response = response
        response.headers[.eTag] = tag.text
        return response
    }

    func unchanged(_ tag: EntityTag) -> Response { Response(status: .notModified, headers: [.eTag: tag.text]) }

    private func headers(_ tag: EntityTag, type: String) -> HTTPFields {
        [.contentType: type, .eTag: tag.text, .acceptRanges: "bytes"]
    }

    /// Says which part of the whole an answer is, and how long it is.
    private func name(_ range: ByteRange, of size: UInt64, in response: inout Response) {
        var length = size
        if case .part(let part) = range {
            response.status = .partialContent
            response.headers[.contentRange] = "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(size)"
            length = part.upperBound - part.lowerBound
        }
        response.headers[.contentLength] = String(length)
    }

    private func outside(_ size: UInt64, _ tag: EntityTag) throws -> Response {
        var response = try ProblemMiddleware.response(
            NodeServiceError(
                .rangeNotSatisfiable, "The range begins behind the \(size) bytes that there are.",
                hint: "Leave Range out to have all of them."))
        response.headers[.contentRange] = "bytes */\(size)"
        response.headers[.eTag] = tag.text
        return response
    }
}
