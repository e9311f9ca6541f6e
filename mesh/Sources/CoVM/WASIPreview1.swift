import GuestFiles

/// WASI preview 1 as a job sees it: arguments, environment, the files of the job, a virtual clock, seeded random bytes.
/// There is no network, and nothing of the host: neither its files nor its clock.
///
/// Every function of preview 1 exists, so that any module of wasi-libc links. Those about files and descriptors are
/// ``GuestFiles/PreviewTable``; what is here joins them to the run: fuel, the output of streams, and waiting for blocks
/// of mounts. Source: the witx files of WASI `snapshot_preview1`.
enum WASIPreview1 {
    static let module = "wasi_snapshot_preview1"

    /// Scatter or gather entries of one write to a stream.
    static let vectorsMax: UInt32 = 1_024
    /// Subscriptions of one `poll_oneoff`.
    static let subscriptionsMax: UInt32 = 1_024
    /// Bytes of one `random_get`.
    static let randomBytesMax: UInt32 = 1 << 20
    /// Bytes moved by one write to a stream; the rest is for the next call.
    static let transferBytesMax = 1 << 20

    typealias Body = @Sendable (HostCall) throws(HostStop) -> WASIErrno

    static func define(in table: inout HostFunctionTable) {
        defineArguments(in: &table)
        defineFiles(in: &table)
        defineClockAndProcess(in: &table)
    }

    private static func add(
        _ table: inout HostFunctionTable, _ name: String, _ parameters: String, _ body: @escaping Body
    ) {
        table.define(module, name, parameters + ":i") { call throws(HostStop) in Int64(try body(call).rawValue) }
    }

    // MARK: Arguments

    private static func defineArguments(in table: inout HostFunctionTable) {
        add(&table, "args_sizes_get", "ii") { call throws(HostStop) in writeSizes(call, call.run.job.argumentList) }
        add(&table, "args_get", "ii") { call throws(HostStop) in try writeList(call, call.run.job.argumentList) }
        add(&table, "environ_sizes_get", "ii") { call throws(HostStop) in
            writeSizes(call, call.run.job.environmentList)
        }
        add(&table, "environ_get", "ii") { call throws(HostStop) in
            try writeList(call, call.run.job.environmentList)
        }
    }

    private static func writeSizes(_ call: HostCall, _ list: [String]) -> WASIErrno {
        let bytes = list.reduce(0) { $0 + $1.utf8.count + 1 }
        guard call.write(UInt32(list.count), to: call.unsigned32(0)),
            call.write(UInt32(bytes), to: call.unsigned32(1))
        else { return .fault }
        return .success
    }

    private static func writeList(_ call: HostCall, _ list: [String]) throws(HostStop) -> WASIErrno {
        var pointer = call.unsigned32(0)
        var text = call.unsigned32(1)
        for item in list {
            let bytes = Array(item.utf8) + [0]
            try call.charge(UInt64(bytes.count))
            guard call.write(text, to: pointer), call.write(bytes, to: text) else { return .fault }
            // Both were inside the memory, whose size fits 33 bits, so only the very last step could wrap.
            pointer &+= 4
            text &+= UInt32(bytes.count)
        }
        return .success
    }

    // MARK: Files and streams

    private static func defineFiles(in table: inout HostFunctionTable) {
        for function in PreviewTable<HostCall>().functions {
            let kinds = Array(function.parameters)
            let descriptor = function.name == "path_symlink" ? 2 : 0
            let isWrite = function.name == "fd_write"
            add(&table, function.name, function.parameters) { call throws(HostStop) in
                // The files are never bound here: a second reference would have them copied by the next change.
                switch call.run.files?.target(call.unsigned32(descriptor), isWrite: isWrite) ?? .closed {
                case .closed: return .badDescriptor
                case .stream(let stream): return try writeOutput(call, to: stream)
                case .input(let waits):
                    if function.name == "fd_read", roomToRead(call) > 0,
                        try !call.run.awaitInput(call, within: waits ? nil : 0)
                    {
                        return .again
                    }
                case .file: break
                }
                let arguments = kinds.indices.map { index in
                    kinds[index] == "i" ? UInt64(call.unsigned32(index)) : call.unsigned64(index)
                }
                return try perform(function, arguments, call)
            }
        }
    }

    /// Carries out a call about files, and waits for what it needs of the mounts.
    private static func perform(
        _ function: PreviewFunction<HostCall>, _ arguments: [UInt64], _ call: HostCall
    ) throws(HostStop) -> WASIErrno {
        let run = call.run
        try call.charge(function.fuel(arguments, memory: call, limits: run.fileLimits))
        let world = run.world(fuelLeft: call.fuelLeft)
        var errno = WASIErrno.badDescriptor
        try run.repeating { () throws(HostStop) in
            let answer = run.files?.perform(function, arguments, call, in: world)
            run.countFiles()
            switch answer {
            case .answered(let number, let output, let bytesRead, let work)?:
                try call.charge(UInt64(bytesRead) + work)
                run.bytesRead += UInt64(bytesRead)
                if let output { try run.append(output.bytes, to: output.stream, call) }
                errno = number
            case .needs(let wants)?: return wants
            case .broken(let fault)?: throw .filesRefused("\(fault)")
            case .outOfMemory?: throw .memory
            case nil: break
            }
            return nil
        }
        return errno
    }

