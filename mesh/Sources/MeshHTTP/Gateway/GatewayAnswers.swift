import Hummingbird
import IPLD
import Multiformats
import NIOCore
import NodeAPI

/// Answers requests to the gateway, out of what the owner made public and out of nothing else.
struct GatewayAnswers: Sendable {
    let content: any PublicContent
    let limits: GatewayLimits
    let tally: GatewayTally
    private let turns: GatewayTurns
    private let witness: WitnessAnswers?

    init(
        content: any PublicContent, witness: (any LogWitness)? = nil, limits: GatewayLimits, tally: GatewayTally
    ) {
        self.content = content
        self.witness = witness.map { WitnessAnswers(witness: $0, bodyBytesMax: limits.witnessBodyBytesMax) }
        self.limits = limits
        self.tally = tally
        turns = GatewayTurns(limits.readsMax)
    }

    /// The answer to a request; never throws, so that no other form of refusal leaves the gateway.
    func answer(_ request: Request, on channel: any Channel) async -> Response {
        if let witness, let answer = await witness.answer(request, in: tally, of: limits.responsesMax) {
            if answer.status.code < 400 { tally.answered() } else { tally.refused() }
            return answer
        }
        do throws(GatewayRefusal) {
            let response = try await served(request, on: channel)
            tally.answered()
            return response
        } catch {
            tally.refused()
            return Self.response(error, isHead: request.method == .head)
        }
    }

    private func served(_ request: Request, on channel: any Channel) async throws(GatewayRefusal) -> Response {
        guard request.method == .get || request.method == .head else {
            throw GatewayRefusal(.methodNotAllowed, "Only GET and HEAD are answered here.")
        }
        guard GatewayConnection.hasNoBody(request.headers[.contentLength], request.headers[.transferEncoding]) else {
            throw GatewayRefusal(.badRequest, "Requests here have no body.")
        }
        guard let place = tally.place(of: limits.responsesMax) else {
            throw GatewayRefusal(.serviceUnavailable, "Too much is being answered just now.", retrySeconds: 5)
        }
        let asked = try GatewayRequest(
            target: request.head.path ?? "", accept: request.headers[values: .accept].joined(separator: ","),
            limits: limits)
        let known = request.headers[values: .ifNoneMatch].joined(separator: ",")
        let isHead = request.method == .head
        switch asked.format {
        case .raw:
            let block = asked.root == Self.probe ? [] : try await block(asked.root)
            let headers = headers(of: asked, roots: [asked.root], bytes: block.count)
            if asked.isKnown(by: known) { return Self.unchanged(headers) }
            return Response(
                status: .ok, headers: headers,
                body: isHead ? .init() : whole(block, keeping: place, on: channel))
        case .car:
            let roots = try await roots(of: asked)
            let headers = headers(of: asked, roots: roots, bytes: nil)
            if asked.isKnown(by: known) { return Self.unchanged(headers) }
            return Response(
                status: .ok, headers: headers,
                body: isHead ? .init() : try archive(of: asked, keeping: place, on: channel))
        }
    }

    // MARK: Blocks

    /// The empty block that its CID carries, which clients ask for to see whether there is a gateway.
    private static let probe = CID(codec: .raw, multihash: Multihash(code: Multihash.identityCode, digest: []))

    /// A block that is public.
    private func block(_ cid: CID) async throws(GatewayRefusal) -> [UInt8] {
        let cid = cid.version1
        guard cid.namesMeshContent else { throw .notHere }
        await turns.take()
        let found: Result<PublishedBlock, NodeServiceError>
        do throws(NodeServiceError) {
            found = .success(try await content.publicBlock(cid))
        } catch {
            found = .failure(error)
        }
        await turns.give()
        switch found {
        case .success(.here(let block)): return block
        case .success(.takenBack):
            throw GatewayRefusal(.gone, "This gateway served that, and its owner took it back.")
        case .success(.none): throw .notHere
        case .failure(let error):
            let isBusy = error.code == .overloaded || error.code == .shuttingDown
            throw isBusy
                ? GatewayRefusal(.serviceUnavailable, "The node behind this gateway is busy.", retrySeconds: 5)
                : GatewayRefusal(.internalServerError, "The node behind this gateway cannot read that.")
        }
    }

