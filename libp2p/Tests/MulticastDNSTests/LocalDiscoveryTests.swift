import Determinism
import MulticastDNS
import Multiformats
import P2PTesting
import Peers
import Testing

@Suite("Finding peers on a link")
struct LocalDiscoveryTests {
    private typealias Link = LocalDiscovery.Link

    private static let wire = Link(interface: 2, isIPv6: false)
    private static let subnets = [
        Subnet(address: [192, 0, 2, 1], mask: [255, 255, 255, 0]),
        Subnet(address: [10, 0, 0, 9], mask: [255, 0, 0, 0]),
        Subnet(address: [203, 0, 113, 1], mask: [255, 255, 255, 0]),
    ]
    private static let neighbour = LocalDiscovery.Source([192, 0, 2, 7], reach: .local, subnets: subnets)
    private static let sameMachine = LocalDiscovery.Source(
        [127, 0, 0, 1], reach: .loopback, subnets: [Subnet(address: [127, 0, 0, 1], mask: [255, 0, 0, 0])])

    private func peer(_ number: Int) -> PeerID {
        PeerID(publicKeyProtobuf: Array(String(repeating: "peer \(number) ", count: 12).utf8))
    }

    private func address(_ text: String) throws -> Multiaddr { try Multiaddr(parsing: text) }

    private func at(_ milliseconds: Int64) -> MonotonicInstant {
        MonotonicInstant.zero.advanced(milliseconds: milliseconds)
    }

    private func core(_ number: Int, _ change: (inout LocalDiscovery.Limits) -> Void = { _ in }) -> LocalDiscovery {
        var limits = LocalDiscovery.Limits()
        change(&limits)
        return LocalDiscovery(own: peer(number), limits: limits, seed: UInt64(number))
    }

    /// Lets a core act until an instant; what it sent, with when.
    private func run(_ core: inout LocalDiscovery, until end: MonotonicInstant) -> [(MonotonicInstant, DNSMessage)] {
        var sent: [(MonotonicInstant, DNSMessage)] = []
        while let deadline = core.nextDeadline, deadline <= end {
            for case .send(let bytes, _) in core.deadlineReached(now: deadline) {
                if let message = try? DNSMessage(decoding: bytes) { sent.append((deadline, message)) }
            }
            core.checkInvariants()
        }
        return sent
    }

    private func answer(_ name: String, _ peer: PeerID, _ addresses: [String], lifeSeconds: UInt32 = 120) throws
        -> [UInt8]
    {
        let service = try #require(DNSName("_p2p._udp.local"))
        let instance = try #require(DNSName("\(name)._p2p._udp.local"))
        var message = DNSMessage(isResponse: true)
        message.answers = [DNSMessage.Record(service, .pointer(instance), lifeSeconds: lifeSeconds, isUnique: false)]
        message.additions = [
            DNSMessage.Record(
                instance, .texts(addresses.map { Array("dnsaddr=\($0)/p2p/\(peer.text)".utf8) }),
                lifeSeconds: lifeSeconds, isUnique: true)
        ]
        return message.encoded()
    }

