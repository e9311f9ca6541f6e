import Determinism
import Multiformats
import Peers
import Testing

@testable import LibP2P

@Suite("Peer book")
struct PeerBookTests {
    private func peer(_ number: Int) throws -> PeerID {
        let digits = (0..<32).map { UInt8(truncatingIfNeeded: number >> (8 * ($0 % 4))) }
        return try PeerID(bytes: [0, 36, 8, 1, 18, 32] + digits)
    }

    private func address(_ port: UInt16) -> Multiaddr { Multiaddr([.ip4([1, 2, 3, 4]), .tcp(port)]) }

    @Test("Records of ever new peers stay within the bound, and connected ones stay (CVE-2023-40583)")
    func bounded() throws {
        var book = PeerBook(peersMax: 100, addressesMax: 4)
        let first = try peer(0)
        for number in 0..<20_000 {
            book.add([address(1)], for: try peer(number)) { $0 == first }
            #expect(book.count <= 100)
        }
        #expect(book.addresses(of: first) == [address(1)])
        #expect(book.addresses(of: try peer(19_999)) == [address(1)])
        #expect(book.addresses(of: try peer(1)).isEmpty)
    }

    @Test("Adding the same peer for ever does not grow the book's order")
    func repeated() throws {
        var book = PeerBook(peersMax: 4, addressesMax: 4)
        let one = try peer(1)
        for port in 1...10_000 as ClosedRange<UInt16> { book.add([address(port)], for: one) { _ in true } }
        #expect(book.addresses(of: one) == (9_997...10_000).map(address))
        #expect(book.orderCount <= 2 * 4 + 17)
    }

    @Test("Addresses of another peer are left out")
    func foreignAddress() throws {
        var book = PeerBook(peersMax: 4, addressesMax: 4)
        let (one, two) = (try peer(1), try peer(2))
        book.add([address(1).withPeerID(two), address(2).withPeerID(one)], for: one) { _ in false }
        #expect(book.addresses(of: one) == [address(2)])
    }

    @Test("An address at which a dial finds nothing rests twice as long each time, at most an hour; 256 are remembered")
    func rests() {
        var rests = AddressRests()
        var now = MonotonicInstant.zero
        for minutes in [2, 4, 8, 16, 32, 60, 60] as [Int64] {
            #expect(!rests.isResting(address(1), now: now))
            rests.failed(address(1), now: now)
            #expect(rests.isResting(address(1), now: now.advanced(milliseconds: minutes * 60_000 - 1)))
            now = now.advanced(milliseconds: minutes * 60_000)
        }
        #expect(!rests.isResting(address(1), now: now))
        rests.succeeded(address(1))
        rests.failed(address(1), now: now)
        #expect(!rests.isResting(address(1), now: now.advanced(milliseconds: 120_000)), "it begins anew")
        for port in UInt16(2)...1_000 { rests.failed(address(port), now: now) }
        #expect(rests.count == 256)
        #expect(!rests.isResting(address(744), now: now) && rests.isResting(address(745), now: now))
    }
}
