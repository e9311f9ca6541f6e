import IPLD
import MeshTypes
import Multiformats
import PeerIdentity
import SignedObjects
import Testing

@Suite("Messages")
struct MessageTests {
    private var messages: [MeshProtocolMessage] { Samples.messages }

    @Test func everyMessageIsAMapWithOneEntryAndComesBack() throws {
        #expect(Set(messages.map(\.variant)) == Set(MeshProtocolMessage.Variant.allCases))
        for message in messages {
            let bytes = try message.encoded()
            #expect(try MeshProtocolMessage.decode(bytes) == message)
            guard case .map(let map) = try DAGCBOR.decode(bytes) else {
                Issue.record("not a map: \(message.variant)")
                continue
            }
            #expect(map.entries.map(\.key) == [message.variant.rawValue])
        }
    }

    @Test func everyReplyComesBack() throws {
        for reply in Samples.replies { #expect(try MeshProtocolReply.decode(reply.encoded()) == reply) }
    }

    @Test func whatIsNotAMessageIsToldApart() throws {
        let later = try DAGCBOREncoder().encode(["JobBidV2": ["x": 1]])
        #expect(throws: MeshMessageError.unknownVariant("JobBidV2")) { try MeshProtocolMessage.decode(later) }
        let two = try DAGCBOREncoder().encode(["JobSettledV1": ["settlement": "a"], "JobBidV1": ["bid": "b"]])
        #expect(throws: MeshMessageError.notOneEntry(count: 2)) { try MeshProtocolMessage.decode(two) }
        let empty = try DAGCBOREncoder().encode([String: Int]())
        #expect(throws: MeshMessageError.notOneEntry(count: 0)) { try MeshProtocolMessage.decode(empty) }
        let wrong = try DAGCBOREncoder().encode(["JobSettledV1": ["settlement": 7]])
        #expect(throws: MeshMessageError.self) { try MeshProtocolMessage.decode(wrong) }
        let bytes = try messages[3].encoded()
        #expect(throws: MeshMessageError.tooLarge(bytes: bytes.count, bytesMax: 10)) {
            try MeshProtocolMessage.decode(bytes, bytesMax: 10)
        }
        for count in 0..<bytes.count {
            #expect(throws: MeshMessageError.self) { try MeshProtocolMessage.decode(Array(bytes.prefix(count))) }
        }
    }

    @Test func numbersThatNoStoreHoldsAreRefusedInEveryMessage() throws {
        for message in messages {
            let tree = try DAGCBOR.decode(message.encoded())
            for path in tree.integerPaths {
                for number in [0, 1 << 53, UInt64(Int64.max), UInt64(Int64.max) + 1, .max] as [UInt64] {
                    let bytes = try DAGCBOR.encode(tree.replacing(.unsigned(number), at: path[...]))
                    do throws(MeshMessageError) {
                        _ = try MeshProtocolMessage.decode(bytes)
                        #expect(number <= Int64.max, "\(number) in \(message.variant) at \(path)")
                    } catch {
                        #expect(number > Int64.max && error == .numberTooLarge(max: UInt64(Int64.max)), "\(path)")
                        #expect(error.name == .numberTooLarge)
                    }
                }
            }
        }
        #expect(messages.count { (try? DAGCBOR.decode($0.encoded()).integerPaths.isEmpty) == false } >= 6)
    }

