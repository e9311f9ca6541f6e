import Determinism
import Kademlia
import Multiformats
import Testing

@Suite("Kademlia core")
struct KademliaCoreTests {
    private var generator = SeededGenerator(seed: 101)

    private mutating func peer() -> PeerID { VirtualNetwork.randomPeer(&generator) }

    private mutating func core(_ change: (inout KademliaConfiguration) -> Void = { _ in }) -> KademliaCore {
        var configuration = KademliaConfiguration()
        change(&configuration)
        var core = KademliaCore(
            localPeer: peer(), configuration: configuration, validators: [.text, .publicKeys], seed: 1, now: .zero)
        core.localAddresses = [VirtualNetwork.address(0)]
        return core
    }

    @Test("Without peers an operation fails at once and says so")
    mutating func alone() {
        var core = core()
        let started = core.start(.getValue(key: bytes("/text/a")), now: .zero)
        #expect(started.actions == [.finished(started.id, .failed(.noPeersKnown))])
        let put = core.start(.putValue(key: bytes("/text/a"), value: bytes("ok")), now: .zero)
        #expect(put.actions == [.finished(put.id, .failed(.noPeersKnown))])
        let got = core.start(.getValue(key: bytes("/text/a")), now: .zero)
        #expect(got.actions == [.finished(got.id, .valueFound(bytes("ok"), from: nil))])
    }

    @Test("A node that knows nobody names itself, because go-libp2p drops servers that name nobody")
    mutating func namesItself() {
        var core = core()
        let asker = peer()
        let own = PeerInfo(peerID: core.localPeer, addresses: core.localAddresses)
        let answer = core.requestArrived(KademliaMessage(kind: .findNode, key: asker.bytes), from: asker, now: .zero)
        #expect(answer == .success(KademliaMessage(kind: .findNode, key: asker.bytes, closerPeers: [own])))
    }

    @Test("a peer that says two things of itself may be two: it is named to itself, with both, until it is gone")
    mutating func twoWithOneKey() throws {
        var core = core()
        let asker = peer()
        let (first, second) = (VirtualNetwork.address(1), VirtualNetwork.address(2))
        func named(_ core: inout KademliaCore, by asker: PeerID) throws -> [PeerInfo] {
            let request = KademliaMessage(kind: .findNode, key: asker.bytes)
            return try #require(try core.requestArrived(request, from: asker, now: .zero).get()).closerPeers
        }
        let own = PeerInfo(peerID: core.localPeer, addresses: core.localAddresses)
        for addresses in [[first], [first, second], [second]] {
            _ = core.peerIdentified(PeerInfo(peerID: asker, addresses: addresses), isServer: true, now: .zero)
            #expect(try named(&core, by: asker) == [own], "the same place, or one more or less")
        }
        _ = core.peerIdentified(PeerInfo(peerID: asker, addresses: [first]), isServer: true, now: .zero)
        let both = PeerInfo(peerID: asker, addresses: [first, second])
        #expect(try named(&core, by: asker) == [own, both])
        let stranger = peer()
        let request = KademliaMessage(kind: .findNode, key: asker.bytes)
        let told = try #require(try core.requestArrived(request, from: stranger, now: .zero).get()).closerPeers
        #expect(told == [PeerInfo(peerID: asker, addresses: [first])], "others hear what it said last")
        core.peerDisconnected(asker)
        #expect(try named(&core, by: asker) == [own])
    }

    @Test("What falls due at once is announced again republishParallelMax at a time")
    mutating func republishParallel() {
        var core = core { $0.republishParallelMax = 4 }
        // Nobody is there, so all ten are tried again a minute later.
        for number in 0..<10 {
            _ = core.start(.provide(multihash: Multihash.sha256(of: bytes("\(number)")).bytes), now: .zero)
        }
        let later = MonotonicInstant.zero.advanced(milliseconds: KademliaConfiguration().republishRetryMilliseconds)
        for place in 1...10 {
            let info = PeerInfo(peerID: peer(), addresses: [VirtualNetwork.address(place)])
            _ = core.peerIdentified(info, isServer: true, now: later)
        }
        let before = core.counters.republished
        for _ in 0..<3 { _ = core.deadlineReached(now: later) }
        #expect(core.counters.republished - before == 4, "the rest wait until one of them ends")
    }