    /// The scatter or gather list at argument 1 with the count at argument 2, each entry a pointer and a length.
    private static func vectors(_ call: HostCall) throws(HostStop) -> [(pointer: UInt32, count: UInt32)]? {
        let count = call.unsigned32(2)
        guard count <= vectorsMax else { return nil }
        try call.charge(UInt64(count) * 8)
        guard let bytes = call.bytes(call.unsigned32(1), count * 8) else { return nil }
        return (0..<Int(count)).map { index in
            (word(bytes, index * 8), word(bytes, index * 8 + 4))
        }
    }

    private static func word(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        bytes[offset..<offset + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }

    private static func long(_ bytes: [UInt8], _ offset: Int) -> UInt64 {
        UInt64(word(bytes, offset)) | UInt64(word(bytes, offset + 4)) << 32
    }

    /// Bytes that the buffers of an `fd_read` hold; none where the list is not one.
    private static func roomToRead(_ call: HostCall) -> UInt64 {
        let count = call.unsigned32(2)
        guard count <= vectorsMax, let list = call.bytes(call.unsigned32(1), count * 8) else { return 0 }
        return stride(from: 0, to: list.count, by: 8).reduce(0) { $0 + UInt64(word(list, $1 + 4)) }
    }

    /// Writes to a stream piece by piece, so that a run that ends at a limit keeps what came before.
    private static func writeOutput(
        _ call: HostCall, to stream: StreamWrite.Stream
    ) throws(HostStop) -> WASIErrno {
        guard let vectors = try vectors(call) else { return .fault }
        var total = 0
        for vector in vectors where total < transferBytesMax {
            let count = min(Int(vector.count), transferBytesMax - total)
            try call.charge(UInt64(count))
            guard let bytes = call.bytes(vector.pointer, UInt32(count)) else { return .fault }
            try call.run.append(bytes, to: stream, call)
            total += count
        }
        return call.write(UInt32(total), to: call.unsigned32(3)) ? .success : .fault
    }

    // MARK: Clock, chance, process

    private static func defineClockAndProcess(in table: inout HostFunctionTable) {
        add(&table, "clock_res_get", "ii") { call throws(HostStop) in
            guard call.unsigned32(0) <= 3 else { return .invalid }
            return call.write(UInt64(1), to: call.unsigned32(1)) ? .success : .fault
        }
        add(&table, "clock_time_get", "iIi") { call throws(HostStop) in
            guard let time = time(call, clock: call.unsigned32(0)) else { return .invalid }
            return call.write(time, to: call.unsigned32(2)) ? .success : .fault
        }
        add(&table, "random_get", "ii") { call throws(HostStop) in
            let count = call.unsigned32(1)
            guard count <= randomBytesMax else { return .invalid }
            try call.charge(UInt64(count))
            let filled: Void? = call.withGuestBytes(call.unsigned32(0), count) { call.run.fillRandom($0) }
            return filled == nil ? .fault : .success
        }
        add(&table, "poll_oneoff", "iiii") { call throws(HostStop) in try poll(call) }
        add(&table, "sched_yield", "") { _ throws(HostStop) in .success }
        add(&table, "proc_raise", "i") { _ throws(HostStop) in .noSystemCall }
        table.define(module, "proc_exit", "i:") { call throws(HostStop) in
            throw .exited(code: call.signed32(0))
        }
    }

    /// The guest's time on a clock: 0 is the calendar, 1 counts from the start, 2 and 3 are its processor time.
    private static func time(_ call: HostCall, clock: UInt32) -> UInt64? {
        let virtual = call.run.virtualNanoseconds(fuelLeft: call.fuelLeft)
        switch clock {
        case 0: return call.run.calendarNanoseconds(fuelLeft: call.fuelLeft)
        case 1: return virtual
        case 2, 3: return virtual - call.run.sleptNanoseconds - call.run.waitedNanoseconds
        default: return nil
        }
    }

    /// What `poll_oneoff` tells of something that is ready.
    private struct Event {
        var userdata: ArraySlice<UInt8>
        var type: UInt8
        var errno = WASIErrno.success
        var bytes: UInt64 = 0
        /// Whether nothing will come any more (`FD_READWRITE_HANGUP`).
        var isOver = false

        /// The layout of preview 1.
        var encoded: [UInt8] {
            let head = userdata + [UInt8(truncatingIfNeeded: errno.rawValue), 0, type, 0, 0, 0, 0, 0]
            return head + (0..<8).map { UInt8(truncatingIfNeeded: bytes >> (8 * $0)) } + [isOver ? 1 : 0]
                + repeatElement(0, count: 7)
        }
    }

    /// Waits in virtual time: files and streams are always ready; without any, the clock jumps to the earliest timer.
    /// Only what a user sends is waited for, and then as long as it takes or the earliest timer says.
    private static func poll(_ call: HostCall) throws(HostStop) -> WASIErrno {
        let count = call.unsigned32(2)
        guard count > 0, count <= subscriptionsMax else { return .invalid }
        try call.charge(UInt64(count) * 80)
        guard let bytes = call.bytes(call.unsigned32(0), count * 48) else { return .fault }
        var ready: [Event] = []
        var timers: [(event: Event, wait: UInt64)] = []
        var inputs: [(event: Event, descriptor: UInt32)] = []
        for start in stride(from: 0, to: bytes.count, by: 48) {
            let event = Event(userdata: bytes[start..<start + 8], type: bytes[start + 8])
            switch event.type {
            case 0:
                guard let now = time(call, clock: word(bytes, start + 16)) else { return .invalid }
                let timeout = long(bytes, start + 24)
                let isAbsolute = bytes[start + 40] & 1 == 1
                timers.append((event, isAbsolute ? (timeout > now ? timeout - now : 0) : timeout))
            case 1 where call.run.files?.waitsForInput(word(bytes, start + 16)) != nil:
                inputs.append((event, word(bytes, start + 16)))
            case 1, 2: ready.append(polled(event, word(bytes, start + 16), call.run))
            default: return .invalid
            }
        }
        if !inputs.isEmpty {
            let earliest = timers.map(\.wait).min()
            if try call.run.awaitInput(call, within: ready.isEmpty ? earliest : 0) {
                ready += inputs.map { polled($0.event, $0.descriptor, call.run) }
            } else if ready.isEmpty, let earliest {
                ready = timers.filter { $0.wait == earliest }.map(\.event)
            }
        } else if ready.isEmpty, let wait = timers.map(\.wait).min() {
            try call.run.sleep(nanoseconds: wait)
            ready = timers.filter { $0.wait == wait }.map(\.event)
        }
        guard call.write(ready.flatMap(\.encoded), to: call.unsigned32(1)),
            call.write(UInt32(ready.count), to: call.unsigned32(3))
        else { return .fault }
        return .success
    }

    /// What is told of a descriptor: the bytes at hand, or why it cannot be waited for.
    private static func polled(_ event: Event, _ descriptor: UInt32, _ run: JobRun) -> Event {
        var event = event
        do throws(FileStop) {
            event.bytes = try run.files?.bytesAtHand(descriptor, isForReading: event.type == 1) ?? 0
            event.isOver = event.type == 1 && event.bytes == 0 && run.isInputOver
        } catch {
            if case .errno(let number) = error { event.errno = number }
        }
        return event
    }
}

extension GuestFileSystem {
    /// What a call is about.
    fileprivate enum Target {
        /// A number that is not open, which costs no more than the call.
        case closed
        /// A stream that is written to.
        case stream(StreamWrite.Stream)
        /// What the user sends, and whether a read waits for it.
        case input(waits: Bool)
        /// Anything else.
        case file
    }

