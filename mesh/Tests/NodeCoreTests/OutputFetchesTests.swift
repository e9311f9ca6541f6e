import Determinism
import MeshTypes
import Multiformats
import PeerIdentity
import Testing

@testable import NodeCore

/// When outputs are asked for, and asked for again.
@Suite("Outputs of a receipt")
struct OutputFetchesTests {
    private let job = JobID(CID.hashing([1], codec: .dagCBOR))
    private let receipt = CID.hashing([2], codec: .dagCBOR)
    private let peer = Identity.generate().peerID
    private let cids = (3..<6).map { CID.hashing([$0], codec: .raw) }

    private func at(_ milliseconds: Int64) -> MonotonicInstant { .zero.advanced(milliseconds: milliseconds) }

    private func begin(_ fetches: inout OutputFetches, until: Int64 = 60_000) throws -> OutputRequest {
        try asked(fetches.begin(job, receipt: receipt, from: peer, cids, bytesMax: 100, until: at(until)))
    }

    private func asked(_ step: OutputFetches.Step?) throws -> OutputRequest {
        guard case .ask(let request)? = step else {
            throw Unexpected(step: "\(String(describing: step))")
        }
        return request
    }

    private struct Unexpected: Error {
        let step: String
    }

    @Test("They are fetched one after the other, each within what the others left, and told of together")
    func inOrder() throws {
        var fetches = OutputFetches()
        var request = try begin(&fetches)
        let block = MadeBlock(cid: cids[0], bytes: [3])
        for (index, bytes) in [40, 50].enumerated() {
            #expect(request.cid == cids[index])
            let step = fetches.answered(request, .here(bytes: bytes, blocks: index == 0 ? [block] : []), now: .zero)
            request = try asked(step)
        }
        #expect(request.cid == cids[2])
        #expect(request.bytesMax == 10)
        guard case .end(let end)? = fetches.answered(request, .missing(mayPass: false), now: .zero) else {
            Issue.record("it goes on")
            return
        }
        #expect(end.missing == [cids[2]])
        #expect(end.blocks == [block])
        #expect(fetches.nextDeadline == nil)
    }

    @Test("One that may come is asked for again with a growing pause until its time is over")
    func again() throws {
        var fetches = OutputFetches()
        let request = try begin(&fetches, until: 1_000)
        var asks: [Int64] = []
        var now: Int64 = 0
        while fetches.answered(request, .missing(mayPass: true), now: at(now)) == nil {
            now = try #require(fetches.nextDeadline).milliseconds(since: .zero)
            asks.append(now)
            #expect(fetches.due(now: at(now - 1)).isEmpty)
            #expect(fetches.due(now: at(now)).count == 1)
        }
        #expect(asks == [100, 300, 700])
    }

    @Test("An answer that nobody waits for changes nothing")
    func late() throws {
        var fetches = OutputFetches()
        let request = try begin(&fetches)
        #expect(fetches.begin(job, receipt: receipt, from: peer, cids, bytesMax: 100, until: at(1)) == nil)
        _ = fetches.answered(request, .here(bytes: 1, blocks: []), now: .zero)
        #expect(fetches.answered(request, .here(bytes: 1, blocks: []), now: .zero) == nil)
        fetches.drop(receipt)
        #expect(fetches.job(of: receipt) == nil)
        #expect(fetches.nextDeadline == nil)
    }
}
