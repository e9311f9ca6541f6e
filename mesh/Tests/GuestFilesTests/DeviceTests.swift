import Testing

@testable import GuestFiles

/// The standard streams and `/dev`.
@Suite struct DeviceTests {
    private func made(_ input: FileSystemPlan.StandardInput = .bytes([]), source: HeldContent = HeldContent()) throws
        -> GuestFileSystem
    {
        var plan = FileSystemPlan.of([.init("/job")], open: ["/job", "/dev"])
        plan.standardInput = input
        return try GuestFileSystem(plan, world: .at(0, source))
    }

    @Test func standardInputIsReadOnce() throws {
        var files = try made(.bytes(.text("abcdef")))
        #expect(files.standardInputLeft == 6)
        #expect(try files.read(0, count: 2, in: .at(0)) == .text("ab"))
        // `/dev/stdin` goes on where the stream is.
        let again = try files.open(.init("stdin", from: 4), rights: .read, in: .at(0))
        #expect(try files.read(again, count: 2, in: .at(0)) == .text("cd"))
        #expect(try files.read(0, count: 9, in: .at(0)) == .text("ef"))
        #expect(try files.read(0, count: 9, in: .at(0)) == [])
        #expect(files.standardInputLeft == 0)
        #expect(errno { () throws(FileStop) in _ = try files.write(0, [1], in: .at(0)) } == .badDescriptor)
        files.checkInvariants()
    }

    @Test func standardInputCanBeAFileOfTheMesh() throws {
        let source = HeldContent()
        let file = source.file("from afar")
        var files = try made(.file(file), source: source)
        #expect(files.standardInputLeft == 9)
        #expect(try files.read(0, count: 4, in: .at(0, source)) == .text("from"))
        let waiting = stop { () throws(FileStop) in _ = try files.read(0, count: 9, in: .at(0)) }
        #expect(waiting == .needs([.bytes(file, 4..<9)]))
        #expect(try files.read(0, count: 9, in: .at(0, source)) == .text(" afar"))
        #expect(files.record.entries.map(\.cid) == [file])
        files.checkInvariants()
    }

    @Test func whatIsWrittenToAStreamIsHandedOut() throws {
        var files = try made()
        #expect(
            try files.write(1, .text("out"), in: .at(0)).output
                == StreamWrite(stream: .standardOutput, bytes: .text("out")))
        #expect(
            try files.write(2, .text("err"), in: .at(0)).output
                == StreamWrite(stream: .standardError, bytes: .text("err")))
        let again = try files.open(.init("stderr", from: 4), rights: .write, in: .at(0))
        #expect(try files.write(again, .text("x"), in: .at(0)).output?.stream == .standardError)
        #expect(errno { () throws(FileStop) in _ = try files.read(1, count: 1, in: .at(0)) } == .badDescriptor)
        #expect(files.usage.bytes == 0)
    }

    @Test func nullTakesAllAndGivesNothing() throws {
        var files = try made()
        let null = try files.open(.init("null", from: 4), rights: [.read, .write], in: .at(0))
        let written = try files.write(null, .text("abc"), in: .at(0))
        #expect(written.count == 3)
        #expect(written.output == nil)
        #expect(try files.read(null, count: 9, in: .at(0)) == [])
        #expect(try files.seek(null, by: 5, from: .start) == 0)
        #expect(try files.write(null, .text("abc"), at: 7, in: .at(0)).count == 3)
        #expect(try files.descriptorStatus(null).type == .characterDevice)
        // wasi-libc takes a character device without positions for a terminal.
        #expect(try files.descriptorStatus(null).rights.isSuperset(of: [.seek, .tell]))
        #expect(errno { () throws(FileStop) in try files.setSize(null, to: 0, in: .at(0)) } == .invalid)
        #expect(errno { () throws(FileStop) in try files.allocate(null, at: 0, bytes: 1, in: .at(0)) } == .noDevice)
    }

    @Test func zeroGivesZerosWithoutEnd() throws {
        var files = try made()
        let zero = try files.open(.init("zero", from: 4), rights: [.read, .write], in: .at(0))
        #expect(try files.read(zero, count: 3, in: .at(0)) == [0, 0, 0])
        #expect(try files.read(zero, count: 1 << 30, in: .at(0)).count == files.limits.transferBytesMax)
        #expect(try files.bytesAtHand(zero, isForReading: true) == UInt64(files.limits.transferBytesMax))
        #expect(try files.write(zero, .text("abc"), in: .at(0)).count == 3)
        #expect(try files.descriptorStatus(zero).type == .characterDevice)
    }

    @Test(arguments: ["random", "urandom"]) func chanceFollowsFromTheSeed(name: String) throws {
        func read(seed: UInt64, _ counts: [Int]) throws -> [UInt8] {
            let plan = FileSystemPlan.of([.init("/job")], open: ["/job", "/dev"])
            var files = try GuestFileSystem(plan, seed: seed, world: .at(0))
            let chance = try files.open(.init(name, from: 4), rights: .read, in: .at(0))
            var bytes: [UInt8] = []
            for count in counts { bytes += try files.read(chance, count: count, in: .at(0)) }
            files.checkInvariants()
            return bytes
        }
        let bytes = try read(seed: 7, [64])
        #expect(bytes.count == 64)
        #expect(Set(bytes).count > 32)
        #expect(try read(seed: 7, [64]) == bytes)
        #expect(try read(seed: 8, [64]) != bytes)
        // A read begins with a new number.
        #expect(try read(seed: 7, [3, 5]) == Array(bytes[0..<3] + bytes[8..<13]))
    }

    @Test func streamsAreNoTerminals() throws {
        let files = try made()
        for number in 0...2 as ClosedRange<UInt32> {
            #expect(try files.descriptorStatus(number).type == .unknown)
            #expect(try files.status(number).type == .unknown)
        }
        #expect(try files.descriptorStatus(0).rights.contains(.read))
        #expect(try !files.descriptorStatus(1).rights.contains(.read))
    }

    @Test func devicesAreWhatTheyAre() throws {
        var files = try made()
        let names = try files.list(4, after: 2, bufferBytes: 999, in: .at(0)).map {
            String(decoding: $0.name, as: UTF8.self)
        }
        #expect(names == ["null", "random", "stderr", "stdin", "stdout", "urandom", "zero"])
        #expect(
            errno { () throws(FileStop) in _ = try files.open(.init("x", from: 4), .create, rights: [], in: .at(0)) }
                == .readOnly)
        #expect(errno { () throws(FileStop) in try files.unlink(.init("null", from: 4), in: .at(0)) } == .readOnly)
        #expect(
            errno { () throws(FileStop) in
                _ = try files.open(.init("null", from: 4), .directory, rights: [], in: .at(0))
            } == .notDirectory)
        #expect(
            errno { () throws(FileStop) in _ = try files.open(.init("null/x", from: 4), rights: [], in: .at(0)) }
                == .notDirectory)
        // Programs open what they write to with O_TRUNC.
        let number = try files.open(.init("stdout", from: 4), [.create, .truncate], rights: .write, in: .at(0))
        #expect(try files.write(number, [1], in: .at(0)).output?.stream == .standardOutput)
    }

    @Test func socketsAreNone() throws {
        let files = try made()
        #expect(errno { () throws(FileStop) in try files.checkSocket(1) } == .notSocket)
        #expect(errno { () throws(FileStop) in try files.checkSocket(9) } == .badDescriptor)
    }
}