    // It changes nothing, and is `mutating` so that nothing is copied for it.
    fileprivate mutating func target(_ number: UInt32, isWrite: Bool) -> Target {
        guard isOpen(number) else { return .closed }
        if isWrite, let stream = stream(of: number) { return .stream(stream) }
        if let waits = waitsForInput(number) { return .input(waits: waits) }
        return .file
    }

    /// Carries out a call where the files lie.
    fileprivate mutating func perform(
        _ function: PreviewFunction<HostCall>, _ arguments: [UInt64], _ call: HostCall, in world: GuestWorld
    ) -> PreviewOutcome {
        var memory = call
        return function.call(&self, arguments, memory: &memory, in: world)
    }
}

extension ExecutionJob {
    /// The guest's `argv`.
    var argumentList: [String] { ["job"] + arguments }

    /// The guest's `environ`.
    var environmentList: [String] { environment.map { "\($0.name)=\($0.value)" } }

    /// Checks for zero bytes, which no C string can contain, and for the length.
    func checkArguments() throws(ModuleRefusal) {
        let list = arguments + environmentList
        if list.contains(where: { $0.utf8.contains(0) }) {
            throw .arguments(reason: "an argument or environment variable holds a NUL byte")
        }
        let bytes = list.reduce(0) { $0 + $1.utf8.count + 1 }
        guard bytes <= MeshHostABI.argumentBytesMax else {
            throw .arguments(
                reason: "arguments and environment have \(bytes) bytes but at most "
                    + "\(MeshHostABI.argumentBytesMax) are allowed")
        }
    }
}
