import Determinism
import Multiformats
import Testing

@testable import NodeCore

/// When a node tells the DHT of what its store has: at the start and every 22 hours, at a bounded pace.
@Suite struct RootAnnouncementsTests {
    /// A store and a clock that a test moves, and what was announced when.
    private struct World {
        struct Announced: Hashable {
            let sequence: Int64
            let isFile: Bool
            let isRepeated: Bool
            let at: Int64
        }

        var announcements = RootAnnouncements()
        /// Sequences of files and of outputs and receipts, the newest last.
        var files: [Int64]
        var jobRoots: [Int64]
        var now = MonotonicInstant.zero
        var announced: [Announced] = []

        private static func cid(_ sequence: Int64) -> CID { CID.hashing(Array("\(sequence)".utf8), codec: .raw) }

        private func page(_ sequences: [Int64], before: Int64) -> [RootAnnouncements.Root] {
            sequences.filter { $0 < before }.sorted(by: >).prefix(announcements.limits.rootsPerPageMax).map {
                RootAnnouncements.Root(sequence: $0, cid: Self.cid($0))
            }
        }

        /// Does what is due until the clock stands there.
        mutating func run(until milliseconds: Int64) {
            let numbers = Dictionary(uniqueKeysWithValues: (files + jobRoots).map { (Self.cid($0), $0) })
            while now.milliseconds(since: .zero) < milliseconds {
                switch announcements.next(now: now) {
                case .read(let isFiles, let before):
                    _ = announcements.wasRead(page(isFiles ? files : jobRoots, before: before), now: now)
                case .announce(let cid, let isFile, let isRepeated):
                    let wait = announcements.placeMilliseconds(isFile: isFile, now: now)
                    now = now.advanced(milliseconds: wait)
                    announced.append(
                        Announced(
                            sequence: numbers[cid] ?? -1, isFile: isFile, isRepeated: isRepeated,
                            at: now.milliseconds(since: .zero)))
                case .rest(let rest):
                    now = now.advanced(milliseconds: min(rest, milliseconds - now.milliseconds(since: .zero)))
                }
            }
        }
    }

    @Test func allOfTheStoreIsAnnouncedAtTheStartAndEvery22Hours() {
        let limits = RootAnnouncements.Limits()
        #expect(limits.roundMilliseconds == 22 * 60 * 60 * 1000)
        var world = World(files: [1, 4, 5], jobRoots: [2, 3, 6, 7])
        world.run(until: 60_000)
        #expect(world.announced.map(\.sequence) == [5, 4, 1, 7, 6, 3, 2], "files first, the newest of each first")
        #expect(world.announced.first?.at == 0)
        #expect(world.announced.allSatisfy { !$0.isRepeated })
        let first = world.announced
        world.run(until: limits.roundMilliseconds)
        #expect(world.announced == first, "nothing more before 22 hours are over")
        // What came meanwhile is in the next round, and what is gone is not.
        world.files = [4, 5, 8]
        world.run(until: 2 * limits.roundMilliseconds)
        let second = world.announced.dropFirst(first.count)
        #expect(second.map(\.sequence) == [8, 5, 4, 7, 6, 3, 2])
        #expect(second.first?.at == limits.roundMilliseconds)
        #expect(second.allSatisfy { $0.isRepeated })
        world.run(until: 3 * limits.roundMilliseconds)
        #expect(world.announced.count == 21)
        #expect(world.announced[14].at == 2 * limits.roundMilliseconds)
        #expect(world.announcements.roundCount == 3)
    }

    @Test func outputsAndReceiptsGoOutAtTwoASecondTheNewOnesAmongThem() {
        let limits = RootAnnouncements.Limits()
        #expect(limits.jobRootPauseMilliseconds == 500)
        #expect(limits.filePauseMilliseconds == 100)
        var world = World(files: Array(0..<300), jobRoots: Array(1_000..<2_000))
        world.run(until: 1_000_000)
        let files = world.announced.filter(\.isFile)
        #expect(files.map(\.sequence) == (0..<300).reversed())
        #expect(files.map(\.at) == (0..<300).map { $0 * limits.filePauseMilliseconds })
        let roots = world.announced.filter { !$0.isFile }
        #expect(roots.map(\.sequence) == (1_000..<2_000).reversed())
        let begun = roots[0].at
        #expect(roots.map(\.at) == (0..<1_000).map { begun + $0 * limits.jobRootPauseMilliseconds })
        // New ones take places of the same pace, so that both together are two a second.
        var announcements = RootAnnouncements()
        let now = MonotonicInstant.zero.advanced(milliseconds: 5_000)
        let places = (0..<10).map { _ in announcements.placeMilliseconds(isFile: false, now: now) }
        #expect(places == (0..<10).map { $0 * 500 })
        #expect(announcements.placeMilliseconds(isFile: true, now: now) == 0, "files have a pace of their own")
        let later = now.advanced(milliseconds: 60_000)
        #expect(announcements.placeMilliseconds(isFile: false, now: later) == 0, "what was not used is not saved up")
        #expect(announcements.placeMilliseconds(isFile: false, now: later) == 500)
    }

    @Test func aRoundThatTakesTooLongIsFollowedByTheNextAfterAMoment() {
        let limits = RootAnnouncements.Limits()
        // Some more than the pace allows in 22 hours.
        let count = limits.roundMilliseconds / limits.jobRootPauseMilliseconds + 100
        var announcements = RootAnnouncements()
        var now = MonotonicInstant.zero
        #expect(announcements.next(now: now) == .read(files: true, before: .max))
        let isOverEarly = announcements.wasRead([], now: now)
        #expect(!isOverEarly)
        #expect(announcements.next(now: now) == .read(files: false, before: .max))
        now = now.advanced(milliseconds: count * limits.jobRootPauseMilliseconds)
        let isOver = announcements.wasRead([], now: now)
        #expect(isOver)
        #expect(announcements.next(now: now) == .rest(milliseconds: limits.lookMilliseconds))
        now = now.advanced(milliseconds: limits.lookMilliseconds)
        #expect(announcements.next(now: now) == .read(files: true, before: .max))
    }
}