    @Test("Two nodes on a link find each other, each with the addresses of the other, and neither finds itself")
    func findEachOther() throws {
        var (one, other) = (core(1), core(2))
        let addresses = [try address("/ip4/192.0.2.1/tcp/4001"), try address("/ip4/192.0.2.2/tcp/4002")]
        one.linksChanged([Self.wire: [addresses[0]]], now: .zero)
        other.linksChanged([Self.wire: [addresses[1]]], now: .zero)
        var found: [LocalDiscovery.Action] = []
        while let deadline = [one.nextDeadline, other.nextDeadline].compactMap(\.self).min(), deadline <= at(2_000) {
            let sent = (one.wake(now: deadline) ?? []) + (other.wake(now: deadline) ?? [])
            for case .send(let bytes, let link) in sent {
                // Multicast comes back to its sender.
                found += one.received(bytes, on: link, from: Self.neighbour, now: deadline)
                found += other.received(bytes, on: link, from: Self.neighbour, now: deadline)
            }
            one.checkInvariants()
            other.checkInvariants()
        }
        #expect(
            Set(found) == [
                .found(peer(2), [addresses[1]], from: Self.neighbour),
                .found(peer(1), [addresses[0]], from: Self.neighbour),
            ])
        #expect(found.count == 2, "what did not change is reported once")
    }

    @Test("Questions come soon and then ever more seldom, each with an answer of its own; names are random")
    func schedule() throws {
        var core = core(3)
        core.linksChanged([Self.wire: [try address("/ip4/192.0.2.1/tcp/4001")]], now: .zero)
        let sent = run(&core, until: at(3_600_000))
        let asked = sent.filter { !$0.1.isResponse }.map(\.0)
        #expect(asked.first.map { (at(20)...at(120)).contains($0) } == true)
        let pauses = zip(asked.dropFirst(), asked).map { $0.milliseconds(since: $1) }
        #expect(Array(pauses.prefix(9)) == [1, 2, 4, 8, 16, 32, 64, 128, 256].map { Int64($0) * 1_000 })
        #expect(pauses.dropFirst(9).allSatisfy { $0 == 300_000 } && pauses.count > 15)
        #expect(sent.count { $0.1.isResponse } >= asked.count - 1)
        let label = try #require(core.instanceName.labels.first)
        #expect(label.count >= 32 && label.count < 64)
        #expect(core.instanceName != self.core(4).instanceName)
    }

    @Test("An answer has a pointer, the addresses with the peer ID, the port and the machine's addresses")
    func answerOfANode() throws {
        var core = core(5)
        let listening = ["/ip4/192.0.2.1/tcp/4001", "/ip6/2001:db8::1/tcp/4001"]
        core.linksChanged([Self.wire: try listening.map(address)], now: .zero)
        var query = DNSMessage(isResponse: false)
        let (service, instance) = (try #require(DNSName("_p2p._udp.local")), core.instanceName)
        let host = try #require(
            DNSName("\(instance.labels.first.map { String(decoding: $0, as: UTF8.self) } ?? "").p2p.local"))
        _ = run(&core, until: at(16_000))
        for (name, kind) in [
            (service, DNSMessage.Kind.pointer), (instance, .texts), (instance, .service), (host, .ip4), (host, .ip6),
            (try #require(DNSName("_services._dns-sd._udp.local")), .pointer),
        ] {
            query.questions = [DNSMessage.Question(name, kind)]
            let now = at(20_000)
            var asked = core
            #expect(asked.received(query.encoded(), on: Self.wire, from: Self.neighbour, now: now).isEmpty)
            let answers = run(&asked, until: at(20_120)).map(\.1).filter(\.isResponse)
            let answer = try #require(answers.first)
            #expect(answers.count == 1 && answer.answers.contains { $0.name == name && $0.kind == kind }, "\(name)")
            let texts = (answer.answers + answer.additions).compactMap { record in
                if case .texts(let texts) = record.content {
                    texts.map { String(decoding: $0, as: UTF8.self) }
                } else {
                    nil
                }
            }
            #expect(texts == [listening.map { "dnsaddr=\($0)/p2p/\(peer(5).text)" }])
        }
        query.questions = [
            DNSMessage.Question(host, .texts), DNSMessage.Question(try #require(DNSName("x.local")), .any),
        ]
        _ = core.received(query.encoded(), on: Self.wire, from: Self.neighbour, now: at(20_000))
        #expect(run(&core, until: at(20_120)).isEmpty, "nobody asked for what it has")
    }

    @Test("However many ask, a link gets one answer in a second; who knows the node already, none")
    func answersAreBounded() throws {
        var core = core(6)
        core.linksChanged([Self.wire: [try address("/ip4/192.0.2.1/tcp/4001")]], now: .zero)
        _ = run(&core, until: at(70_000))
        var query = DNSMessage(isResponse: false)
        query.questions = [DNSMessage.Question(try #require(DNSName("_p2p._udp.local")), .pointer)]
        var answers: [MonotonicInstant] = []
        for millisecond in stride(from: Int64(80_000), to: 90_000, by: 10) {
            _ = core.received(query.encoded(), on: Self.wire, from: Self.neighbour, now: at(millisecond))
            answers += run(&core, until: at(millisecond)).filter(\.1.isResponse).map(\.0)
        }
        #expect((8...10).contains(answers.count), "\(answers.count)")
        #expect(zip(answers.dropFirst(), answers).allSatisfy { $0.milliseconds(since: $1) >= 1_000 })
        query.answers = [
            DNSMessage.Record(query.questions[0].name, .pointer(core.instanceName), lifeSeconds: 2_250, isUnique: false)
        ]
        _ = run(&core, until: at(100_000))
        _ = core.received(query.encoded(), on: Self.wire, from: Self.neighbour, now: at(100_000))
        #expect(run(&core, until: at(101_000)).isEmpty)
    }

    @Test("Messages, finds, those of one machine, names and addresses are bounded, and what is beyond is counted")
    func limits() throws {
        var core = core(7) {
            $0.messagesPerSecondMax = 40
            $0.findsPerMinuteMax = 10
            $0.findsPerSourcePerMinuteMax = 4
            $0.namesMax = 5
            $0.addressesMax = 2
            $0.linksMax = 1
        }
        core.linksChanged([Self.wire: [], Link(interface: 3, isIPv6: false): []], now: .zero)
        let many = ["/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.1/tcp/2", "/ip4/192.0.2.1/tcp/3"]
        var found: [LocalDiscovery.Action] = []
        for number in 0..<50 {
            let source = LocalDiscovery.Source(
                [192, 0, 2, UInt8(number / 10)], reach: .local, subnets: Self.subnets)
            found += core.received(
                try answer("n\(number)", peer(100 + number), many), on: Self.wire, from: source, now: at(500))
            core.checkInvariants()
        }
        // Four of each machine, until there are ten of all.
        #expect(found.count == 10 && core.counters[.found] == 10 && core.counters[.findsDropped] == 30)
        #expect(core.counters[.dropped] == 10 && core.counters[.received] == 40)
        guard case .found(_, let addresses, _)? = found.first else { return }
        #expect(addresses.count == 2)
        #expect(
            core.received(
                try answer("x", peer(9), many), on: Link(interface: 3, isIPv6: false), from: Self.neighbour,
                now: at(61_000)
            ).isEmpty, "there was no room for that link")
        let later = core.received(try answer("x", peer(9), many), on: Self.wire, from: Self.neighbour, now: at(61_000))
        #expect(later.count == 1)
        _ = core.received([1, 2, 3], on: Self.wire, from: Self.neighbour, now: at(61_000))
        #expect(core.counters[.malformed] == 1)
    }

    @Test("A find is a claim about machines, no further inside than who makes it, and of one peer only")
    func claims() throws {
        var core = core(8)
        core.linksChanged([Self.wire: []], now: .zero)
        let all = [
            "/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/2", "/ip4/203.0.113.5/tcp/3", "/dns4/router/tcp/4",
            "/ip4/10.0.0.1/udp/5", "/ip4/0.0.0.0/tcp/6", "/ip4/224.0.0.1/tcp/7", "/ip4/169.254.169.254/tcp/80",
            "/ip4/203.0.114.5/tcp/3", "/ip4/192.168.1.1/tcp/80", "/ip6/2001:db8::1/tcp/1",
        ]
        func found(_ message: [UInt8], _ source: LocalDiscovery.Source, _ now: Int64) -> [LocalDiscovery.Action] {
            core.received(message, on: Self.wire, from: source, now: at(now))
        }
        let (inside, outside) = (try address("/ip4/10.0.0.1/tcp/2"), try address("/ip4/203.0.113.5/tcp/3"))
        #expect(
            found(try answer("a", peer(1), all), Self.neighbour, 0) == [
                .found(peer(1), [inside, outside], from: Self.neighbour)
            ], "no address beyond the link's subnets")
        #expect(
            found(try answer("b", peer(2), all), Self.sameMachine, 0)
                == [.found(peer(2), [try address("/ip4/127.0.0.1/tcp/1")], from: Self.sameMachine)])
        #expect(found(try answer("c", peer(8), all), Self.neighbour, 0).isEmpty, "it is this node")
        #expect(found(try answer("d", peer(3), []), Self.neighbour, 0).isEmpty)
        // What was reported is reported again when it changes, or a minute later, and no sooner after a farewell.
        #expect(found(try answer("a", peer(1), all), Self.neighbour, 59_999).isEmpty)
        #expect(found(try answer("a", peer(1), [all[1]]), Self.neighbour, 59_999).count == 1)
        #expect(found(try answer("a", peer(1), [all[1]]), Self.neighbour, 119_999).count == 1)
        #expect(found(try answer("a", peer(1), [], lifeSeconds: 0), Self.neighbour, 120_000).isEmpty)
        #expect(found(try answer("a", peer(1), [all[1]]), Self.neighbour, 120_001).isEmpty)
        // As py-libp2p writes further addresses.
        var message = try DNSMessage(decoding: try answer("e", peer(4), [all[1]]))
        let instance = try #require(DNSName("e._p2p._udp.local"))
        let texts = [
            "dnsaddr=\(all[1])/p2p/\(peer(4).text)", "dnsaddr2=\(all[2])/p2p/\(peer(4).text)",
            "dnsaddr3=\(all[2])/p2p/\(peer(5).text)", "dnsaddrx=\(all[0])/p2p/\(peer(4).text)", "id=7", "dnsaddr",
        ]
        message.additions = [
            DNSMessage.Record(instance, .texts(texts.map { Array($0.utf8) }), lifeSeconds: 9, isUnique: true)
        ]
        #expect(
            found(message.encoded(), Self.neighbour, 130_000)
                == [.found(peer(4), [inside, outside], from: Self.neighbour)])
    }

    @Test("A find for which there was no room is reported when it is told again, and counted as dropped")
    func droppedFinds() throws {
        var core = core(10)
        core.linksChanged([Self.wire: []], now: .zero)
        let told = try answer("a", peer(1), ["/ip4/10.0.0.1/tcp/2"])
        #expect(core.received(told, on: Self.wire, from: Self.neighbour, now: at(0)).count == 1)
        #expect(core.received(told, on: Self.wire, from: Self.neighbour, now: at(1)).isEmpty)
        core.dropped(peer(1))
        #expect(core.received(told, on: Self.wire, from: Self.neighbour, now: at(2)).count == 1)
        #expect(core.counters[.findsDropped] == 1)
    }

    @Test("One machine has a share of the messages that are read in a second, and others have the rest")
    func messagesOfOneMachine() throws {
        var core = core(11) { $0.messagesPerSourcePerSecondMax = 3 }
        core.linksChanged([Self.wire: []], now: .zero)
        let query = DNSMessage(isResponse: false).encoded()
        for _ in 0..<5 { _ = core.received(query, on: Self.wire, from: Self.neighbour, now: at(0)) }
        #expect(core.counters[.received] == 3 && core.counters[.dropped] == 2)
        _ = core.received(query, on: Self.wire, from: Self.sameMachine, now: at(999))
        #expect(core.counters[.received] == 4)
        _ = core.received(query, on: Self.wire, from: Self.neighbour, now: at(1_000))
        #expect(core.counters[.received] == 5 && core.counters[.dropped] == 2)
        core.checkInvariants()
    }

    @Test("Nodes of another network are neither found nor answered, and a node that stops takes itself back")
    func networks() throws {
        var marked = LocalDiscovery(own: peer(1), network: "c0ffee", seed: 1)
        var plain = core(2)
        for index in 0..<2 {
            let own = [Self.wire: [try address("/ip4/192.0.2.\(index + 1)/tcp/4001")]]
            if index == 0 { marked.linksChanged(own, now: .zero) } else { plain.linksChanged(own, now: .zero) }
        }
        #expect(marked.instanceName.description.hasSuffix("._p2p-c0ffee._udp.local"))
        for (_, message) in run(&marked, until: at(5_000)) {
            #expect(plain.received(message.encoded(), on: Self.wire, from: Self.neighbour, now: at(5_000)).isEmpty)
        }
        #expect(plain.counters[.received].map { $0 > 3 } == true && plain.counters[.found] == nil)
        let farewells = marked.farewell()
        guard case .send(let bytes, Self.wire)? = farewells.first else {
            Issue.record("nothing is sent")
            return
        }
        let record = try #require(try DNSMessage(decoding: bytes).answers.first)
        #expect(farewells.count == 1 && record.lifeSeconds == 0 && record.content == .pointer(marked.instanceName))
        #expect(marked.nextDeadline == nil && marked.farewell().isEmpty)
    }

    @Test("A node without an address on a link asks there and is silent about itself; one that gets it, tells it")
    func addresses() throws {
        var core = core(9)
        core.linksChanged([Self.wire: []], now: .zero)
        #expect(run(&core, until: at(5_000)).allSatisfy { !$0.1.isResponse } && core.farewell().isEmpty)
        core.linksChanged([Self.wire: []], now: at(5_000))
        _ = run(&core, until: at(8_500))
        core.linksChanged([Self.wire: [try address("/ip4/192.0.2.1/tcp/4001")]], now: at(8_500))
        #expect(run(&core, until: at(8_650)).map(\.1.isResponse) == [true])
        core.linksChanged([:], now: at(9_000))
        #expect(core.nextDeadline == nil)
    }
}
