import Determinism
import Testing

@testable import GuestFiles

/// Sequences of steps by chance, in the guest's file system and in a folder of this machine.
@Suite struct RandomStepsTests {
    /// Chooses steps among few names, so that they meet.
    struct Chooser {
        var generator: SeededGenerator
        var opened = 1

        mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &generator) }

        mutating func oneOf<Value>(_ values: [Value]) -> Value { values[below(values.count)] }

        mutating func path() -> String {
            let names = ["a", "b", "c", "d", "l"]
            var parts = [oneOf(names)]
            while parts.count < 4, below(5) < 2 { parts.append(oneOf(names + ["."])) }
            if below(12) == 0, parts.count > 1 { parts.insert("..", at: 1) }
            return parts.joined(separator: below(20) == 0 ? "//" : "/") + (below(15) == 0 ? "/" : "")
        }

        mutating func base() -> Int { below(4) == 0 ? below(opened) : 0 }

        mutating func descriptor() -> Int { below(4) == 0 ? below(opened) : max(0, opened - 1 - below(4)) }

        mutating func bytes() -> [UInt8] {
            (0..<oneOf([1, 3, 100, 4_096, 5_000])).map { _ in UInt8.random(in: 1...255, using: &generator) }
        }

        mutating func offset() -> UInt64 { UInt64(oneOf([0, 1, 4_095, 4_096, 8_000, 12_288]) + below(3)) }

        mutating func step() -> FileStep {
            switch below(24) {
            case 0...5:
                opened += 1
                let how = FileStep.Opening(
                    access: oneOf([.both, .both, .read, .write]), creates: below(2) == 0, isExclusive: below(8) == 0,
                    truncates: below(6) == 0, appends: below(6) == 0, follows: below(4) > 0)
                return .open(path(), how, base: base())
            case 6:
                opened += 1
                return .open(path(), .init(isDirectory: true, follows: below(2) == 0), base: base())
            case 7: return .close(max(1, descriptor()))
            case 8: return .read(descriptor(), oneOf([1, 10, 5_000]))
            case 9, 10: return .write(descriptor(), bytes())
            case 11: return .readAt(descriptor(), oneOf([10, 5_000]), offset())
            case 12: return .writeAt(descriptor(), bytes(), offset())
            case 13: return .setSize(descriptor(), offset())
            case 14: return .statusOf(descriptor())
            case 15: return .list(descriptor())
            case 16: return .status(path(), follows: below(2) == 0, base: base())
            case 17, 18: return .createDirectory(path(), base: base())
            case 19: return .removeDirectory(path(), base: base())
            case 20: return .unlink(path(), base: base())
            case 21: return .rename(path(), path(), base: base(), newBase: base())
            case 22: return .link(path(), path(), follows: below(2) == 0, base: base(), newBase: base())
            default: return .symlink(target: path(), path(), base: base())
            }
        }
    }

    @Test(arguments: 1...60 as ClosedRange<UInt64>)
    func stepsByChanceAreAnsweredAsByTheMachine(seed: UInt64) throws {
        var chooser = Chooser(generator: SeededGenerator(seed: seed))
        let steps = (0..<150).map { _ in chooser.step() }
        let difference = try DifferentialTests.difference(steps)
        #expect(difference == nil, "seed \(seed)")
    }
}
