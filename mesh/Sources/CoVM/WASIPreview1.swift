/// WASI preview 1 as a job sees it: arguments, environment, standard streams in memory, a virtual clock, seeded random
/// bytes. There is no file system, no network and no host clock.
///
/// Every function of preview 1 exists, so that any module of wasi-libc links. Functions that need something missing
/// return `EBADF` (no such descriptor: nothing is ever pre-opened), `ENOTSUP` or `ENOSYS`. Source: the witx files of
/// WASI `snapshot_preview1`.
enum WASIPreview1 {
    static let module = "wasi_snapshot_preview1"

    /// Scatter or gather entries of one call.
    static let vectorsMax: UInt32 = 1_024
    /// Subscriptions of one `poll_oneoff`.
    static let subscriptionsMax: UInt32 = 1_024
    /// Bytes of one `random_get`.
    static let randomBytesMax: UInt32 = 1 << 20
    /// Bytes moved by one `fd_read` or `fd_write`; the rest is for the next call.
    static let transferBytesMax = 1 << 20

    enum Errno: Int64 {
        case success = 0
        case badDescriptor = 8
        case fault = 21
        case invalid = 28
        case noSystemCall = 52
        case notSocket = 57
        case notSupported = 58
        case illegalSeek = 70
    }

    typealias Body = @Sendable (HostCall) throws(HostStop) -> Errno

    static func define(in table: inout HostFunctionTable) {
        defineArguments(in: &table)
        defineStreams(in: &table)
        defineClockAndProcess(in: &table)
        defineWhatIsNotThere(in: &table)
    }