    @Test func numbersThatNoStoreHoldsAreRefusedInSignedObjectsThatArrive() throws {
        var bid = Samples.bid
        bid.terms.price = TokenAmount(1 << 63)
        let signed = try SignedObject.sign(bid, with: Samples.executor)
        #expect {
            try SignedObject<Bid>(verifying: signed.bytes)
        } throws: { error in
            guard case .malformedBlock(.integerTooLarge(UInt64(Int64.max), _)) = error as? SignedObjectError else {
                return false
            }
            return true
        }
        #expect(try SignedObject<Bid>(verifiedBefore: signed.bytes).body == bid, "what was stored before still reads")
        bid.terms.price = .max
        #expect(try SignedObject<Bid>(verifying: SignedObject.sign(bid, with: Samples.executor).bytes).body == bid)
    }

    @Test func textOfOthersIsCutByItsBytes() throws {
        let letter = "e" + String(repeating: "\u{301}", count: 500_000)
        let message = try DAGCBOREncoder().encode([letter: 1])
        #expect(throws: MeshMessageError.unknownVariant(letter.cut(bytesMax: 64))) {
            try MeshProtocolMessage.decode(message, bytesMax: 2 << 20)
        }
        let refusals = [letter, "x"].map { Refusal(code: RefusalCode($0), text: letter) }
        for reply in [MeshProtocolReply.refused(refusals[0]), .declined(refusals[1])] {
            #expect(try reply.encoded().count <= 4096)
            #expect(try MeshProtocolReply.decode(reply.encoded()) != reply)
        }
        let fields: IPLDMap = [
            "job_id": .link(Samples.input), "receipt_cid": .link(Samples.input),
            "executor_did": .string(Samples.executor.did.text), "status": .string(letter),
            "provider_addresses": .list([]),
        ]
        let verdict = try DAGCBOR.encode(.map(["ExecutionReceiptAvailableV1": .map(fields)]))
        do throws(MeshMessageError) {
            _ = try MeshProtocolMessage.decode(verdict, bytesMax: 2 << 20)
            Issue.record("a status of accents was taken")
        } catch {
            #expect("\(error)".utf8.count < 1200)
        }
    }

    @Test func whatAnExecutorWroteIsToldWithinABound() {
        let letter = "e" + String(repeating: "\u{301}", count: 100_000)
        for outcome in [
            ExecutionOutcome.trapped(kind: .other, message: letter), .moduleRefused(reason: letter),
            .fetchFailed(reason: letter), .nodeFailed(reason: letter),
        ] {
            #expect(outcome.description.utf8.count < 1100)
        }
    }

    @Test func unknownFieldsOfMessagesAreIgnored() throws {
        let bytes = try DAGCBOREncoder().encode(["JobSettledV1": ["settlement": IPLDBytes([1]), "zz": IPLDBytes([2])]])
        #expect(try MeshProtocolMessage.decode(bytes) == .jobSettled(JobSettledV1(settlement: [1])))
    }

    @Test func outcomesAreMapsWithOneEntry() throws {
        let outcomes: [(ExecutionOutcome, String)] = [
            (.exited(code: -1), "exited"), (.trapped(kind: .arithmetic, message: "division"), "trapped"),
            (.limitExceeded(.wallClock), "limit_exceeded"), (.cancelled, "cancelled"),
            (.moduleRefused(reason: "imports"), "module_refused"), (.fetchFailed(reason: "a"), "fetch_failed"),
            (.nodeFailed(reason: "b"), "node_failed"),
        ]
        for (outcome, name) in outcomes {
            let bytes = try DAGCBOREncoder().encode(outcome)
            #expect(try DAGCBORDecoder().decode(ExecutionOutcome.self, from: bytes) == outcome)
            guard case .map(let map) = try DAGCBOR.decode(bytes), let entry = map.entries.first else {
                Issue.record("not a map: \(outcome)")
                continue
            }
            #expect(entry.key == name)
        }
        let limit = try DAGCBOR.decode(try DAGCBOREncoder().encode(ExecutionOutcome.limitExceeded(.fuel)))
        guard case .map(let outer) = limit, case .map(let inner)? = outer.entries.first?.value else {
            Issue.record("not nested maps")
            return
        }
        #expect(inner.entries.first?.key == "limit")
        #expect(inner.entries.first?.value == .string("fuel"))
    }

    @Test func statusesMapBothWays() {
        for standard in StandardJobStatus.allCases {
            #expect(JobStatus(representing: standard).standard(result: .pending) == standard)
            for detailed in standard.detailedStatuses { #expect(detailed.standard(result: .failed) == standard) }
        }
        let mapped = StandardJobStatus.allCases.flatMap(\.detailedStatuses)
        #expect(mapped.count == JobStatus.allCases.count - 2)
        #expect(JobStatus.receiptAnchored.standard(result: .cancelled) == .cancelled)
    }
}

/// Bytes as DAG-CBOR writes them.
private struct IPLDBytes: Encodable {
    let bytes: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(bytes)
    }
}
