import Determinism
import Multiformats
import Peers
import Testing

@testable import LibP2P

@Suite("Addresses that others name")
struct AddressPolicyTests {
    private func address(_ text: String) throws -> Multiaddr { try Multiaddr(parsing: text) }

    @Test(
        "How far an address is away",
        arguments: [
            ("/ip4/127.0.0.1/tcp/1", AddressReach.loopback), ("/ip4/127.255.3.4/tcp/1", .loopback),
            ("/ip6/::1/tcp/1", .loopback), ("/ip6/::ffff:127.0.0.1/tcp/1", .loopback),
            ("/ip6/64:ff9b::7f00:1/tcp/1", .loopback), ("/ip6/2002:7f00:1::1/tcp/1", .loopback),
            ("/ip4/10.0.0.1/tcp/1", .local), ("/ip4/172.16.0.1/tcp/1", .local), ("/ip4/172.31.9.9/tcp/1", .local),
            ("/ip4/192.168.1.1/tcp/1", .local), ("/ip4/169.254.1.1/tcp/1", .local),
            ("/ip4/100.64.0.1/tcp/1", .local), ("/ip4/100.127.255.255/tcp/1", .local),
            ("/ip4/198.18.0.1/tcp/1", .local), ("/ip4/192.0.0.8/tcp/1", .local), ("/ip6/fc00::1/tcp/1", .local),
            ("/ip6/fd12:3456::1/tcp/1", .local), ("/ip6/fe80::1/tcp/1", .local), ("/ip6/fec0::1/tcp/1", .local),
            ("/ip6/::ffff:10.1.2.3/tcp/1", .local), ("/ip6/64:ff9b::a01:203/tcp/1", .local),
            ("/dns4/localhost/tcp/1", .local), ("/dns/example.org/tcp/1", .local),
            ("/ip4/8.8.8.8/tcp/1", .open), ("/ip4/100.63.0.1/tcp/1", .open), ("/ip4/100.128.0.1/tcp/1", .open),
            ("/ip4/172.15.0.1/tcp/1", .open), ("/ip4/172.32.0.1/tcp/1", .open), ("/ip4/192.167.1.1/tcp/1", .open),
            ("/ip4/11.0.0.1/tcp/1", .open), ("/ip4/192.0.2.1/tcp/1", .open), ("/ip6/2001:db8::1/tcp/1", .open),
            ("/ip6/::ffff:8.8.8.8/tcp/1", .open), ("/ip6/64:ff9b::808:808/tcp/1", .open),
            ("/ip4/0.0.0.0/tcp/1", nil), ("/ip4/0.1.2.3/tcp/1", nil), ("/ip4/224.0.0.1/tcp/1", nil),
            ("/ip4/240.0.0.1/tcp/1", nil), ("/ip4/255.255.255.255/tcp/1", nil), ("/ip6/::/tcp/1", nil),
            ("/ip6/::ffff:0.0.0.0/tcp/1", nil), ("/ip6/ff02::1/tcp/1", nil), ("/ip6/::7f00:1/tcp/1", nil),
            ("/dnsaddr/example.org", nil), ("/unix/tmp/socket", nil),
        ] as [(String, AddressReach?)])
    func reach(_ text: String, _ reach: AddressReach?) throws {
        #expect(try address(text).reach == reach)
    }

    @Test("An address leads no further inside than where its author stands")
    func table() throws {
        let named = [
            "/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip4/169.254.0.1/tcp/1", "/ip4/100.64.0.1/tcp/1",
            "/ip6/fd00::1/tcp/1", "/ip6/::ffff:192.168.0.1/tcp/1", "/dns4/router/tcp/1", "/ip4/0.0.0.0/tcp/1",
            "/ip4/224.0.0.1/tcp/1", "/ip4/8.8.8.8/tcp/1", "/ip6/::ffff:9.9.9.9/tcp/1",
        ]
        let local = [
            "/ip4/10.0.0.1/tcp/1", "/ip4/169.254.0.1/tcp/1", "/ip4/100.64.0.1/tcp/1", "/ip6/fd00::1/tcp/1",
            "/ip4/192.168.0.1/tcp/1", "/dns4/router/tcp/1",
        ]
        let open = ["/ip4/8.8.8.8/tcp/1", "/ip4/9.9.9.9/tcp/1"]
        let policy = AddressPolicy(listening: [], openConnections: 0, loopbackConnections: 0)
        let addresses = try named.map(address)
        #expect(policy.admitted(addresses, from: .open).map(\.text) == open)
        #expect(policy.admitted(addresses, from: .local).map(\.text) == local + open)
        #expect(policy.admitted(addresses, from: .loopback).map(\.text) == ["/ip4/127.0.0.1/tcp/1"] + local + open)
    }

