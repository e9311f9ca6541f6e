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

    @Test("1,024 records and not one more; the near ones stay")
    func recordLimit() {
        var generator = SeededGenerator(seed: 121)
        var store = RecordStore(localKey: localKey)
        for number in 0..<2_500 {
            _ = store.put(record(number), holder: VirtualNetwork.randomPeer(&generator), now: .zero)
        }
        store.checkInvariants()
        #expect(store.count == 1_024)
        let near = (0..<2_500).map { record($0) }.filter { region($0.key) >= 4 }
        #expect(!near.isEmpty && near.allSatisfy { store.value(for: $0.key, now: .zero) != nil })
    }

    @Test("bytes are bounded too, and a refused record displaces nothing")
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
        #expect(tooLarge == false)
        #expect(store.count == count)
    }

    @Test("a flood from one peer displaces its own records, never another's")
    func recordShares() {
        var generator = SeededGenerator(seed: 123)
        var limits = RecordStore.Limits()
        limits.recordsMax = 100
        var store = RecordStore(localKey: localKey, limits: limits)
        let honest = (0..<20).map { record($0) }
        for record in honest {
            #expect(store.put(record, holder: VirtualNetwork.randomPeer(&generator), now: .zero) == true)
        }
        let flooder = VirtualNetwork.randomPeer(&generator)
        for number in 1_000..<2_500 { _ = store.put(record(number), holder: flooder, now: .zero) }
        #expect(store.count == 100)
        #expect(honest.allSatisfy { store.value(for: $0.key, now: .zero) != nil })
    }

    @Test("records are over after their time")
    func recordExpiry() {
        var store = RecordStore(localKey: localKey)
        var generator = SeededGenerator(seed: 124)
        let holder = VirtualNetwork.randomPeer(&generator)
        #expect(store.put(record(1), holder: holder, now: .zero) == true)
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

    @Test("twenty throwaway identities of one network do not displace a real holder")
    func providersPerKey() {
        var generator = SeededGenerator(seed: 125)
        var store = ProviderStore(localKey: localKey)
        let key = Multihash.sha256(of: bytes("wanted")).bytes
        let honest = provider(1, group: 1, &generator)
        #expect(store.add(honest, key: key, now: .zero) == true)
        for number in 0..<500 {
            _ = store.add(provider(number, group: 2, &generator), key: key, now: .zero.advanced(milliseconds: 1))
        }
        store.checkInvariants()
        let providers = store.providers(of: key, now: .zero)
        #expect(providers.count == 20)
        #expect(providers.contains(honest))
    }

    @Test("all provider records together are bounded, and a flood displaces its own")
    func providersInAll() {
        var generator = SeededGenerator(seed: 126)
        var limits = ProviderStore.Limits()
        limits.recordsMax = 200
        var store = ProviderStore(localKey: localKey, limits: limits)
        let honest = (0..<20).map { number in
            (key: Multihash.sha256(of: bytes("honest \(number)")).bytes, info: provider(1, group: number, &generator))
        }
        for entry in honest { #expect(store.add(entry.info, key: entry.key, now: .zero) == true) }
        for number in 0..<1_500 {
            let key = Multihash.sha256(of: bytes("flood \(number)")).bytes
            _ = store.add(provider(number, group: 99, &generator), key: key, now: .zero)
        }
        store.checkInvariants()
        #expect(store.count == 200)
        #expect(honest.allSatisfy { store.providers(of: $0.key, now: .zero) == [$0.info] })
    }

    @Test("an announcement again refreshes the time and the addresses")
    func providerRefresh() {
        var generator = SeededGenerator(seed: 127)
        var store = ProviderStore(localKey: localKey)
        let key = Multihash.sha256(of: bytes("again")).bytes
        let first = provider(1, group: 1, &generator)
        #expect(store.add(first, key: key, now: .zero) == true)
        let moved = PeerInfo(peerID: first.peerID, addresses: [VirtualNetwork.address(500)])
        let later = MonotonicInstant.zero.advanced(milliseconds: store.limits.lifetimeMilliseconds - 1)
        #expect(store.add(moved, key: key, now: later) == true)
        #expect(store.count == 1)
        #expect(store.providers(of: key, now: later.advanced(milliseconds: 5)) == [moved])
        store.expire(now: later.advanced(milliseconds: store.limits.lifetimeMilliseconds))
        #expect(store.count == 0)
        store.checkInvariants()
    }
}
