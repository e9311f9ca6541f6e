import Determinism
import Kademlia
import Multiformats
import Testing

@Suite("Kademlia stores")
struct KademliaStoreTests {
    private let localKey = KademliaKey(hashing: bytes("local"))

    private func region(_ key: [UInt8]) -> Int {
        localKey.commonPrefixLength(with: KademliaKey(hashing: key))
    }

    private func record(_ number: Int, bytesCount: Int = 10) -> KademliaRecord {
        KademliaRecord(key: bytes("/text/\(number)"), value: .init(repeating: 7, count: bytesCount))
    }

    @Test("Records stay within recordsMax; of many holders with one each, the near ones stay")
    func recordLimit() {
        var generator = SeededGenerator(seed: 121)
        var limits = RecordStore.Limits()
        limits.recordsMax = 1_024
        var store = RecordStore(localKey: localKey, limits: limits)
        var (displaced, refused) = (0, 0)
        for number in 0..<2_500 {
            switch store.put(record(number), holder: VirtualNetwork.randomPeer(&generator), now: .zero) {
            case .some(let others): displaced += others
            case .none: refused += 1
            }
        }
        store.checkInvariants()
        #expect(store.count == 1_024)
        #expect(displaced + refused == 2_500 - 1_024)
        #expect(displaced > 0 && refused > 0)
        let near = (0..<2_500).map { record($0) }.filter { region($0.key) >= 4 }
        #expect(!near.isEmpty && near.allSatisfy { store.value(for: $0.key, now: .zero) != nil })
    }

    @Test("The defaults agree: recordsMax records of 2 KiB fit, for as long as announcements need")
    func recordDefaults() {
        let configuration = KademliaConfiguration()
        #expect(configuration.records.recordsMax * 2_048 == configuration.records.bytesTotalMax)
        #expect(configuration.records.lifetimeMilliseconds > 2 * configuration.republishIntervalMilliseconds)
        #expect(configuration.providers.lifetimeMilliseconds > 2 * configuration.republishIntervalMilliseconds)
    }

    @Test("A node that keeps putting is never refused: its newest records stay, its oldest go")
    func recordNewest() {
        var generator = SeededGenerator(seed: 128)
        var limits = RecordStore.Limits()
        limits.recordsMax = 100
        var store = RecordStore(localKey: localKey, limits: limits)
        let busy = VirtualNetwork.randomPeer(&generator)
        for number in 0..<1_000 {
            #expect(store.put(record(number), holder: busy, now: .zero) == (number < 100 ? 0 : 1))
            store.checkInvariants()
        }
        #expect((900..<1_000).allSatisfy { store.value(for: record($0).key, now: .zero) != nil })
        // Putting one again makes it the newest.
        #expect(store.put(record(900), holder: busy, now: .zero) == 0)
        #expect(store.put(record(1_000), holder: busy, now: .zero) == 1)
        #expect(store.value(for: record(900).key, now: .zero) != nil)
        #expect(store.value(for: record(901).key, now: .zero) == nil)
    }