    private static func add(
        _ table: inout HostFunctionTable, _ name: String, _ parameters: String, _ body: @escaping Body
    ) {
        table.define(module, name, parameters + ":i") { call throws(HostStop) in try body(call).rawValue }
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

    private static func writeSizes(_ call: HostCall, _ list: [String]) -> Errno {
        let bytes = list.reduce(0) { $0 + $1.utf8.count + 1 }
        guard call.write(UInt32(list.count), to: call.unsigned32(0)),
            call.write(UInt32(bytes), to: call.unsigned32(1))
        else { return .fault }
        return .success
    }

    private static func writeList(_ call: HostCall, _ list: [String]) throws(HostStop) -> Errno {
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

    // MARK: Streams

    private static func defineStreams(in table: inout HostFunctionTable) {
        add(&table, "fd_read", "iiii") { call throws(HostStop) in try readInput(call) }
        add(&table, "fd_write", "iiii") { call throws(HostStop) in try writeOutput(call) }
        add(&table, "fd_close", "i") { call throws(HostStop) in
            call.run.openDescriptors.remove(call.unsigned32(0)) == nil ? .badDescriptor : .success
        }
        add(&table, "fd_fdstat_get", "ii") { call throws(HostStop) in descriptorStatus(call) }
        add(&table, "fd_filestat_get", "ii") { call throws(HostStop) in
            guard isOpen(call) else { return .badDescriptor }
            return call.write(repeatElement(0, count: 64), to: call.unsigned32(1)) ? .success : .fault
        }
        add(&table, "fd_seek", "iIii") { call throws(HostStop) in isOpen(call) ? .illegalSeek : .badDescriptor }
        add(&table, "fd_tell", "ii") { call throws(HostStop) in isOpen(call) ? .illegalSeek : .badDescriptor }
        add(&table, "fd_fdstat_set_flags", "ii") { call throws(HostStop) in
            isOpen(call) ? .success : .badDescriptor
        }
        for name in ["fd_sync", "fd_datasync"] {
            add(&table, name, "i") { call throws(HostStop) in isOpen(call) ? .success : .badDescriptor }
        }
    }

    private static func isOpen(_ call: HostCall) -> Bool {
        call.run.openDescriptors.contains(call.unsigned32(0))
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

    private static func readInput(_ call: HostCall) throws(HostStop) -> Errno {
        guard isOpen(call), call.unsigned32(0) == 0 else { return .badDescriptor }
        guard let vectors = try vectors(call) else { return .fault }
        let input = call.run.job.standardInput
        var total = 0
        for vector in vectors where total < transferBytesMax {
            let offset = call.run.standardInputOffset
            let count = min(input.count - offset, Int(vector.count), transferBytesMax - total)
            guard count > 0 else { continue }
            try call.charge(UInt64(count))
            guard call.write(input[offset..<offset + count], to: vector.pointer) else { return .fault }
            call.run.standardInputOffset += count
            call.run.bytesRead += UInt64(count)
            total += count
        }
        return call.write(UInt32(total), to: call.unsigned32(3)) ? .success : .fault
    }

    private static func writeOutput(_ call: HostCall) throws(HostStop) -> Errno {
        let descriptor = call.unsigned32(0)
        guard isOpen(call), descriptor == 1 || descriptor == 2 else { return .badDescriptor }
        guard let vectors = try vectors(call) else { return .fault }
        var total = 0
        for vector in vectors where total < transferBytesMax {
            let count = min(Int(vector.count), transferBytesMax - total)
            try call.charge(UInt64(count))
            guard let bytes = call.bytes(vector.pointer, UInt32(count)) else { return .fault }
            try call.run.append(bytes, to: descriptor == 1 ? .standardOutput : .standardError)
            total += count
        }
        return call.write(UInt32(total), to: call.unsigned32(3)) ? .success : .fault
    }

    /// A stream of unknown type, so that no guest mistakes it for a terminal or a file.
    private static func descriptorStatus(_ call: HostCall) -> Errno {
        guard isOpen(call) else { return .badDescriptor }
        let rights: UInt64 = call.unsigned32(0) == 0 ? 1 << 1 : 1 << 6
        var status = [UInt8](repeating: 0, count: 24)
        for index in 0..<8 { status[8 + index] = UInt8(truncatingIfNeeded: rights >> (8 * UInt64(index))) }
        return call.write(status, to: call.unsigned32(1)) ? .success : .fault
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
        case 0:
            let (sum, overflow) = call.run.job.clockStartNanoseconds.addingReportingOverflow(virtual)
            return overflow ? .max : sum
        case 1: return virtual
        case 2, 3: return virtual - call.run.sleptNanoseconds
        default: return nil
        }
    }

    /// Waits in virtual time: streams are always ready; without any, the clock jumps to the earliest timer.
    private static func poll(_ call: HostCall) throws(HostStop) -> Errno {
        let count = call.unsigned32(2)
        guard count > 0, count <= subscriptionsMax else { return .invalid }
        try call.charge(UInt64(count) * 80)
        guard let bytes = call.bytes(call.unsigned32(0), count * 48) else { return .fault }
        var ready: [(userdata: [UInt8], type: UInt8)] = []
        var timers: [(userdata: [UInt8], wait: UInt64)] = []
        for start in stride(from: 0, to: bytes.count, by: 48) {
            let userdata = Array(bytes[start..<start + 8])
            switch bytes[start + 8] {
            case 0:
                guard let now = time(call, clock: word(bytes, start + 16)) else { return .invalid }
                let timeout = long(bytes, start + 24)
                let isAbsolute = bytes[start + 40] & 1 == 1
                timers.append((userdata, isAbsolute ? (timeout > now ? timeout - now : 0) : timeout))
            case let type where type <= 2: ready.append((userdata, type))
            default: return .invalid
            }
        }
        if ready.isEmpty, let wait = timers.map(\.wait).min() {
            try call.run.sleep(nanoseconds: wait)
            ready = timers.filter { $0.wait == wait }.map { ($0.userdata, 0) }
        }
        var events: [UInt8] = []
        for event in ready {
            // userdata, errno 0, type, padding, and for streams the bytes at hand and no flags.
            events += event.userdata + [0, 0, event.type] + repeatElement(0, count: 5)
            let left = event.type == 1 ? call.run.job.standardInput.count - call.run.standardInputOffset : 0
            events += (0..<8).map { UInt8(truncatingIfNeeded: left >> (8 * $0)) } + repeatElement(0, count: 8)
        }
        guard call.write(events, to: call.unsigned32(1)), call.write(UInt32(ready.count), to: call.unsigned32(3))
        else { return .fault }
        return .success
    }

    // MARK: What is not there

    private static func defineWhatIsNotThere(in table: inout HostFunctionTable) {
        let descriptors = [
            ("fd_advise", "iIIi"), ("fd_allocate", "iII"), ("fd_fdstat_set_rights", "iII"),
            ("fd_filestat_set_size", "iI"), ("fd_filestat_set_times", "iIIi"), ("fd_pread", "iiiIi"),
            ("fd_pwrite", "iiiIi"), ("fd_readdir", "iiiIi"), ("fd_renumber", "ii"),
        ]
        for (name, parameters) in descriptors {
            add(&table, name, parameters) { call throws(HostStop) in isOpen(call) ? .notSupported : .badDescriptor }
        }
        let paths = [
            ("fd_prestat_get", "ii"), ("fd_prestat_dir_name", "iii"), ("path_create_directory", "iii"),
            ("path_filestat_get", "iiiii"), ("path_filestat_set_times", "iiiiIIi"), ("path_link", "iiiiiii"),
            ("path_open", "iiiiiIIii"), ("path_readlink", "iiiiii"), ("path_remove_directory", "iii"),
            ("path_rename", "iiiiii"), ("path_symlink", "iiiii"), ("path_unlink_file", "iii"),
        ]
        for (name, parameters) in paths {
            add(&table, name, parameters) { _ throws(HostStop) in .badDescriptor }
        }
        let sockets = [
            ("sock_accept", "iii"), ("sock_recv", "iiiiii"), ("sock_send", "iiiii"), ("sock_shutdown", "ii"),
        ]
        for (name, parameters) in sockets {
            add(&table, name, parameters) { call throws(HostStop) in isOpen(call) ? .notSocket : .badDescriptor }
        }
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