    @Test("earlier addresses are kept of 256 connected peers; one more replaces the first")
    mutating func doubleKeysMax() throws {
        var core = core()
        let peers = (0..<257).map { _ in peer() }
        for peer in peers {
            for place in [1, 2] {
                let info = PeerInfo(peerID: peer, addresses: [VirtualNetwork.address(place)])
                _ = core.peerIdentified(info, isServer: false, now: .zero)
            }
        }
        let named = try peers.map { peer in
            let request = KademliaMessage(kind: .findNode, key: peer.bytes)
            return try #require(try core.requestArrived(request, from: peer, now: .zero).get()).closerPeers.last
        }
        #expect(named.dropFirst().allSatisfy { $0?.addresses.contains(VirtualNetwork.address(1)) == true })
        #expect(named.first??.peerID == core.localPeer)
    }

    @Test("what servers name as this node's own, and is not, is kept for a look: eight addresses, the newest")
    mutating func foreignAddresses() throws {
        var core = core()
        let server = PeerInfo(peerID: peer(), addresses: [VirtualNetwork.address(1)])
        _ = core.peerIdentified(server, isServer: true, now: .zero)
        #expect(core.takeForeignAddresses().isEmpty)
        let started = core.start(.findClosest(key: core.localPeer.bytes), now: .zero)
        let request = try #require(
            started.actions.lazy.compactMap { action in if case .send(let request) = action { request } else { nil } }
                .first)
        let other = PeerInfo(peerID: peer(), addresses: [VirtualNetwork.address(50)])
        let named = PeerInfo(
            peerID: core.localPeer, addresses: core.localAddresses + (2..<12).map(VirtualNetwork.address))
        let answer = KademliaMessage(kind: .findNode, key: core.localPeer.bytes, closerPeers: [other, named])
        _ = core.responseArrived(request.id, answer, now: .zero)
        #expect(core.takeForeignAddresses() == (4..<12).map(VirtualNetwork.address))
        #expect(core.takeForeignAddresses().isEmpty, "told once")
    }

    @Test("Nobody is named to itself")
    mutating func notToItself() throws {
        var core = core()
        let asker = PeerInfo(peerID: peer(), addresses: [VirtualNetwork.address(1)])
        let other = PeerInfo(peerID: peer(), addresses: [VirtualNetwork.address(2)])
        _ = core.peerIdentified(asker, isServer: true, now: .zero)
        _ = core.peerIdentified(other, isServer: true, now: .zero)
        let request = KademliaMessage(kind: .findNode, key: asker.peerID.bytes)
        let answer = try #require(try core.requestArrived(request, from: asker.peerID, now: .zero).get())
        #expect(answer.closerPeers == [other])
    }

    @Test("PUT_VALUE is answered with the record; a forged, foreign or worse one is refused with the reason")
    mutating func putValue() {
        var core = core()
        let sender = peer()
        func put(_ key: String, _ record: KademliaRecord?) -> KademliaMessage {
            KademliaMessage(kind: .putValue, key: bytes(key), record: record)
        }
        let good = KademliaRecord(key: bytes("/text/a"), value: bytes("ok long"))
        let stored = core.requestArrived(put("/text/a", good), from: sender, now: .zero)
        #expect(stored == .success(put("/text/a", good)))
        let cases: [(KademliaMessage, RequestRefusal)] = [
            (put("/text/a", nil), .missingRecord),
            (put("/text/b", good), .record(.keyMismatch)),
            (put("", KademliaRecord(key: [], value: [])), .badKeyLength(0)),
            (
                put("/text/a", KademliaRecord(key: bytes("/text/a"), value: bytes("forged"))),
                .record(.invalid("the value does not begin with ok"))
            ),
            (put("/text/a", KademliaRecord(key: bytes("/text/a"), value: bytes("ok"))), .record(.olderThanStored)),
            (put("/x/a", KademliaRecord(key: bytes("/x/a"), value: bytes("ok"))), .record(.unknownNamespace)),
            (
                put("/text/big", KademliaRecord(key: bytes("/text/big"), value: .init(repeating: 0, count: 66_561))),
                .record(.valueTooLong(bytesMax: 66_560))
            ),
        ]
        for (request, reason) in cases {
            #expect(core.requestArrived(request, from: sender, now: .zero) == .failure(reason))
        }
        #expect(core.counters.requestsRefused == cases.count)
        #expect(core.records.value(for: bytes("/text/a"), now: .zero) == bytes("ok long"))
    }

    @Test("Only a provider itself announces itself, and is not answered")
    mutating func addProvider() {
        var core = core()
        let sender = PeerInfo(peerID: peer(), addresses: [VirtualNetwork.address(1)])
        let victim = PeerInfo(peerID: peer(), addresses: [VirtualNetwork.address(2)])
        let key = Multihash.sha256(of: bytes("block")).bytes
        let forged = KademliaMessage(kind: .addProvider, key: key, providerPeers: [victim])
        #expect(core.requestArrived(forged, from: sender.peerID, now: .zero) == .failure(.notTheProvider))
        let honest = KademliaMessage(kind: .addProvider, key: key, providerPeers: [victim, sender])
        #expect(core.requestArrived(honest, from: sender.peerID, now: .zero) == .success(nil))
        #expect(core.providers.providers(of: key, now: .zero) == [sender])
        let long = KademliaMessage(kind: .addProvider, key: .init(repeating: 1, count: 81), providerPeers: [sender])
        #expect(core.requestArrived(long, from: sender.peerID, now: .zero) == .failure(.badKeyLength(81)))
    }

    @Test("Public keys stand under /pk/ of their peer only")
    mutating func publicKeys() {
        var core = core()
        let sender = peer()
        let subject = peer()
        let key = bytes("/pk/") + subject.bytes
        let record = KademliaRecord(key: key, value: Array(subject.bytes.dropFirst(2)))
        let request = KademliaMessage(kind: .putValue, key: key, record: record)
        #expect(core.requestArrived(request, from: sender, now: .zero) == .success(request))
        let other = KademliaRecord(key: key, value: Array(sender.bytes.dropFirst(2)))
        #expect(
            core.requestArrived(KademliaMessage(kind: .putValue, key: key, record: other), from: sender, now: .zero)
                == .failure(.record(.invalid("the public key does not hash to the peer ID"))))
    }

    @Test("An operation past queriesMax is refused by that name")
    mutating func tooManyOperations() {
        var core = core { $0.queriesMax = 3 }
        // The first server of all starts a walk, which is one of the three.
        _ = core.peerIdentified(PeerInfo(peerID: peer(), addresses: []), isServer: true, now: .zero)
        for number in 0..<2 { _ = core.start(.findClosest(key: bytes("\(number)")), now: .zero) }
        core.checkInvariants()
        let started = core.start(.findClosest(key: bytes("one more")), now: .zero)
        #expect(started.actions == [.finished(started.id, .failed(.tooManyOperations(max: 3)))])
    }

    @Test("An operation that nobody answers ends when its requests time out")
    mutating func silence() {
        var core = core()
        _ = core.peerIdentified(PeerInfo(peerID: peer(), addresses: []), isServer: true, now: .zero)
        let started = core.start(.getValue(key: bytes("/text/silent")), now: .zero)
        #expect(started.actions.count == 1)
        var now = MonotonicInstant.zero
        var ends: [KademliaAction] = []
        while now < MonotonicInstant.zero.advanced(milliseconds: 61_000), let deadline = core.nextDeadline {
            now = deadline
            ends += core.deadlineReached(now: now)
            core.checkInvariants()
        }
        #expect(ends.contains(.finished(started.id, .failed(.notFound(asked: 1)))))
    }

    @Test("An answer of another kind costs the peer its answer")
    mutating func wrongKind() {
        var core = core()
        let server = PeerInfo(peerID: peer(), addresses: [])
        _ = core.peerIdentified(server, isServer: true, now: .zero)
        let started = core.start(.getValue(key: bytes("/text/k")), now: .zero)
        guard case .send(let request)? = started.actions.first else {
            Issue.record("nothing was sent")
            return
        }
        let actions = core.responseArrived(request.id, KademliaMessage(kind: .ping), now: .zero)
        #expect(
            actions == [
                .peerMisbehaved(server.peerID, .wrongKind(asked: .getValue, answered: .ping)),
                .finished(started.id, .failed(.notFound(asked: 1))),
            ])
        #expect(core.responseArrived(request.id, KademliaMessage(kind: .getValue), now: .zero).isEmpty)
        core.checkInvariants()
    }

    @Test("Publications are bounded by kind, number and bytes: the oldest of the kind is forgotten")
    mutating func publications() {
        var core = core {
            $0.publishedValuesMax = 10
            $0.publishedValueBytesMax = 1_000
            $0.publishedProvidersMax = 3
            $0.records.recordsMax = 0
        }
        func put(_ number: Int, bytesCount: Int = 2) {
            let value = bytes("ok") + [UInt8](repeating: 7, count: bytesCount - 2)
            _ = core.start(.putValue(key: bytes("/text/\(number)"), value: value), now: .zero)
            core.checkInvariants()
        }
        /// What this node answers of its own; nobody else is known.
        func isKept(_ number: Int) -> Bool {
            let search = core.start(.getValue(key: bytes("/text/\(number)")), now: .zero)
            return search.actions != [.finished(search.id, .failed(.noPeersKnown))]
        }
        for number in 0..<25 { put(number) }
        #expect(core.counters.publicationsDropped == 15)
        #expect(core.counters.recordsRefusedAsFull == 25)
        #expect((0..<25).filter(isKept) == Array(15..<25))
        put(25, bytesCount: 990)
        #expect(core.counters.publicationsDropped == 15 + 5)
        #expect((0..<26).filter(isKept) == Array(20..<26))
        // A value that alone is over the bound is put once and not again, and displaces nothing.
        put(26, bytesCount: 1_001)
        #expect(core.counters.publicationsDropped == 15 + 5 + 1)
        #expect((0..<27).filter(isKept) == Array(20..<26))
        let before = core.counters.publicationsDropped
        for number in 0..<5 { _ = core.start(.provide(multihash: bytes("block \(number)")), now: .zero) }
        core.checkInvariants()
        #expect(core.counters.publicationsDropped == before + 2)
        for number in 0..<5 {
            let search = core.start(.findProviders(multihash: bytes("block \(number)"), limit: 1), now: .zero)
            let isKept = search.actions != [.finished(search.id, .failed(.noPeersKnown))]
            #expect(isKept == (number >= 2))
        }
    }

    @Test("A full store makes room for a record and counts it, and refuses one only as the farthest of many")
    mutating func fullRecordStore() {
        var core = core { $0.records.recordsMax = 1 }
        let (first, second) = (peer(), peer())
        func put(_ number: Int, from peer: PeerID) -> Result<KademliaMessage?, RequestRefusal> {
            let record = KademliaRecord(key: bytes("/text/\(number)"), value: bytes("ok"))
            return core.requestArrived(
                KademliaMessage(kind: .putValue, key: record.key, record: record), from: peer, now: .zero)
        }
        for number in 0..<10 {
            guard case .success = put(number, from: first) else {
                Issue.record("\(number) was refused")
                continue
            }
        }
        #expect(core.counters.recordsDisplaced == 9)
        #expect(core.counters.recordsRefusedAsFull == 0)
        for number in 10..<200 { _ = put(number, from: number % 2 == 0 ? second : first) }
        let refused = core.counters.recordsRefusedAsFull
        #expect(refused > 0)
        #expect(core.counters.requestsRefused == refused)
        #expect(core.records.count == 1)
        core.checkInvariants()
    }

    @Test("A full provider store makes room and counts it, and refuses one with the reason")
    mutating func fullProviderStore() {
        var core = core { $0.providers.recordsMax = 1 }
        var providers: [PeerInfo] = []
        for number in 1...2 { providers.append(PeerInfo(peerID: peer(), addresses: [VirtualNetwork.address(number)])) }
        var reasons: Set<RequestRefusal> = []
        for number in 0..<100 {
            let provider = providers[number < 10 ? 0 : number % 2]
            let request = KademliaMessage(
                kind: .addProvider, key: Multihash.sha256(of: bytes("\(number)")).bytes, providerPeers: [provider])
            if case .failure(let reason) = core.requestArrived(request, from: provider.peerID, now: .zero) {
                reasons.insert(reason)
            }
            core.checkInvariants()
        }
        #expect(reasons == [.providerStoreFull])
        #expect(core.counters.providersDisplaced >= 9)
        #expect(core.counters.providersRefusedAsFull == core.counters.requestsRefused)
        #expect(core.providers.count == 1)
    }

    @Test("Unanswered requests cost a member its place, unsent ones do not")
    mutating func droppedRequests() {
        for isSent in [false, true] {
            var core = core()
            let server = PeerInfo(peerID: peer(), addresses: [VirtualNetwork.address(1)])
            var actions = core.peerIdentified(server, isServer: true, now: .zero)
            for _ in 0..<10 {
                var ended = false
                actions += core.start(.findClosest(key: bytes("x")), now: .zero).actions
                while !ended {
                    ended = true
                    for case .send(let request) in actions where core.isUnderWay(request.id) {
                        ended = false
                        actions +=
                            isSent
                            ? core.requestFailed(request.id, now: .zero) : core.requestDropped(request.id, now: .zero)
                        core.checkInvariants()
                    }
                }
            }
            #expect(core.table.count == (isSent ? 0 : 1))
        }
    }

    @Test("On the open internet a peer without a public address does not enter the table")
    mutating func privatePeers() {
        var core = core { $0.admitsPrivatePeers = false }
        let loopback = PeerInfo(peerID: peer(), addresses: [Multiaddr([.ip4([127, 0, 0, 1]), .tcp(1)])])
        _ = core.peerIdentified(loopback, isServer: true, now: .zero)
        #expect(core.table.count == 0)
        #expect(core.counters.peersRefusedAsPrivate == 1)
        _ = core.peerIdentified(
            PeerInfo(peerID: peer(), addresses: [VirtualNetwork.address(1)]), isServer: true, now: .zero)
        #expect(core.table.count == 1)
    }

    @Test("Remembered clients are bounded")
    mutating func clients() {
        var core = core { $0.clientsMax = 4 }
        let first = PeerInfo(peerID: peer(), addresses: [VirtualNetwork.address(1)])
        _ = core.peerIdentified(first, isServer: false, now: .zero)
        for number in 2..<9 {
            let info = PeerInfo(peerID: peer(), addresses: [VirtualNetwork.address(number)])
            _ = core.peerIdentified(info, isServer: false, now: .zero)
            core.checkInvariants()
        }
        let search = core.start(.findPeer(first.peerID), now: .zero)
        #expect(search.actions == [.finished(search.id, .failed(.noPeersKnown))])
    }

    @Test("Random requests never break an invariant", arguments: [111, 112] as [UInt64])
    mutating func randomRequests(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        var core = core {
            $0.records.recordsMax = 20
            $0.providers.recordsMax = 30
            $0.providers.providersPerKeyMax = 4
        }
        let senders = (0..<40).map { _ in VirtualNetwork.randomPeer(&generator) }
        for step in 0..<1_500 {
            let now = MonotonicInstant(nanoseconds: Int64(step) * 60_000_000_000)
            let sender = senders.randomElement(using: &generator) ?? core.localPeer
            let key = bytes("/text/\(Int.random(in: 0..<60, using: &generator))")
            let kind = KademliaMessage.Kind.allCases.randomElement(using: &generator) ?? .ping
            let address = VirtualNetwork.address(Int.random(in: 0..<5, using: &generator))
            let request = KademliaMessage(
                kind: kind, key: key, record: KademliaRecord(key: key, value: bytes("ok \(step)")),
                providerPeers: [PeerInfo(peerID: sender, addresses: [address])])
            _ = core.requestArrived(request, from: sender, now: now)
            if step % 50 == 0 { _ = core.deadlineReached(now: now) }
            if step % 7 == 0 {
                _ = core.peerIdentified(PeerInfo(peerID: sender, addresses: [address]), isServer: true, now: now)
            }
            core.checkInvariants()
        }
    }
}
