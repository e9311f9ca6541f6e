import Determinism
import Multiformats
import Testing

@testable import GuestFiles

/// Calls that need what is not here: they say so, change nothing, and end as if all had been here.
@Suite struct ParkingTests {
    /// A tree with files of several pages, folders and links.
    static func tree(_ source: HeldContent) -> CID {
        let bytes = (0..<9_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        let deep = source.folder([("c", source.file("deep")), ("a", source.file(bytes))])
        return source.folder([
            ("d", source.folder([("b", deep), ("c", source.file("in d"))])), ("a", source.file(bytes)),
            ("b", source.folder([])), ("l", source.link("d/b")),
        ])
    }

    /// The same tree, made by calls in a folder of the machine.
    static let steps: [FileStep] = {
        let bytes = (0..<9_000).map { UInt8(truncatingIfNeeded: $0 / 7) }
        return [
            .mkdir("d"), .mkdir("d/b"), .mkdir("b"), .create("d/b/c"), .put(1, "deep"), .create("d/b/a"),
            .write(2, bytes), .create("d/c"), .put(3, "in d"), .create("a"), .write(4, bytes), .sym("d/b", "l"),
            .close(1), .close(2), .close(3), .close(4),
        ]
    }()

    @Test func aCallAsksForOneThingAfterAnother() throws {
        let source = HeldContent(isAllHere: false)
        let tree = Self.tree(source)
        let plan = FileSystemPlan.of([.init("/job", .tree(tree))])
        func refused() -> FileStop? {
            do throws(FileSystemPlanFault) {
                _ = try GuestFileSystem(plan, world: .at(0, source))
                return nil
            } catch {
                guard case .content(let stop) = error else { return nil }
                return stop
            }
        }
        #expect(refused() == .needs([.node(tree)]))
        source.fetch([.node(tree)])
        #expect(refused() == .needs([.listing(tree)]))
        source.fetch([.listing(tree)])
        var files = try GuestFileSystem(plan, world: .at(0, source))
        var asked: [ContentWant] = []
        while case .needs(let wants)? = stop({ () throws(FileStop) in
            _ = try files.open(.init("d/b/a"), rights: [.read, .write], in: .at(0, source))
        }) {
            files.checkInvariants()
            #expect(files.openDescriptorCount == 4)
            asked += wants
            source.fetch(wants)
        }
        #expect(asked.count == 5)
        guard case .node(let file)? = asked.last else {
            Issue.record("\(asked)")
            return
        }
        // A read asks for what it reads, and moves only when it has it.
        let read = stop { () throws(FileStop) in _ = try files.read(4, count: 5_000, in: .at(0, source)) }
        #expect(read == .needs([.bytes(file, 0..<5_000)]))
        #expect(try files.tell(4) == 0)
        // A write asks for what stands around it in its pages.
        let write = stop { () throws(FileStop) in
            _ = try files.write(4, [UInt8](repeating: 1, count: 4_500), at: 4_000, in: .at(0, source))
        }
        #expect(write == .needs([.bytes(file, 0..<4_096), .bytes(file, 8_192..<9_000)]))
        #expect(files.usage.bytes == 0)
        #expect(try files.write(4, [UInt8](repeating: 1, count: 4_096), at: 4_096, in: .at(9, source)).count == 4_096)
        let around = stop { () throws(FileStop) in _ = try files.read(4, count: 9_000, in: .at(0, source)) }
        #expect(around == .needs([.bytes(file, 0..<4_096), .bytes(file, 8_192..<9_000)]))
        files.checkInvariants()
    }

    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func whatIsFetchedWhenDoesNotShow(seed: UInt64) throws {
        let here = HeldContent()
        let later = HeldContent(isAllHere: false)
        let tree = Self.tree(here)
        #expect(Self.tree(later) == tree)
        later.fetch([.node(tree), .listing(tree)])
        var left = try GuestFolder(content: .tree(tree), source: here)
        var right = try GuestFolder(content: .tree(tree), source: later)
        var chooser = RandomStepsTests.Chooser(generator: SeededGenerator(seed: seed))
        for index in 0..<150 {
            let step = chooser.step()
            #expect(left.perform(step) == right.perform(step), "seed \(seed), step \(index)")
        }
        #expect(left.fetches == 0)
        #expect(right.fetches > 0)
        #expect(left.files.record == right.files.record, "seed \(seed)")
        #expect(left.files.usage == right.files.usage)
        let selection = try FileSelection(.text("/job"), workingFolder: nil)
        let all = try left.files.collect(selection, in: .at(0, here))
        while case .needs(let wants)? = stop({ () throws(FileStop) in
            _ = try right.files.collect(selection, in: .at(0, later))
        }) { later.fetch(wants) }
        // Numbers of nodes are in it, too.
        #expect(try right.files.collect(selection, in: .at(0, later)) == all, "seed \(seed)")
    }

    @Test(arguments: 1...40 as ClosedRange<UInt64>)
    func aMountIsChangedAsAFolderOfTheMachine(seed: UInt64) throws {
        let source = HeldContent(isAllHere: false)
        let tree = Self.tree(source)
        source.fetch([.node(tree), .listing(tree)])
        let guest = try GuestFolder(content: .tree(tree), source: source)
        var chooser = RandomStepsTests.Chooser(generator: SeededGenerator(seed: seed &+ 1_000))
        let steps = (0..<150).map { _ in chooser.step() }
        let difference = try DifferentialTests.difference(steps, after: guest, made: Self.steps)
        #expect(difference == nil, "seed \(seed)")
    }
}
