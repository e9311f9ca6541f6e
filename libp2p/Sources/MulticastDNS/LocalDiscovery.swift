package import Determinism
package import Multiformats
import OrderedCollections
package import Peers

/// Finds peers on the links of this machine and is found there: libp2p's mDNS (specs/discovery/mdns.md) as a core. It
/// has no socket: messages come in, and messages to send and peers that were found go out.
///
/// It asks on each link, soon and then ever more seldom, and answers whoever asks, itself included, so that everybody
/// hears of it. What it finds is what somebody on the link claims; who is there, only a handshake shows.
package struct LocalDiscovery: Core {
    /// The bounds of the core.
    package struct Limits: Sendable {
        /// Links that it works on; further ones are left alone.
        package var linksMax = 16
        /// Addresses that it announces on a link, and takes in of one message about one peer.
        package var addressesMax = 16
        /// Names of peers that it remembers; one more replaces the one heard of longest ago.
        package var namesMax = 256
        /// Messages that it reads in a second, of all links; further ones are dropped unread.
        package var messagesPerSecondMax = 200
        /// Messages of a second that it reads of one machine; further ones of it are dropped unread.
        package var messagesPerSourcePerSecondMax = 50
        /// Finds that it reports in a minute; further ones are dropped.
        package var findsPerMinuteMax = 64
        /// Finds of a minute that one machine told of; further ones of it are dropped.
        package var findsPerSourcePerMinuteMax = 16
        /// How long it does not report again what it has reported, unless that changed, in milliseconds.
        package var repeatMilliseconds: Int64 = 60_000
        /// The shortest time between two answers on one link, in milliseconds (RFC 6762, 6).
        package var answerPauseMilliseconds: Int64 = 1_000
        /// How long an answer may wait, so that not everybody answers at once, in milliseconds.
        package var answerDelayMilliseconds: ClosedRange<Int64> = 20...120
        /// The pause after the first question, in milliseconds; it doubles with each further one.
        package var firstPauseMilliseconds: Int64 = 1_000
        /// The longest pause between two questions, in milliseconds.
        package var longestPauseMilliseconds: Int64 = 300_000

        package init() {}
    }

    /// A network that this machine is on, in one family of addresses.
    package struct Link: Hashable, Comparable, Sendable {
        /// The number of the interface.
        package let interface: Int
        /// Whether it is the IPv6 of that interface.
        package let isIPv6: Bool

        package init(interface: Int, isIPv6: Bool) { (self.interface, self.isIPv6) = (interface, isIPv6) }

        package static func < (left: Link, right: Link) -> Bool {
            (left.interface, left.isIPv6 ? 1 : 0) < (right.interface, right.isIPv6 ? 1 : 0)
        }
    }

    /// The machine that sent a message.
    package struct Source: Hashable, Sendable {
        /// Its address.
        package let bytes: [UInt8]
        /// Whether it is this machine, or another one of the link.
        package let reach: AddressReach
        /// The subnets of the link, outside of which it has nobody dialed.
        package let subnets: [Subnet]

        package init(_ bytes: [UInt8], reach: AddressReach, subnets: [Subnet]) {
            (self.bytes, self.reach, self.subnets) = (bytes, reach, subnets)
        }

        /// Whether it can say that somebody is at an address: of the link, or of loopback if it is this machine.
        func mayName(_ address: Multiaddr) -> Bool {
            guard let distance = address.reach, distance >= reach else { return false }
            return distance == .loopback || subnets.contains { address.isIn($0) }
        }
    }

    /// What the shell has to do.
    package enum Action: Hashable, Sendable {
        /// Send a message to the group of a link.
        case send([UInt8], on: Link)
        /// Somebody claims that a peer is at these addresses.
        case found(PeerID, [Multiaddr], from: Source)
    }

    /// What is counted.
    package enum Counter: String, CaseIterable, Hashable, Sendable {
        /// Messages sent.
        case sent
        /// Messages read.
        case received
        /// Messages that came too fast.
        case dropped
        /// Bytes that were no message.
        case malformed
        /// Peers reported as found.
        case found
        /// Finds that came too fast.
        case findsDropped

        /// Its name in a node's counters.
        package var name: String {
            switch self {
            case .sent: "mdns_sent"
            case .received: "mdns_received"
            case .dropped: "mdns_dropped"
            case .malformed: "mdns_malformed"
            case .found: "mdns_found"
            case .findsDropped: "mdns_finds_dropped"
            }
        }
    }

    private struct State: Sendable {
        var addresses: [Multiaddr] = []
        var askAt: MonotonicInstant
        var askPauseMilliseconds: Int64
        var answerAt: MonotonicInstant?
        var answerNotBefore = MonotonicInstant.zero
        var asked: Set<DNSMessage.Question> = []
    }

    private struct Known: Sendable {
        var peer: PeerID
        var addresses: [Multiaddr]
        var toldAt: MonotonicInstant
    }

    private let limits: Limits
    private let own: PeerID
    private let names: DiscoveryNames
    private var generator: SeededGenerator
    private var links: [Link: State] = [:]
    private var known: OrderedDictionary<[UInt8], Known> = [:]
    private var messages: SharedAllowance
    private var finds: SharedAllowance
    /// How often what happened.
    package private(set) var counters: [Counter: UInt64] = [:]

    /// A node on no link yet.
    /// - Parameters:
    ///   - network: what sets a mesh apart from others on the same link, in lower-case hex; nil for everybody.
    ///   - seed: chance, for its name and its pauses.
    package init(own: PeerID, network: String? = nil, limits: Limits = Limits(), seed: UInt64) {
        self.own = own
        self.limits = limits
        generator = SeededGenerator(seed: seed)
        names = DiscoveryNames(network: network, using: &generator)
        messages = SharedAllowance(
            max: limits.messagesPerSecondMax, perSourceMax: limits.messagesPerSourcePerSecondMax, milliseconds: 1_000)
        finds = SharedAllowance(
            max: limits.findsPerMinuteMax, perSourceMax: limits.findsPerSourcePerMinuteMax, milliseconds: 60_000)
    }

    /// The name under which it is found, for tests.
    package var instanceName: DNSName { names.instance }

    // MARK: Inputs

    /// The links of this machine now, and the addresses to announce on each. It asks soon on a new one, and tells anew
    /// where its addresses have changed.
    package mutating func linksChanged(_ current: [Link: [Multiaddr]], now: MonotonicInstant) {
        links = links.filter { current[$0.key] != nil }
        for link in current.keys.sorted() {
            let addresses = Array((current[link] ?? []).prefix(limits.addressesMax))
            if links[link] == nil {
                guard links.count < limits.linksMax else { continue }
                links[link] = State(askAt: delayed(now), askPauseMilliseconds: limits.firstPauseMilliseconds)
            }
            guard links[link]?.addresses != addresses else { continue }
            links[link]?.addresses = addresses
            willAnswer([names.find], on: link, now: now)
        }
    }

    /// A message that came on a link from a machine of the link.
    package mutating func received(
        _ bytes: [UInt8], on link: Link, from source: Source, now: MonotonicInstant
    ) -> [Action] {
        guard links[link] != nil else { return [] }
        guard messages.take(for: source.bytes, now: now) else {
            count(.dropped)
            return []
        }
        guard let message = try? DNSMessage(decoding: bytes) else {
            count(.malformed)
            return []
        }
        count(.received)
        if message.isResponse { return found(in: message, from: source, now: now) }
        let asked = message.questions.filter { question in
            names.answers(question) && !names.isKnown(to: message, question)
        }
        if !asked.isEmpty { willAnswer(Set(asked), on: link, now: now) }
        return []
    }

    /// Asks and answers where that is due.
    package mutating func deadlineReached(now: MonotonicInstant) -> [Action] {
        var actions: [Action] = []
        for link in links.keys.sorted() {
            if let askAt = links[link]?.askAt, askAt <= now { actions.append(ask(on: link, now: now)) }
            if let answerAt = links[link]?.answerAt, answerAt <= now {
                actions += answer(on: link, now: now)
            }
        }
        return actions
    }

    /// A find that the shell had no room for: it is reported again when it is next told.
    package mutating func dropped(_ peer: PeerID) {
        count(.findsDropped)
        known.removeAll { $0.value.peer == peer }
    }

    /// When it next asks or answers; nil without a link.
    package var nextDeadline: MonotonicInstant? {
        links.values.map { min($0.askAt, $0.answerAt ?? $0.askAt) }.min()
    }

    /// Takes back what it announced: the node stops.
    package mutating func farewell() -> [Action] {
        defer { links = [:] }
        return links.keys.sorted().filter { links[$0]?.addresses.isEmpty == false }.map { link in
            count(.sent)
            return .send(names.farewell.encoded(), on: link)
        }
    }

    /// Stops with a message when the core contradicts itself; tests call it after every input.
    package func checkInvariants() {
        precondition(links.count <= limits.linksMax, "\(links.count) links")
        precondition(known.count <= limits.namesMax, "\(known.count) names")
        precondition(finds.sourcesCount <= limits.findsPerMinuteMax, "\(finds.sourcesCount) sources of finds")
        precondition(messages.sourcesCount <= limits.messagesPerSecondMax, "\(messages.sourcesCount) sources")
    }

    // MARK: Decisions

    private mutating func count(_ counter: Counter) { counters[counter, default: 0] += 1 }

    private mutating func delayed(_ now: MonotonicInstant) -> MonotonicInstant {
        now.advanced(milliseconds: Int64.random(in: limits.answerDelayMilliseconds, using: &generator))
    }

    private mutating func willAnswer(_ questions: Set<DNSMessage.Question>, on link: Link, now: MonotonicInstant) {
        guard let state = links[link], !state.addresses.isEmpty else { return }
        let soon = delayed(now)
        links[link]?.asked.formUnion(questions)
        links[link]?.answerAt = state.answerAt ?? max(soon, state.answerNotBefore)
    }

    /// Who asks answers, too, so that everybody on the link hears of it; its own question comes back to it, or not.
    private mutating func ask(on link: Link, now: MonotonicInstant) -> Action {
        let pause = links[link]?.askPauseMilliseconds ?? limits.longestPauseMilliseconds
        links[link]?.askAt = now.advanced(milliseconds: pause)
        links[link]?.askPauseMilliseconds = min(pause * 2, limits.longestPauseMilliseconds)
        willAnswer([names.find], on: link, now: now)
        count(.sent)
        return .send(names.query.encoded(), on: link)
    }

    private mutating func answer(on link: Link, now: MonotonicInstant) -> [Action] {
        guard let state = links[link] else { return [] }
        links[link]?.asked = []
        links[link]?.answerAt = nil
        links[link]?.answerNotBefore = now.advanced(milliseconds: limits.answerPauseMilliseconds)
        guard !state.addresses.isEmpty else { return [] }
        count(.sent)
        let addresses = state.addresses.map { $0.withPeerID(own) }
        return [.send(names.answer(to: state.asked, addresses).encoded(), on: link)]
    }

    /// The peers that an answer names: of each name one, in its texts.
    private mutating func found(
        in message: DNSMessage, from source: Source, now: MonotonicInstant
    ) -> [Action] {
        var actions: [Action] = []
        for record in message.answers + message.additions {
            if case .pointer(let name) = record.content, record.name == names.service, record.lifeSeconds == 0,
                let label = name.label(below: names.service), let before = known[label],
                now.milliseconds(since: before.toldAt) >= limits.repeatMilliseconds
            {
                // Sooner, anybody could have a find reported again and again by taking it back.
                known[label] = nil
            }
            guard case .texts(let texts) = record.content, record.lifeSeconds > 0, record.name != names.instance,
                let label = record.name.label(below: names.service),
                let (peer, addresses) = claim(in: texts, from: source), peer != own
            else { continue }
            if let before = known[label], before.peer == peer, before.addresses == addresses,
                now.milliseconds(since: before.toldAt) < limits.repeatMilliseconds
            {
                continue
            }
            guard finds.take(for: source.bytes, now: now) else {
                count(.findsDropped)
                continue
            }
            known[label] = nil
            if known.count >= limits.namesMax { known.removeFirst() }
            known[label] = Known(peer: peer, addresses: addresses, toldAt: now)
            count(.found)
            actions.append(.found(peer, addresses, from: source))
        }
        return actions
    }

    /// The peer that texts name first, and its addresses: those that their author may name.
    private func claim(in texts: [[UInt8]], from source: Source) -> (PeerID, [Multiaddr])? {
        var peer: PeerID?
        var addresses: [Multiaddr] = []
        for text in texts where addresses.count < limits.addressesMax {
            guard let address = DiscoveryNames.address(in: text), let named = address.peerID,
                peer == nil || peer == named
            else { continue }
            let plain = address.withoutPeerID().unmapped
            guard source.mayName(plain), !addresses.contains(plain) else { continue }
            peer = named
            addresses.append(plain)
        }
        return peer.map { ($0, addresses) }
    }
}

/// So many of something in each stretch of time, and so many of them for one machine.
private struct SharedAllowance: Sendable {
    let max: Int
    let perSourceMax: Int
    let milliseconds: Int64
    private var since: MonotonicInstant?
    private var taken = 0
    private var bySource: [[UInt8]: Int] = [:]

    init(max: Int, perSourceMax: Int, milliseconds: Int64) {
        (self.max, self.perSourceMax, self.milliseconds) = (max, perSourceMax, milliseconds)
    }

    /// The machines that took any in this stretch; no more than may be taken.
    var sourcesCount: Int { bySource.count }

    mutating func take(for source: [UInt8], now: MonotonicInstant) -> Bool {
        if since.map({ now.milliseconds(since: $0) >= milliseconds }) ?? true {
            (since, taken, bySource) = (now, 0, [:])
        }
        guard taken < max, bySource[source, default: 0] < perSourceMax else { return false }
        taken += 1
        bySource[source, default: 0] += 1
        return true
    }
}
