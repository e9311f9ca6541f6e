import Determinism
import Glibc
import IPLD
import Multiformats
import Testing

@testable import GuestFiles

/// The same steps by a real guest over CoVM, beside a folder of this machine: the answers, and what is collected.
@Suite("Files as a guest sees them")
struct GuestLevelTests {
    /// One run of a guest.
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let steps: [FileStep]
    }

    static var isWhole: Bool { getenv("MESH_WHOLE_CORPUS") != nil }

    /// Every call on every kind of node, each after the same preparation.
    private static let calls: [Case] = DifferentialTests.names.flatMap { name in
        DifferentialTests.suffixes.filter { !name.isEmpty || $0.isEmpty }.flatMap { suffix in
            DifferentialTests.calls(name + suffix).map { call, step in
                Case(testDescription: "\(call) \(name)\(suffix)", steps: DifferentialTests.setUp + [step])
            }
        }
    }

    private static let sequences: [Case] = DifferentialTests.sequences.map {
        Case(testDescription: $0.0, steps: $0.1)
    }

    private static let chance: [Case] = (1...60 as ClosedRange<UInt64>).map { seed in
        var chooser = RandomStepsTests.Chooser(generator: SeededGenerator(seed: seed))
        return Case(testDescription: "chance \(seed)", steps: (0..<150).map { _ in chooser.step() })
    }

    static let cases: [Case] = {
        let some = calls.enumerated().filter { isWhole || $0.offset.isMultiple(of: 37) }.map(\.element)
        var seen: Set<[FileStep]> = []
        return (sequences + chance.prefix(isWhole ? chance.count : 10) + some).filter { seen.insert($0.steps).inserted }
    }()

    private static func difference(_ item: Case, _ machine: GuestScript.Machine) async throws -> String? {
        let guest = try await machine.perform(item.steps)
        let native = NativeFolder()
        let goesUpward = item.steps.contains { $0.paths.contains { $0.contains("..") } }
        for (index, step) in item.steps.enumerated() {
            let ours = guest.answers[index]
            // What leads out of the folder is refused to a guest, and must not be done to the machine.
            if goesUpward, ours.description == "\(WASIErrno.notPermitted)" {
                if case .open = step { native.skipOpening() }
                continue
            }
            let theirs = GuestScript.told(native.perform(step), of: step)
            if isOfClosedDescriptors(step, ours, theirs) { continue }
            if ours != theirs { return "step \(index), \(step): \(ours), and the machine: \(theirs)" }
        }
        let left = try native.tree()
        return guest.folder == left ? nil : "the guest left \(guest.folder?.text ?? "nothing"), the machine \(left)"
    }

    /// Whether both are refused, and the machine because the second descriptor is closed: which of two faults is found
    /// first is nobody's rule.
    private static func isOfClosedDescriptors(_ step: FileStep, _ ours: FileAnswer, _ theirs: FileAnswer) -> Bool {
        switch step {
        case .rename, .link:
            theirs.description == "\(WASIErrno.badDescriptor)" && !ours.description.hasPrefix("ok")
        default: false
        }
    }

    @Test func thereAreManyCases() {
        #expect(Self.cases.count >= 150)
    }

    @Test func everyScriptIsAnsweredAsByTheMachineAndLeavesTheSame() async throws {
        let machine = try GuestScript.Machine()
        for item in Self.cases {
            let difference = try await Self.difference(item, machine)
            #expect(difference == nil, "\(item.testDescription)")
        }
        if Self.isWhole { print("\(Self.cases.count) scripts of a guest, answered as by libc") }
    }
}

extension NativeFolder {
    /// The folder as UnixFS in the profile that outputs have; only its CID is kept.
    func tree() throws -> CID { try tree(of: 0, openedAs: descriptorOfRoot).cid }

    private func tree(of depth: Int, openedAs folder: Int32) throws -> UnixFSBuilt {
        var entries: [UnixFSEntry] = []
        for name in Self.names(in: folder) {
            let built = try node(name, in: folder, depth)
            entries.append(UnixFSEntry(name: Array(name.utf8), cid: built.cid, totalBytes: built.treeBytes))
        }
        return try UnixFSDirectoryBuilder.directory(entries, profile: .v1in2025).directory
    }

    private func node(_ name: String, in folder: Int32, _ depth: Int) throws -> UnixFSBuilt {
        var status = Glibc.stat()
        guard fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
            throw GuestScript.Failure(description: "\(name) is gone")
        }
        switch status.st_mode & S_IFMT {
        case S_IFLNK:
            var target = [CChar](repeating: 0, count: 4_200)
            let count = readlinkat(folder, name, &target, target.count)
            let bytes = target.prefix(max(0, count)).map { UInt8(bitPattern: $0) }
            return UnixFSDirectoryBuilder.symbolicLink(to: bytes).link
        case S_IFDIR:
            let below = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
            defer { close(below) }
            return try tree(of: depth + 1, openedAs: below)
        default:
            let file = openat(folder, name, O_RDONLY | O_NOFOLLOW)
            defer { close(file) }
            var builder = UnixFSFileBuilder(profile: .v1in2025)
            var chunk = [UInt8](repeating: 0, count: 1 << 20)
            while true {
                let count = Glibc.read(file, &chunk, chunk.count)
                guard count > 0 else { break }
                _ = builder.append(Array(chunk[..<count]))
            }
            return builder.finish().file
        }
    }
}
