import Determinism
import MulticastDNS
import Multiformats
import P2PTesting
import Testing

@Suite("Messages of multicast DNS")
struct DNSMessageTests {
    private func name(_ text: String) throws -> DNSName { try #require(DNSName(text)) }

    private func sample() throws -> DNSMessage {
        let (service, host) = (try name("_p2p._udp.local"), try name("abc.p2p.local"))
        let instance = try name("abc._p2p._udp.local")
        var message = DNSMessage(isResponse: true)
        message.questions = [DNSMessage.Question(service, .pointer), DNSMessage.Question(host, .any)]
        message.answers = [DNSMessage.Record(service, .pointer(instance), lifeSeconds: 4_500, isUnique: false)]
        message.additions = [
            DNSMessage.Record(
                instance, .texts([Array("dnsaddr=/ip4/192.0.2.1/tcp/4001".utf8), [1, 2]]), lifeSeconds: 4_500,
                isUnique: true),
            DNSMessage.Record(instance, .service(port: 4_001, host: host), lifeSeconds: 120, isUnique: true),
            DNSMessage.Record(host, .ip4([192, 0, 2, 1]), lifeSeconds: 0, isUnique: true),
            DNSMessage.Record(host, .ip6(Array(0..<16)), lifeSeconds: .max, isUnique: true),
        ]
        return message
    }

    @Test("Encoding and decoding give the same message back, and names that came before are pointed at")
    func roundTrip() throws {
        let message = try sample()
        let bytes = message.encoded()
        #expect(try DNSMessage(decoding: bytes) == message)
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(text.ranges(of: "_udp").count == 1 && text.ranges(of: "abc").count == 2)
    }

    @Test("The question for all peers has the bytes that libp2p's other implementations send")
    func questionVector() throws {
        var query = DNSMessage(isResponse: false)
        query.questions = [DNSMessage.Question(try name("_p2p._udp.local"), .pointer)]
        let bytes: [UInt8] =
            [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4] + Array("_p2p".utf8) + [4] + Array("_udp".utf8) + [5]
            + Array("local".utf8) + [0, 0, 12, 0, 1]
        #expect(query.encoded() == bytes)
        // With the bit that asks for an answer to the sender alone, as python-zeroconf sends it first.
        #expect(try DNSMessage(decoding: bytes.dropLast(2) + [0x80, 1]) == query)
    }

    @Test("A packet of python-zeroconf 0.150.5, with records of types that are not read, is read")
    func zeroconfVector() throws {
        let message = try DNSMessage(decoding: Self.zeroconf)
        let service = try name("_p2p._udp.local")
        let instance = try name("pqr._p2p._udp.local")
        #expect(message.isResponse && message.questions.isEmpty)
        let records = message.answers + message.additions
        #expect(records.contains { $0.name == service && $0.content == .pointer(instance) })
        #expect(records.contains { $0.content == .service(port: 4_001, host: DNSName("pqr.local") ?? instance) })
        #expect(records.contains { $0.content == .ip4([127, 0, 0, 1]) })
        let texts = records.compactMap { record in if case .texts(let texts) = record.content { texts } else { nil } }
        #expect(texts == [[Array("dnsaddr=/ip4/127.0.0.1/tcp/4001".utf8)]])
    }

    @Test("Broken bytes are refused, or read as a message that comes back the same", arguments: [11, 12] as [UInt64])
    func fuzz(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var accepted = 0
        let samples = [try sample().encoded(), Self.zeroconf]
        for round in 0..<2_000 {
            let wire = generator.mutated(
                samples[round % 2], most: 6, meaningful: [0, 1, 12, 16, 33, 63, 64, 0xC0, 0xFF],
                insertions: [[0xC0, 0x0C], [0xC0, 0xFF], [0, 12, 0, 1]])
            guard let message = try? DNSMessage(decoding: wire) else { continue }
            accepted += 1
            #expect(try DNSMessage(decoding: message.encoded()) == message, "seed \(seed): \(wire)")
        }
        #expect((1..<2_000).contains(accepted), "seed \(seed): \(accepted) accepted")
    }

    private func failure(_ bytes: [UInt8]) -> DNSMessageError? {
        do {
            _ = try DNSMessage(decoding: bytes)
            return nil
        } catch {
            return error
        }
    }

    private func header(_ counts: [Int], flags: [UInt8] = [0x84, 0]) -> [UInt8] {
        [0, 0] + flags + counts.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
    }

    @Test("Past each limit there is an error, and names that would not end are refused")
    func limits() {
        let question: [UInt8] = [1, 0x61, 0, 0, 12, 0, 1]
        let record: [UInt8] = [1, 0x61, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4]
        func many(_ part: [UInt8], _ count: Int) -> [UInt8] { Array(repeatElement(part, count: count).joined()) }
        #expect(failure(.init(repeating: 0, count: 9_001)) == .tooMuch)
        #expect(failure(header([32, 0, 0, 0]) + many(question, 32)) == nil)
        #expect(failure(header([33, 0, 0, 0]) + many(question, 33)) == .tooMuch)
        #expect(failure(header([0, 100, 20, 8]) + many(record, 128)) == nil)
        #expect(failure(header([0, 100, 20, 9]) + many(record, 129)) == .tooMuch)
        #expect(failure(header([1, 0, 0, 0])) == .truncated)
        #expect(failure(header([0, 0, 0, 0], flags: [0x78, 0])) == .notUnderstood)
        #expect(failure(header([0, 0, 0, 0], flags: [0x80, 3])) == .notUnderstood)
        // At itself, forward, and along seventeen of which each is before the other.
        #expect(failure(header([1, 0, 0, 0]) + [0xC0, 12, 0, 12, 0, 1]) == .badName)
        #expect(failure(header([1, 0, 0, 0]) + [0xC0, 14, 0, 12, 0, 1, 0]) == .badName)
        #expect(failure(header([1, 0, 0, 0]) + [0x40, 0, 0, 12, 0, 1]) == .badName)
        for (count, expected) in [(16, DNSMessageError?.none), (17, .badName)] {
            // Names of one record after the other, each a pointer at the one before.
            var bytes = header([count + 1, 0, 0, 0]) + [0, 0, 12, 0, 1]
            var place = 12
            for _ in 0..<count {
                let next = bytes.count
                bytes += [0xC0, UInt8(place), 0, 12, 0, 1]
                place = next
            }
            #expect(failure(bytes) == expected, "\(count) pointers")
        }
        let label = [63] + [UInt8](repeating: 0x61, count: 63)
        let tooLong = many(label, 3) + [62] + [UInt8](repeating: 0x61, count: 62)
        #expect(failure(header([1, 0, 0, 0]) + tooLong + [0, 0, 12, 0, 1]) == .tooMuch)
        #expect(failure(header([1, 0, 0, 0]) + many(label, 3) + [61] + many([0x61], 61) + [0, 0, 12, 0, 1]) == nil)
        let texts: [UInt8] = [0, 0, 16, 0, 1, 0, 0, 0, 0, 0]
        #expect(failure(header([0, 1, 0, 0]) + texts + [128] + many([1, 0x61], 64)) == nil)
        #expect(failure(header([0, 1, 0, 0]) + texts + [130] + many([1, 0x61], 65)) == .tooMuch)
        #expect(failure(header([0, 1, 0, 0]) + texts + [2, 5, 0x61, 0, 0, 0, 0]) == .badRecord)
        #expect(failure(header([0, 1, 0, 0]) + Array(record.dropLast(5)) + [3, 1, 2, 3]) == .badRecord)
    }

    @Test("Pointers at one long name are followed until the names have as many labels as are read")
    func labels() {
        let ending: [UInt8] = [0, 12, 0, 1]
        let long = Array(repeatElement([1, 0x61] as [UInt8], count: 127).joined()) + [0] + ending
        let again = Array(repeatElement([0xC0, 12] + ending, count: 7).joined())
        for (count, expected) in [(8, DNSMessageError?.none), (9, .tooManyLabels)] {
            let last = Array(repeatElement([1, 0x61] as [UInt8], count: count).joined()) + [0] + ending
            // Eight names of 127 labels, and one more of the rest of 1,024.
            #expect(failure(header([9, 0, 0, 0]) + long + again + last) == expected, "\(count) further labels")
        }
    }

    @Test("Names have labels of 1 to 63 bytes and 255 in all, and are equal whatever their case")
    func names() {
        #expect(DNSName("A.b") == DNSName("a.B") && DNSName("") == nil && DNSName("a..b") == nil)
        let long = String(repeating: "a", count: 63)
        #expect(DNSName(long) != nil && DNSName(long + "a") == nil)
        #expect(DNSName("\(long).\(long).\(long).\(long.dropLast(2))") != nil)
        #expect(DNSName("\(long).\(long).\(long).\(long.dropLast(1))") == nil)
    }

    private static let zeroconf: [UInt8] = [
        0, 0, 132, 0, 0, 0, 0, 5, 0, 0, 0, 0, 4, 95, 112, 50, 112, 4, 95, 117, 100, 112, 5, 108, 111, 99, 97, 108, 0,
        0, 12, 0, 1, 0, 0, 17, 148, 0, 6, 3, 112, 113, 114, 192, 12, 192, 39, 0, 33, 128, 1, 0, 0, 0, 120, 0, 12, 0,
        0, 0, 0, 15, 161, 3, 112, 113, 114, 192, 22, 192, 39, 0, 16, 128, 1, 0, 0, 17, 148, 0, 32, 31, 100, 110, 115,
        97, 100, 100, 114, 61, 47, 105, 112, 52, 47, 49, 50, 55, 46, 48, 46, 48, 46, 49, 47, 116, 99, 112, 47, 52,
        48, 48, 49, 192, 63, 0, 1, 128, 1, 0, 0, 0, 120, 0, 4, 127, 0, 0, 1, 192, 63, 0, 47, 128, 1, 0, 0, 0, 120, 0,
        5, 192, 63, 0, 1, 64,
    ]
}
