import MeshTypes
import Multiformats
import Testing

@testable import NodeCore

/// What waits for which write.
@Suite("The order of writes and effects")
struct WriteOrderTests {
    private let jobs = (0..<3 as Range<UInt8>).map { JobID(CID.hashing([$0], codec: .dagCBOR)) }

    @Test("What is said of a job waits for its last write that somebody relies on, and for no other job's")
    func barriers() {
        var order = WriteOrder<String>()
        #expect(order.next(relied: [jobs[0]]) == 1)
        #expect(order.next(relied: []) == 2)
        #expect(order.next(relied: [jobs[0], jobs[1]]) == 3)
        #expect(order.barrier(of: jobs[0]) == 3)
        #expect(order.barrier(of: jobs[1]) == 3)
        #expect(order.barrier(of: jobs[2]) == nil)
        order.hold("first", until: 1)
        order.hold("third", until: 3)
        order.hold("third again", until: 3)
        #expect(order.wrote(upTo: 2) == ["first"])
        #expect(order.barrier(of: jobs[0]) == 3, "the earlier write of the job is not its last")
        #expect(!order.isPersisted)
        #expect(order.wrote(upTo: 3) == ["third", "third again"])
        #expect(order.barrier(of: jobs[0]) == nil)
        #expect(order.isPersisted)
        #expect(order.count == 0)
    }

    @Test("Numbers that are told again, or late, free nothing")
    func again() {
        var order = WriteOrder<String>()
        for _ in 0..<3 { _ = order.next(relied: []) }
        order.hold("effect", until: 2)
        #expect(order.wrote(upTo: 3) == ["effect"])
        #expect(order.wrote(upTo: 3).isEmpty)
        #expect(order.wrote(upTo: 1).isEmpty)
        #expect(order.written == 3)
    }
}
