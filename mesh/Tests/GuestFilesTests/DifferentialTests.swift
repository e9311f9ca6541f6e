import Determinism
import Testing

@testable import GuestFiles

/// The guest's file system beside a folder of this machine: every step must be answered alike, and leave the same.
@Suite struct DifferentialTests {
    /// Does the steps in both; returns the first that they answer differently, or what they differ in at the end.
    static func difference(
        _ steps: [FileStep], after setUp: GuestFolder? = nil, made: [FileStep] = setUp
    ) throws -> String? {
        var guest = try setUp ?? GuestFolder()
        let native = NativeFolder()
        var opened = guest.openedCount
        if setUp != nil {
            for step in made { _ = native.perform(step) }
            native.forgetDescriptors(from: opened)
        }
        let goesUpward = steps.contains { $0.paths.contains { $0.contains("..") } }
        for (index, step) in steps.enumerated() {
            let ours = guest.perform(step)
            // What leads out of the folder is refused to a guest, and must not be done to the machine.
            let isRefused = goesUpward && ours.description == "\(WASIErrno.notPermitted)"
            if case .open = step {
                opened += 1
                if isRefused { native.skipOpening() }
            }
            if isRefused { continue }
            let theirs = native.perform(step)
            if ours != theirs { return "step \(index), \(step): \(ours), and the machine: \(theirs)" }
        }
        if steps.allSatisfy(\.onlyLooks) { return nil }
        guest.checksInvariants = false
        let ours = guest.picture(first: opened)
        var machine = native
        let theirs = machine.picture(first: opened)
        for (left, right) in zip(ours, theirs) where left != right {
            return "at the end: \(left), and on the machine: \(right)"
        }
        return ours.count == theirs.count ? nil : "at the end: \(ours), and on the machine: \(theirs)"
    }

    // MARK: Every call on every kind of node

    static let setUp: [FileStep] = [
        .create("f"), .put(1, "content of f"), .close(1), .mkdir("d"), .mkdir("full"), .mkdir("full/deep"),
        .create("full/x"), .close(2), .sym("f", "lf"), .sym("d", "ld"), .sym("full", "lfull"),
        .sym("missing", "dangling"), .sym("loop", "loop"), .sym("f/", "lslash"), .sym("full/x", "lx"),
        .sym("d/new", "lnew"), .sym(".", "lself"), .ln("f", "hard"),
    ]

    static let names = [
        "f", "d", "full", "full/x", "lf", "ld", "lfull", "dangling", "loop", "lslash", "lx", "lnew", "lself", "hard",
        "missing", "missing/x", "f/x", "ld/x", "lfull/x", "d/.", "d/./.", "full/..", "full/deep/..", "d//",
        "full//x", "./f", ".", "lself/f", "lself/.", "loop/x", "dangling/x", "",
    ]

    static let suffixes = ["", "/", "/."]

    static func calls(_ path: String) -> [(String, FileStep)] {
        var calls: [(String, FileStep)] = [
            ("stat", .stat(path)), ("lstat", .lstat(path)), ("mkdir", .mkdir(path)), ("rmdir", .rmdir(path)),
            ("unlink", .rm(path)), ("readlink", .readLink(path, base: 0)), ("symlink to", .sym("f", path)),
            ("link from", .ln(path, "fresh")), ("link to", .ln("f", path)),
            ("link from, following,", .link(path, "fresh", follows: true, base: 0, newBase: 0)),
            ("rename from", .mv(path, "fresh")), ("rename file to", .mv("f", path)),
            ("rename directory to", .mv("d", path)), ("rename full directory to", .mv("full", path)),
            ("rename link to", .mv("lf", path)),
        ]
        for access in FileStep.Access.allCases {
            for follows in [true, false] {
                let how = FileStep.Opening(access: access, follows: follows)
                let words = "\(access.rawValue)\(follows ? "" : ", not following,")"
                func with(_ change: (inout FileStep.Opening) -> Void) -> FileStep {
                    var how = how
                    change(&how)
                    return .open(path, how, base: 0)
                }
                calls.append(("open to \(words)", with { _ in }))
                calls.append(("create to \(words)", with { $0.creates = true }))
                calls.append(("truncate to \(words)", with { $0.truncates = true }))
                calls.append(("open as directory to \(words)", with { $0.isDirectory = true }))
                calls.append(
                    (
                        "create anew to \(words)",
                        with {
                            $0.creates = true
                            $0.isExclusive = true
                        }
                    ))
            }
        }
        return calls
    }

    @Test(arguments: names)
    func everyCallIsAnsweredAsByTheMachine(name: String) throws {
        var setUp = try GuestFolder()
        let native = NativeFolder()
        for step in Self.setUp { #expect(setUp.perform(step) == native.perform(step), "\(step)") }
        for suffix in Self.suffixes where !(name.isEmpty && !suffix.isEmpty) {
            for (call, step) in Self.calls(name + suffix) {
                let difference = try Self.difference([step], after: setUp)
                #expect(difference == nil, "\(call) \(name)\(suffix)")
            }
        }
    }

    @Test func thereAreManyCases() {
        #expect(Self.names.count * Self.suffixes.count * Self.calls("f").count > 3_000)
        #expect(Self.sequences.count >= 60)
    }

    @Test(arguments: sequences.map(\.0))
    func everySequenceIsAnsweredAsByTheMachine(name: String) throws {
        let steps = try #require(Self.sequences.first { $0.0 == name }).1
        let difference = try Self.difference(steps)
        #expect(difference == nil)
    }
}