    @Test("Repeating another's record refreshes it without taking it over")
    func recordRepeated() {
        var generator = SeededGenerator(seed: 129)
        var limits = RecordStore.Limits()
        limits.recordsMax = 10
        var store = RecordStore(localKey: localKey, limits: limits)
        let (honest, repeater) = (VirtualNetwork.randomPeer(&generator), VirtualNetwork.randomPeer(&generator))
        for number in 0..<2 { #expect(store.put(record(number), holder: honest, now: .zero) == 0) }
        let later = MonotonicInstant.zero.advanced(milliseconds: store.limits.lifetimeMilliseconds)
        for number in 0..<2 { #expect(store.put(record(number), holder: repeater, now: later) == 0) }
        for number in 100..<200 { _ = store.put(record(number), holder: repeater, now: later) }
        store.checkInvariants()
        #expect((0..<2).allSatisfy { store.value(for: record($0).key, now: later) != nil })
    }

    @Test("Bytes are bounded too, and a refused record displaces nothing")
    func recordBytes() {
        var generator = SeededGenerator(seed: 122)
        var limits = RecordStore.Limits()
        limits.bytesTotalMax = 1_000
        var store = RecordStore(localKey: localKey, limits: limits)
        for number in 0..<50 {
            let holder = VirtualNetwork.randomPeer(&generator)
            _ = store.put(record(number, bytesCount: 300), holder: holder, now: .zero)
            store.checkInvariants()
        }
        #expect(store.count == 3)
        let count = store.count
        let tooLarge = store.put(
            record(99, bytesCount: 1_001), holder: VirtualNetwork.randomPeer(&generator), now: .zero)
        #expect(tooLarge == nil)
        #expect(store.count == count)
    }

    @Test("A flood of large values displaces its own, not many small ones of another")
    func recordByteShares() {
        var generator = SeededGenerator(seed: 130)
        var limits = RecordStore.Limits()
        limits.bytesTotalMax = 10_000
        var store = RecordStore(localKey: localKey, limits: limits)
        let (honest, flooder) = (VirtualNetwork.randomPeer(&generator), VirtualNetwork.randomPeer(&generator))
        for number in 0..<50 { #expect(store.put(record(number), holder: honest, now: .zero) == 0) }
        for number in 100..<150 {
            #expect(store.put(record(number, bytesCount: 4_000), holder: flooder, now: .zero) != nil)
            store.checkInvariants()
        }
        #expect(store.count == 52)
        #expect((0..<50).allSatisfy { store.value(for: record($0).key, now: .zero) != nil })
    }

    @Test("A flood from one peer displaces its own records, never another's")
    func recordShares() {
        var generator = SeededGenerator(seed: 123)
        var limits = RecordStore.Limits()
        limits.recordsMax = 100
        var store = RecordStore(localKey: localKey, limits: limits)
        let honest = (0..<20).map { record($0) }
        for record in honest {
            #expect(store.put(record, holder: VirtualNetwork.randomPeer(&generator), now: .zero) == 0)
        }
        let flooder = VirtualNetwork.randomPeer(&generator)
        for number in 1_000..<2_500 { _ = store.put(record(number), holder: flooder, now: .zero) }
        #expect(store.count == 100)
        #expect(honest.allSatisfy { store.value(for: $0.key, now: .zero) != nil })
    }

    @Test("Records expire after their lifetime")
    func recordExpiry() {
        var store = RecordStore(localKey: localKey)
        var generator = SeededGenerator(seed: 124)
        let holder = VirtualNetwork.randomPeer(&generator)
        #expect(store.put(record(1), holder: holder, now: .zero) == 0)
        let end = MonotonicInstant.zero.advanced(milliseconds: store.limits.lifetimeMilliseconds)
        #expect(store.value(for: record(1).key, now: end) == nil)
        store.expire(now: end)
        #expect(store.count == 0)
        store.checkInvariants()
    }

    private func provider(_ number: Int, group: Int, _ generator: inout SeededGenerator) -> PeerInfo {
        let address = Multiaddr([.ip4([20, 0, UInt8(group), UInt8(number % 256)]), .tcp(4001)])
        return PeerInfo(peerID: VirtualNetwork.randomPeer(&generator), addresses: [address])
    }

    @Test("Twenty throwaway identities of one network do not displace a real holder")
    func providersPerKey() {
        var generator = SeededGenerator(seed: 125)
        var store = ProviderStore(localKey: localKey)
        let key = Multihash.sha256(of: bytes("wanted")).bytes
        let honest = provider(1, group: 1, &generator)
        #expect(store.add(honest, key: key, now: .zero) == 0)
        for number in 0..<500 {
            _ = store.add(provider(number, group: 2, &generator), key: key, now: .zero.advanced(milliseconds: 1))
        }
        store.checkInvariants()
        let providers = store.providers(of: key, now: .zero)
        #expect(providers.count == 20)
        #expect(providers.contains(honest))
    }

    @Test("All provider records together are bounded, and a flood displaces its own")
    func providersInAll() {
        var generator = SeededGenerator(seed: 126)
        var limits = ProviderStore.Limits()
        limits.recordsMax = 200
        var store = ProviderStore(localKey: localKey, limits: limits)
        let honest = (0..<20).map { number in
            (key: Multihash.sha256(of: bytes("honest \(number)")).bytes, info: provider(1, group: number, &generator))
        }
        for entry in honest { #expect(store.add(entry.info, key: entry.key, now: .zero) == 0) }
        for number in 0..<1_500 {
            let key = Multihash.sha256(of: bytes("flood \(number)")).bytes
            _ = store.add(provider(number, group: 99, &generator), key: key, now: .zero)
        }
        store.checkInvariants()
        #expect(store.count == 200)
        #expect(honest.allSatisfy { store.providers(of: $0.key, now: .zero) == [$0.info] })
    }

    @Test("A provider of many blocks is never refused: its newest stay, its oldest go")
    func providersNewest() {
        var generator = SeededGenerator(seed: 131)
        var limits = ProviderStore.Limits()
        limits.recordsMax = 50
        limits.addressesPerPeerMax = 2
        var store = ProviderStore(localKey: localKey, limits: limits)
        var busy = provider(1, group: 7, &generator)
        busy.addresses += (1...5).map(VirtualNetwork.address)
        func key(_ number: Int) -> [UInt8] { Multihash.sha256(of: bytes("block \(number)")).bytes }
        for number in 0..<500 {
            #expect(store.add(busy, key: key(number), now: .zero) == (number < 50 ? 0 : 1))
            store.checkInvariants()
        }
        #expect((450..<500).allSatisfy { store.providers(of: key($0), now: .zero).count == 1 })
        #expect(store.providers(of: key(499), now: .zero).first?.addresses == Array(busy.addresses.prefix(2)))
    }

    @Test("A repeated announcement refreshes the time and the addresses")
    func providerRefresh() {
        var generator = SeededGenerator(seed: 127)
        var store = ProviderStore(localKey: localKey)
        let key = Multihash.sha256(of: bytes("again")).bytes
        let first = provider(1, group: 1, &generator)
        #expect(store.add(first, key: key, now: .zero) == 0)
        let moved = PeerInfo(peerID: first.peerID, addresses: [VirtualNetwork.address(500)])
        let later = MonotonicInstant.zero.advanced(milliseconds: store.limits.lifetimeMilliseconds - 1)
        #expect(store.add(moved, key: key, now: later) == 0)
        #expect(store.count == 1)
        #expect(store.providers(of: key, now: later.advanced(milliseconds: 5)) == [moved])
        store.expire(now: later.advanced(milliseconds: store.limits.lifetimeMilliseconds))
        #expect(store.count == 0)
        store.checkInvariants()
    }
}
