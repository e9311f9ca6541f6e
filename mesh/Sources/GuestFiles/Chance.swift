import Determinism

/// The bytes of `/dev/random` and `/dev/urandom`: one stream for both, that follows from the run's seed, and is not the
/// stream of `random_get`.
struct Chance: Sendable {
    private var generator: SeededGenerator

    init(seed: UInt64) {
        // The seed itself begins the stream of `random_get`.
        var mixer = SeededGenerator(seed: seed ^ 0x2F64_6576_2F72_6E64)
        generator = SeededGenerator(seed: mixer.next())
    }

    /// The next ones. Each read begins with a new number, so that what it gives depends on the reads before it alone.
    mutating func bytes(_ count: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            let word = generator.next()
            for shift in 0..<min(8, count - bytes.count) {
                bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(8 * shift)))
            }
        }
        return bytes
    }
}