    // MARK: Archives

    private func walk(of asked: GatewayRequest) throws(GatewayRefusal) -> ArchiveWalk {
        var bounds = ArchiveWalk.Limits()
        bounds.blocksMax = limits.archiveBlocksMax
        bounds.unixFS.pathNamesMax = limits.pathNamesMax
        do {
            return try ArchiveWalk(root: asked.root, names: asked.names, scope: asked.scope, limits: bounds)
        } catch {
            throw GatewayRefusal(.notFound, "That cannot be followed: \(error).")
        }
    }

    /// Follows the path to its end and looks at what is there, so that what cannot be given is refused before an answer
    /// begins; gives what each name leads to.
    private func roots(of asked: GatewayRequest) async throws(GatewayRefusal) -> [CID] {
        if asked.root.ownBlock != nil {
            guard asked.root == Self.probe, asked.names.isEmpty else { throw .notHere }
            return [asked.root]
        }
        var walk = try walk(of: asked)
        while walk.end == nil, let next = walk.next { try take(await block(next), &walk) }
        guard let end = walk.end else {
            let missing = asked.names.prefix(walk.namesFound + 1).last ?? []
            let name = GatewayFormat.quoted(String(decoding: missing, as: UTF8.self))
            throw GatewayRefusal(.notFound, "There is no \(name) in the folder.")
        }
        if let next = walk.next, end.ownBlock == nil { try take(await block(next), &walk) }
        guard !walk.isOutside else {
            throw GatewayRefusal(.badRequest, "The file has none of the bytes that entity-bytes asks for.")
        }
        return walk.roots
    }

    private func take(_ block: [UInt8], _ walk: inout ArchiveWalk) throws(GatewayRefusal) {
        do throws(UnixFSError) {
            _ = try walk.received(block)
        } catch .notADirectory {
            throw GatewayRefusal(.notFound, "The path goes on behind what is no folder.")
        } catch .notUnixFS {
            throw GatewayRefusal(
                .notAcceptable, "That is no file or folder; its block can be had with dag-scope=block.")
        } catch .tooManyBlocks {
            throw GatewayRefusal(
                .badRequest,
                "That has more than \(limits.archiveBlocksMax) blocks; ask for parts of it by their paths.")
        } catch {
            throw GatewayRefusal(.internalServerError, "That cannot be read: \(error).")
        }
    }

    /// The archive, block by block as the client takes it in. It breaks off, without the end that a whole one has,
    /// where a block is not public any more or cannot be read.
    private func archive(
        of asked: GatewayRequest, keeping place: GatewayTally.Place, on channel: any Channel
    ) throws(GatewayRefusal) -> ResponseBody {
        let begun = try walk(of: asked)
        return ResponseBody { writer in
            defer { withExtendedLifetime(place) {} }
            let connection = try await GatewayConnection.of(channel)
            var walk = begun
            var pieces = GatewayPieces(bytes: limits.pieceBytes)
            pieces.append(CAR.encodedHeader(roots: [asked.root]))
            do {
                while let next = walk.next {
                    let block = try await block(next)
                    guard let archived = try walk.received(block) else { continue }
                    pieces.append(archived.encodedSection)
                    while let piece = pieces.next() { try await write(piece, &writer, connection, channel) }
                }
                if let last = pieces.last() { try await write(last, &writer, connection, channel) }
            } catch {
                tally.wasCut()
                throw error
            }
            try await writer.finish(nil)
        }
    }

