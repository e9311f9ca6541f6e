import GRDB
import Multiformats
import Testing

@testable import MeshStore

/// What is kept of workflows.
@Suite struct WorkflowRowTests {
    private let folder: StoreFolder

    init() throws { folder = try StoreFolder() }

    private func row(_ number: UInt8, isOver: Bool = false) -> WorkflowRow {
        WorkflowRow(
            id: CID.hashing([number], codec: .dagCBOR), key: "key \(number)", manifest: [number, 1, 2],
            status: isOver ? "succeeded" : "running", isOver: isOver, submittedAt: 1_000 + UInt64(number))
    }

    @Test func rowsAndJournalsComeBackInTheirOrder() async throws {
        let first = try folder.open()
        try await first.commit([.workflow(row(1)), .workflow(row(2)), .workflow(row(3))])
        try await first.commit([
            .workflowEvent(id: row(2).id, bytes: [1]), .workflowEvent(id: row(1).id, bytes: [9]),
            .workflowEvent(id: row(2).id, bytes: [2]), .workflow(row(1, isOver: true)),
        ])
        try first.close()
        let store = try folder.open()
        #expect(try await StoredWorkflows(store).newest(onlyOpen: true, limit: 10) == [row(3), row(2)])
        #expect(try await StoredWorkflows(store).newest(onlyOpen: false, limit: 2) == [row(3), row(2)])
        #expect(
            try await StoredWorkflows(store).newest(onlyOpen: false, before: 1_002, limit: 2) == [row(1, isOver: true)])
        #expect(try await StoredWorkflows(store).row(row(1).id) == row(1, isOver: true))
        #expect(try await StoredWorkflows(store).row(key: "key 2") == row(2))
        #expect(try await StoredWorkflows(store).row(key: "key 4") == nil)
        #expect(try await StoredWorkflows(store).journal(of: row(2).id) == [[1], [2]])
        await #expect(throws: MeshStoreError.self) {
            var other = row(4)
            other.key = "key 2"
            try await store.commit([.workflow(other)])
        }
    }

    @Test func aJournalEndsBeforeADamagedRow() async throws {
        let first = try folder.open()
        try await first.commit([.workflow(row(1))] + (1...3).map { .workflowEvent(id: row(1).id, bytes: [$0]) })
        try first.close()
        try folder.change(
            "UPDATE workflow_journal SET bytes = x'07' WHERE seq = 2; UPDATE workflows SET manifest = x'07'")
        let store = try folder.open()
        #expect(try await StoredWorkflows(store).journal(of: row(1).id) == [[1]])
        #expect(store.counters.corruptRecords == 1)
        await #expect(throws: MeshStoreError.self) { try await StoredWorkflows(store).row(row(1).id) }
    }

    @Test func whatIsOverIsPrunedByNumberAndByEvents() async throws {
        var limits = StoreLimits()
        (limits.endedWorkflowsMax, limits.workflowEventsMax) = (2, 4)
        let store = try folder.open(limits: limits)
        try await store.commit((1...4).map { .workflow(row($0)) })
        for number: UInt8 in 2...4 {
            let event = StoreWrite.workflowEvent(id: row(number).id, bytes: [1])
            try await store.commit([event, .workflow(row(number, isOver: true))])
        }
        let kept = try await StoredWorkflows(store).newest(onlyOpen: false, limit: 10)
        #expect(kept == [row(4, isOver: true), row(3, isOver: true), row(1)], "the one that ended first goes")
        #expect(try await StoredWorkflows(store).journal(of: row(2).id) == [])
        try await store.commit((1...4).map { .workflowEvent(id: row(1).id, bytes: [$0]) })
        try await store.commit([.workflow(row(4, isOver: true))])
        let left = try await StoredWorkflows(store).newest(onlyOpen: false, limit: 10)
        #expect(left == [row(4, isOver: true), row(1)], "what ended many events ago goes, but for what is ending")
        #expect(try await StoredWorkflows(store).journal(of: row(1).id) == [[1], [2], [3], [4]])
    }

    @Test func whatWasBegunFirstAndEndsLastStays() async throws {
        var limits = StoreLimits()
        (limits.endedWorkflowsMax, limits.workflowEventsMax) = (2, 4)
        let store = try folder.open(limits: limits)
        try await store.commit((1...4).map { .workflow(row($0)) })
        try await store.commit([.workflowEvent(id: row(1).id, bytes: [0])])
        for number: UInt8 in [4, 3, 2, 1] {
            let events = (1...2).map { StoreWrite.workflowEvent(id: row(number).id, bytes: [$0]) }
            try await store.commit(events + [.workflow(row(number, isOver: true))])
            let id = row(number).id
            #expect(try await StoredWorkflows(store).row(id) == row(number, isOver: true), "it is just ending")
        }
        #expect(try await StoredWorkflows(store).journal(of: row(1).id) == [[0], [1], [2]])
        let kept = try await StoredWorkflows(store).newest(onlyOpen: false, limit: 10)
        #expect(kept == [row(2, isOver: true), row(1, isOver: true)], "those that ended last stay")
    }

    @Test func aDatabaseOfVersionTwelveTakesWorkflows() async throws {
        try folder.open().close()
        try folder.change("DROP TABLE workflows; DROP TABLE workflow_journal; PRAGMA user_version = 12;")
        let store = try folder.open()
        #expect(try await StoredWorkflows(store).newest(onlyOpen: false, limit: 10) == [])
        try await store.commit([.workflow(row(1))])
        #expect(try await StoredWorkflows(store).row(row(1).id) == row(1))
        #expect(try await store.read { try Int.fetchOne($0, sql: "PRAGMA user_version") } == StoreSchema.version)
    }
}