    @Test("An author without a connection is judged by where the node stands")
    func standing() throws {
        func standing(_ listening: [String], open: Int = 0, loopback: Int = 0) throws -> AddressReach {
            AddressPolicy(
                listening: try listening.map(address), openConnections: open, loopbackConnections: loopback
            ).standing
        }
        let (loopback, local, open) = ("/ip4/127.0.0.1/tcp/1", "/ip4/192.168.0.2/tcp/1", "/ip4/8.8.8.8/tcp/1")
        #expect(try standing([]) == .loopback)
        #expect(try standing([loopback]) == .loopback)
        #expect(try standing([local, loopback]) == .local)
        #expect(try standing([local, loopback], loopback: 1) == .loopback)
        #expect(try standing([local, loopback], open: 1, loopback: 5) == .open)
        #expect(try standing([loopback], open: 1) == .open)
        #expect(try standing([open, local, loopback], loopback: 5) == .open)
        let policy = AddressPolicy(listening: [try address(open)], openConnections: 0, loopbackConnections: 1)
        let named = try [loopback, local, open].map(address)
        #expect(policy.admitted(named, from: nil).map(\.text) == [open])
        #expect(policy.admitted(named, from: .loopback) == named)
    }

    @Test("A node names the interfaces of the family, loopback last, and nothing that nobody can dial")
    func tellable() throws {
        let interfaces = try [
            "/ip4/127.0.0.1", "/ip4/0.0.0.0", "/ip6/::1", "/ip6/::ffff:0.0.0.0", "/ip4/10.0.0.7", "/ip6/fe80::1",
            "/ip6/2001:db8::7", "/ip4/169.254.7.7", "/ip4/10.0.0.7", "/ip6/::", "/ip6/::ffff:10.0.0.9",
        ].map { try #require(try address($0).components.first) }
        func told(_ text: String) throws -> [String] {
            InterfaceAddresses.concrete(try address(text), interfaces: interfaces).map(\.text)
        }
        #expect(
            try told("/ip4/0.0.0.0/tcp/4001") == [
                "/ip4/10.0.0.7/tcp/4001", "/ip4/10.0.0.9/tcp/4001", "/ip4/127.0.0.1/tcp/4001",
            ])
        #expect(try told("/ip6/::ffff:0.0.0.0/tcp/4001") == told("/ip4/0.0.0.0/tcp/4001"))
        #expect(try told("/ip6/::/tcp/4001") == ["/ip6/2001:db8::7/tcp/4001", "/ip6/::1/tcp/4001"])
        #expect(try told("/ip4/10.1.1.1/tcp/5") == ["/ip4/10.1.1.1/tcp/5"])
        #expect(try told("/ip6/::ffff:10.1.1.1/tcp/5") == ["/ip4/10.1.1.1/tcp/5"])
    }
}

@Suite("Budget of failed dials")
struct DialBudgetTests {
    private func peer(_ number: Int) throws -> PeerID {
        try PeerID(bytes: [0, 36, 8, 1, 18, 32] + (0..<32).map { UInt8(truncatingIfNeeded: number >> (8 * ($0 % 4))) })
    }

    @Test("After two failures a peer is not dialed until the minute is over or it answers")
    func window() throws {
        var budget = DialBudget()
        let (one, other) = (try peer(1), try peer(2))
        func at(_ milliseconds: Int64) -> MonotonicInstant { .zero.advanced(milliseconds: milliseconds) }
        budget.failed(one, now: at(0))
        #expect(budget.admits(one, now: at(1_000)))
        budget.failed(one, now: at(1_000))
        #expect(!budget.admits(one, now: at(1_001)))
        #expect(!budget.admits(one, now: at(59_999)))
        #expect(budget.admits(other, now: at(1_001)))
        #expect(budget.admits(one, now: at(60_000)))
        budget.failed(one, now: at(60_000))
        budget.failed(one, now: at(60_001))
        #expect(!budget.admits(one, now: at(60_002)))
        budget.succeeded(one)
        #expect(budget.admits(one, now: at(60_003)))
    }

    @Test("Failures of peersMax peers are remembered; one more replaces the oldest")
    func bounded() throws {
        var limits = DialBudget.Limits()
        (limits.failuresPerMinuteMax, limits.peersMax) = (1, 16)
        var budget = DialBudget(limits: limits)
        for number in 0...16 { budget.failed(try peer(number), now: .zero) }
        #expect(budget.count == 16)
        #expect(budget.admits(try peer(0), now: .zero))
        for number in 1...16 { #expect(!budget.admits(try peer(number), now: .zero)) }
    }
}