    /// One block, a piece at a time.
    private func whole(
        _ block: [UInt8], keeping place: GatewayTally.Place, on channel: any Channel
    ) -> ResponseBody {
        ResponseBody(contentLength: block.count) { writer in
            defer { withExtendedLifetime(place) {} }
            let connection = try await GatewayConnection.of(channel)
            var pieces = GatewayPieces(bytes: limits.pieceBytes)
            pieces.append(block)
            while let piece = pieces.next() ?? pieces.last() { try await write(piece, &writer, connection, channel) }
            try await writer.finish(nil)
        }
    }

    /// Writes a piece, and waits until there is room for the next.
    ///
    /// The library's own writer waits when the connection says that it is full, which it says late on a busy machine:
    /// tens of MiB later, for each client that does not read.
    private func write(
        _ piece: ByteBuffer, _ writer: inout any ResponseBodyWriter, _ connection: GatewayConnection,
        _ channel: any Channel
    ) async throws {
        tally.sent(piece.readableBytes)
        try await writer.write(piece)
        try await connection.waitForRoom(on: channel)
    }

    // MARK: Headers

    private func headers(of asked: GatewayRequest, roots: [CID], bytes: Int?) -> HTTPFields {
        var headers = Self.safeHeaders
        let name = asked.format == .raw ? "\(asked.root.text).bin" : "\(asked.root.text).car"
        headers[.contentType] =
            asked.format == .raw ? GatewayFormat.rawType : GatewayFormat.carType + "; version=1; order=dfs; dups=n"
        headers[.contentDisposition] = "attachment; filename=\"\(name)\""
        headers[.cacheControl] = "public, max-age=29030400, immutable"
        headers[.eTag] = asked.entityTag
        headers[.vary] = "Accept"
        if let bytes { headers[.contentLength] = String(bytes) }
        if asked.isNegotiated { headers[.contentLocation] = asked.canonicalTarget }
        if let field = HTTPFields.Key("X-Ipfs-Roots") { headers[field] = roots.map(\.text).joined(separator: ",") }
        return headers
    }

    /// What keeps a browser from making anything of an answer but a file.
    private static var safeHeaders: HTTPFields {
        [
            .xContentTypeOptions: "nosniff",
            .contentSecurityPolicy: "default-src 'none'; sandbox; frame-ancestors 'none'",
        ]
    }

    private static func unchanged(_ headers: HTTPFields) -> Response {
        var headers = headers
        headers[.contentLength] = nil
        return Response(status: .notModified, headers: headers)
    }

    private static func response(_ refusal: GatewayRefusal, isHead: Bool) -> Response {
        let text = refusal.text + "\n"
        var headers = safeHeaders
        headers[.contentType] = "text/plain; charset=utf-8"
        headers[.cacheControl] = "no-store"
        headers[.contentLength] = String(text.utf8.count)
        if refusal.status == .methodNotAllowed { headers[.allow] = "GET, HEAD" }
        if let seconds = refusal.retrySeconds { headers[.retryAfter] = String(seconds) }
        return Response(
            status: .init(code: refusal.status.rawValue), headers: headers,
            body: isHead ? .init() : .init(byteBuffer: ByteBuffer(string: text)))
    }
}

/// Bytes of an answer, cut into pieces of one size but for the last.
struct GatewayPieces {
    private let size: Int
    private var pending = ByteBuffer()

    init(bytes size: Int) { self.size = size }

    mutating func append(_ bytes: [UInt8]) {
        // What was cut off before is given up, and what is left moved: less than a piece.
        pending.discardReadBytes()
        pending.writeBytes(bytes)
    }

    /// The next whole piece; nil if there is none.
    mutating func next() -> ByteBuffer? {
        pending.readableBytes >= size ? pending.readSlice(length: size) : nil
    }

    /// What is left; nil if nothing is.
    mutating func last() -> ByteBuffer? {
        pending.readableBytes > 0 ? pending.readSlice(length: pending.readableBytes) : nil
    }
}
