import Foundation
import IPLD
import Logging
import Multiformats
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NIOSSL
import NodeAPI
import NodeAPITesting
import Testing

@testable import MeshHTTP

/// The API over TLS: what it proves itself with, what it refuses, and how long it waits for strangers.
@Suite("The API over TLS", .serialized, .timeLimit(.minutes(2)))
struct TLSTests {
    /// A client of the API over TLS, which trusts one certificate alone.
    private final class Client: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        private let bytes = NIOLockedValueBox<[UInt8]>([])
        private let fault = NIOLockedValueBox<String?>(nil)
        /// Whether it takes in no more than the first of what comes.
        private let stalls: Bool

        init(stalls: Bool) { self.stalls = stalls }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            if stalls { context.channel.setOption(.autoRead, value: false).whenFailure { _ in } }
            let buffer = unwrapInboundIn(data)
            bytes.withLockedValue { $0.append(contentsOf: buffer.readableBytesView) }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            // Whoever ends HTTP/1.1 with its connection need not end TLS.
            if !(error is NIOSSLError) || bytes.withLockedValue(\.isEmpty) {
                fault.withLockedValue { $0 = $0 ?? "\(error)" }
            }
            context.close(promise: nil)
        }

        /// Connects from an address of this machine, and sends text.
        static func open(
            _ port: Int, _ text: String, trusting certificate: String, as name: String, from address: String,
            stalls: Bool = false, _ change: (inout TLSConfiguration) -> Void = { _ in }
        ) async throws -> (client: Client, channel: any Channel) {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8)))
            change(&configuration)
            let context = try NIOSSLContext(configuration: configuration)
            let client = Client(stalls: stalls)
            let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .bind(to: try SocketAddress(ipAddress: address, port: 0))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let tls = try NIOSSLClientHandler(context: context, serverHostname: name)
                        try channel.pipeline.syncOperations.addHandlers([tls, client])
                    }
                }
                .connect(host: "127.0.0.1", port: port).get()
            _ = try? await channel.writeAndFlush(ByteBuffer(string: text))
            return (client, channel)
        }

        /// Sends text and returns what came until the other side ended.
        static func ask(
            _ port: Int, _ text: String, trusting certificate: String, as name: String,
            from address: String = "127.0.0.1", _ change: (inout TLSConfiguration) -> Void = { _ in }
        ) async throws -> [UInt8] {
            let (client, channel) = try await open(
                port, text, trusting: certificate, as: name, from: address, change)
            try await channel.closeFuture.get()
            if let fault = client.fault.withLockedValue({ $0 }) { throw NoAnswer(text: fault) }
            return client.bytes.withLockedValue { $0 }
        }
    }

    private static let name = "node.example.org"
    private static let logger = Logger(label: "test")

    private static func certificate(_ identity: TLSIdentity = TLSSamples.identity()) throws -> WebCertificate {
        try WebCertificate(for: name, logger: logger) { () throws(NodeServiceError) in identity }
    }

    private func ask(
        _ scene: WebScene, _ target: String, host: String? = nil, trusting certificate: String = TLSSamples.certificate,
        from address: String = "127.0.0.1", _ headers: String..., change: (inout TLSConfiguration) -> Void = { _ in }
    ) async throws -> WebAnswer {
        let place = host ?? "\(Self.name):\(scene.port)"
        let lines = ["GET \(target) HTTP/1.1", "connection: close", "host: \(place)"] + headers
        let text = lines.joined(separator: "\r\n") + "\r\n\r\n"
        let bytes = try await Client.ask(scene.port, text, trusting: certificate, as: Self.name, from: address, change)
        guard let answer = WebAnswer(bytes) else { throw NoAnswer(text: String(decoding: bytes, as: UTF8.self)) }
        return answer
    }

    @Test("A client that trusts the certificate is answered, by the name alone; links and cookies are for TLS")
    func answers() async throws {
        try await WebScene.run(name: Self.name, certificate: try Self.certificate()) { scene in
            #expect(scene.server.address == "https://\(Self.name):\(scene.port)")
            let answer = try await ask(scene, "/v1/status", scene.full)
            #expect(answer.status == 200)
            #expect(try await ask(scene, "/v1/status").problem == "not_signed_in")
            for host in ["127.0.0.1:\(scene.port)", "evil.example.org:\(scene.port)", "localhost", Self.name] {
                #expect(try await ask(scene, "/v1/status", host: host, scene.full).problem == "host_refused", "\(host)")
            }
            let plain = try await ask(scene, "/v1/status", scene.full, "origin: http://\(Self.name):\(scene.port)")
            #expect(plain.problem == "origin_refused")
            let own = try await ask(scene, "/v1/status", scene.full, "origin: https://\(Self.name):\(scene.port)")
            #expect(own.status == 200)
            let link = try scene.server.gate.link(.full)
            #expect(link.url.hasPrefix("https://\(Self.name):\(scene.port)/dashboard/#"))
            let code = link.url.split(separator: "#").last.map(String.init) ?? ""
            #expect(try scene.server.gate.signIn(code).cookie.contains("; Secure"))
            for (version, isTaken) in [(TLSVersion.tlsv11, false), (.tlsv12, true), (.tlsv13, true)] {
                let status = try? await ask(scene, "/v1/status", scene.full) { configuration in
                    (configuration.minimumTLSVersion, configuration.maximumTLSVersion) = (.tlsv1, version)
                }.status
                #expect(status == (isTaken ? 200 : nil), "\(version)")
            }
        }
    }

    @Test("Whoever speaks plain HTTP, or trusts another certificate, gets nothing")
    func refusals() async throws {
        try await WebScene.run(name: Self.name, certificate: try Self.certificate()) { scene in
            let plain = try await WebConnection.open(scene.port)
            try await plain.send("GET /v1/status HTTP/1.1\r\nhost: \(Self.name):\(scene.port)\r\n\(scene.full)\r\n\r\n")
            try await plain.closed()
            #expect(!plain.text.contains("HTTP/1.1"), "\(plain.text)")
            let other = await #expect(throws: NoAnswer.self) {
                try await ask(scene, "/v1/status", trusting: TLSSamples.otherCertificate, scene.full)
            }
            #expect(other?.text.contains("CERTIFICATE_VERIFY_FAILED") == true, "\(other as Any)")
            #expect(try await ask(scene, "/v1/status", scene.full).status == 200)
        }
    }

    /// Waits until no more than so many are open: which of several event loops sees its connection first is open.
    private static func leave(_ count: Int, open held: inout [WebConnection]) async throws {
        while true {
            held.removeAll { !$0.isOpen }
            guard held.count > count, let any = held.first else { return }
            try await any.pause()
        }
    }

    @Test("A handshake has its time; one too many ends the eldest, and of many connections of one place the next")
    func limits() async throws {
        var limits = MeshHTTPLimits()
        // No other clock ends a connection here.
        limits.webIdleSeconds = 600
        (limits.tlsHandshakeSeconds, limits.tlsHandshakesMax, limits.webConnectionsMax) = (1, 2, 64)
        try await WebScene.run(limits: limits, name: Self.name, certificate: try Self.certificate()) { scene in
            let slow = [try await WebConnection.open(scene.port), try await WebConnection.open(scene.port)]
            for each in slow { try await each.closed() }
            // A second may be too little for a good one on a busy machine, which then comes again.
            var isAnswered = false
            while !isAnswered { isAnswered = (try? await ask(scene, "/v1/status", scene.full).status) == 200 }
        }
        limits.tlsHandshakeSeconds = 60
        try await WebScene.run(limits: limits, name: Self.name, certificate: try Self.certificate()) { scene in
            var held: [WebConnection] = []
            for _ in 0..<3 { held.append(try await WebConnection.open(scene.port)) }
            try await Self.leave(2, open: &held)
            // Whoever does not stall is answered, and those who do make room.
            #expect(try await ask(scene, "/v1/status", scene.full).status == 200)
            try await Self.leave(1, open: &held)
            for each in held { try await each.close() }
        }
        (limits.tlsHandshakeSeconds, limits.tlsHandshakesMax, limits.tlsConnectionsPerAddressMax) = (60, 64, 3)
        try await WebScene.run(limits: limits, name: Self.name, certificate: try Self.certificate()) { scene in
            var held: [WebConnection] = []
            for _ in 0..<4 { held.append(try await WebConnection.open(scene.port)) }
            try await Self.leave(3, open: &held)
            for each in held { try await each.close() }
            var isAnswered = false
            while !isAnswered { isAnswered = (try? await ask(scene, "/v1/status", scene.full).status) == 200 }
        }
    }

    @Test("A thousand connections that say nothing, or begin a handshake and stall, keep nobody else out")
    func stalledCrowd() async throws {
        var limits = MeshHTTPLimits()
        limits.tlsHandshakeSeconds = 60
        let most = limits.tlsConnectionsPerAddressMax
        try await WebScene.run(limits: limits, name: Self.name, certificate: try Self.certificate()) { scene in
            var held: [WebConnection] = []
            for number in 0..<1_000 {
                let next = try await WebConnection.open(scene.port)
                // The first byte of a handshake, and no more.
                if number.isMultiple(of: 2) { try? await next.send("\u{16}") }
                // One of those that are too many is gone before the next comes.
                held.append(next)
                try await Self.leave(most, open: &held)
            }
            let areHeld = held.allSatisfy(\.isOpen)
            #expect(areHeld)
            let answer = try await ask(scene, "/v1/status", from: "127.0.0.2", scene.full)
            #expect(answer.status == 200)
            for each in held { try await each.close() }
        }
    }

    @Test("A connection over TLS has the clocks of one over TCP: idle, slow with a head, or a reader that stalls")
    func clocks() async throws {
        var limits = MeshHTTPLimits()
        (limits.webIdleSeconds, limits.webConnectionsMax) = (1, 1)
        try await WebScene.run(limits: limits, name: Self.name, certificate: try Self.certificate()) { scene in
            for text in ["", "GET /v1/status HTTP/1.1\r\n"] {
                let bytes = try await Client.ask(scene.port, text, trusting: TLSSamples.certificate, as: Self.name)
                #expect(bytes.isEmpty, "\(text)")
            }
            var isAnswered = false
            while !isAnswered { isAnswered = (try? await ask(scene, "/v1/status", scene.full).status) == 200 }
        }
        (limits.webIdleSeconds, limits.webPieceSeconds) = (60, 1)
        // More than the system ever buffers for two sockets.
        let file = Array(repeating: UInt8(7), count: 64 << 20)
        let cid = CID.hashing(file, codec: .raw)
        try await WebScene.run(
            .init(files: [cid: file]), limits: limits, name: Self.name, certificate: try Self.certificate()
        ) { scene in
            let text = "GET /v1/files/\(cid.text) HTTP/1.1\r\nhost: \(Self.name):\(scene.port)\r\n\(scene.full)\r\n\r\n"
            let (_, channel) = try await Client.open(
                scene.port, text, trusting: TLSSamples.certificate, as: Self.name, from: "127.0.0.1", stalls: true)
            // It gets its turn when the first is cut off.
            #expect(try await ask(scene, "/v1/status", scene.full).status == 200)
            try? await channel.close()
        }
    }

    @Test("Whoever was counted is not counted any more when it is gone, and a handshake is counted once")
    func visitors() throws {
        var limits = MeshHTTPLimits()
        (limits.tlsHandshakesMax, limits.tlsConnectionsPerAddressMax) = (3, 2)
        let visitors = TLSVisitors(limits: limits)
        let six = try ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"].map {
            try SocketAddress(ipAddress: $0, port: 1)
        }
        let ended = NIOLockedValueBox<[Int]>([])
        func begin(_ number: Int, _ address: SocketAddress?) -> TLSVisitors.Visit? {
            visitors.begin(from: address) { ended.withLockedValue { $0.append(number) } }
        }
        let first = try #require(begin(1, six[0]))
        let second = try #require(begin(2, six[1]))
        #expect(begin(3, six[1]) == nil, "they are of one network")
        #expect(begin(4, six[2]) != nil && ended.withLockedValue(\.isEmpty))
        #expect(begin(5, nil) != nil && ended.withLockedValue { $0 } == [1] && visitors.handshakes == 3)
        // Its connection counts until it is closed; that its handshake is over is known.
        visitors.shookHands(first)
        #expect(begin(6, six[0]) == nil && visitors.handshakes == 3)
        visitors.left(first)
        visitors.shookHands(second)
        #expect(visitors.handshakes == 2 && begin(7, six[0]) != nil)
        #expect(ended.withLockedValue { $0 } == [1])
        // IPv4 at a socket of both has addresses of its own each, and the busiest makes room for another.
        let four = try ["::ffff:192.0.2.1", "::ffff:192.0.2.2"].map { try SocketAddress(ipAddress: $0, port: 1) }
        let others = TLSVisitors(limits: limits)
        func come(_ number: Int, _ address: SocketAddress) -> TLSVisitors.Visit? {
            others.begin(from: address) { ended.withLockedValue { $0.append(number) } }
        }
        #expect(come(8, four[1]) != nil && come(9, four[0]) != nil && come(10, four[0]) != nil)
        #expect(come(11, four[0]) == nil)
        #expect(come(12, six[0]) != nil && ended.withLockedValue { $0 } == [1, 9])
    }

    @Test("A certificate that no client could take, and a key that is not its own, are refused by sentences")
    func certificates() throws {
        let now = Date(timeIntervalSince1970: 1_900_000_000)
        let rows: [(TLSIdentity, Date, String)] = [
            (TLSSamples.identity("nothing"), now, "/c.pem has no certificate in PEM"),
            (TLSSamples.identity(TLSSamples.certificate, "nothing"), now, "/k.pem has no key in PEM"),
            (
                TLSSamples.identity(TLSSamples.certificate, TLSSamples.otherKey), now,
                "/k.pem is not that of the certificate /c.pem"
            ),
            (TLSSamples.identity(), Date(timeIntervalSince1970: 9_000_000_000), "/c.pem was good until 21"),
            (TLSSamples.identity(), Date(timeIntervalSince1970: 1_000_000_000), "/c.pem is good from 2026-"),
        ]
        for (identity, date, sentence) in rows {
            let error = #expect(throws: NodeServiceError.self) { try WebCertificate.context(identity, at: date) }
            #expect(error?.message.contains(sentence) == true, "\(error as Any)")
            #expect(error?.code == .configurationInvalid && error?.hint != nil)
        }
        let facts = try WebCertificate.facts(of: TLSSamples.identity(), at: now)
        #expect(facts.end.formatted(.iso8601) == "2126-11-05T12:49:31Z")
        // As `openssl x509 -fingerprint -sha256` has it.
        #expect(facts.fingerprint == "031a4181a33593603d9c0d862d752349d89ae3edb2414caff9d63d2a30be8f44")
    }

    @Test("A certificate is for the names and addresses in it, for one label where it has a star, and for nothing else")
    func hosts() throws {
        var facts = try WebCertificate.facts(
            of: TLSSamples.identity(), at: Date(timeIntervalSince1970: 1_900_000_000))
        for host in [Self.name, "NODE.example.org", "127.0.0.1"] { #expect(facts.isFor(host), "\(host)") }
        for host in ["example.org", "a.node.example.org", "127.0.0.2", "::1", "", "node.example.org."] {
            #expect(!facts.isFor(host), "\(host)")
        }
        facts.names = ["*.example.org", "*"]
        facts.addresses = [[0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [1]]
        for host in ["a.example.org", "2001:db8::1", "2001:DB8:0::1"] { #expect(facts.isFor(host), "\(host)") }
        for host in ["example.org", "a.b.example.org", ".example.org", "org", "1.2.3.4"] {
            #expect(!facts.isFor(host), "\(host)")
        }
    }

    @Test("One that is for another name is told of in the log, at the start and when it is read again")
    func otherName() throws {
        let (logger, lines) = RecordedLog.logger()
        let files = NIOLockedValueBox(TLSSamples.identity())
        let certificate = try WebCertificate(for: "other.example.org", logger: logger) {
            () throws(NodeServiceError) in files.withLockedValue { $0 }
        }
        func warnings() -> Int { lines.withLockedValue { $0.count { $0.contains("name=other.example.org") } } }
        #expect(warnings() == 1)
        try certificate.renew()
        #expect(warnings() == 2)
        _ = try WebCertificate(for: Self.name, logger: logger) {
            () throws(NodeServiceError) in files.withLockedValue { $0 }
        }
        #expect(warnings() == 2)
    }

    @Test("A renewed certificate is for the next connections; where it cannot be used, the one before stays")
    func renewal() async throws {
        let files = NIOLockedValueBox(TLSSamples.identity())
        let certificate = try WebCertificate(for: Self.name, logger: Self.logger) { () throws(NodeServiceError) in
            files.withLockedValue { $0 }
        }
        try await WebScene.run(name: Self.name, certificate: certificate) { scene in
            files.withLockedValue { $0 = TLSSamples.identity(TLSSamples.otherCertificate, TLSSamples.key) }
            let error = #expect(throws: NodeServiceError.self) { try scene.server.renewCertificate() }
            #expect(error?.message.contains("goes on with the TLS certificate that it has") == true)
            #expect(try await ask(scene, "/v1/status", scene.full).status == 200)
            files.withLockedValue { $0 = TLSSamples.identity(TLSSamples.otherCertificate, TLSSamples.otherKey) }
            let lines = [
                "POST /v1/settings/reload HTTP/1.1", "connection: close", "host: \(Self.name):\(scene.port)",
                "content-length: 0", scene.full,
            ]
            let text = lines.joined(separator: "\r\n") + "\r\n\r\n"
            let bytes = try await Client.ask(scene.port, text, trusting: TLSSamples.certificate, as: Self.name)
            #expect(WebAnswer(bytes)?.status == 200, "\(String(decoding: bytes, as: UTF8.self))")
            let answer = try await ask(
                scene, "/v1/status", trusting: TLSSamples.otherCertificate, scene.full)
            #expect(answer.status == 200)
        }
    }
}
