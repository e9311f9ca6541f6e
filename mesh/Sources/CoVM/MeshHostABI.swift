import GuestFiles
import Multiformats

/// The import module `mesh_host_v1`: what a job can ask of the mesh beyond WASI. `docs/MeshHostABI.md` is
/// its reference for authors of guests.
///
/// Results are zero or positive if a call succeeded, and one of ``Failure`` if not. A pointer outside the guest's
/// memory breaks the contract and ends the run as a trap of kind `host_call`, so that a guest never mistakes its own
/// defect for an answer. Every function charges fuel before it works, and every length has a bound.
package enum MeshHostABI {
    /// The name of the import module.
    package static let module = "mesh_host_v1"

    /// The version that `abi_version` returns.
    package static let version: Int32 = 1

    /// Bytes of a job's arguments and environment together.
    package static let argumentBytesMax = 64 << 10

    /// Named outputs of one job.
    package static let outputsMax = 256

    /// Blocks that one job may anchor.
    package static let anchorsMax = 1_024

    /// Bytes of the name of an input or output.
    package static let nameBytesMax: UInt32 = 256

    /// Bytes of one block that a guest writes.
    package static let blockBytesMax: UInt32 = 1 << 20

    /// Bytes of one log line.
    package static let logBytesMax: UInt32 = 8 << 10

    /// Bytes of one read of an input.
    package static let readBytesMax: UInt32 = 1 << 20

    /// Bytes that one call takes from the user of an interactive job, or sends to them.
    package static let sessionBytesMax: UInt32 = 1 << 20

    /// The functions with which a module talks with the user of its job. Executors of earlier versions do not have
    /// them.
    package static let sessionFunctions: Set<String> = ["session_receive", "session_send", "session_waiting"]

    /// Bytes of a binary CID that a guest hands in.
    package static let cidBytesMax: UInt32 = 128

    /// Fuel for hashing and storing a block, besides ``storedByteFuel`` for each byte.
    static let storeFuel: UInt64 = 20_000
    static let storedByteFuel: UInt64 = 4

    /// Why a call did not succeed.
    package enum Failure: Int64, Error, CaseIterable {
        /// An argument is outside its range, or bytes that must be UTF-8 or a CID are not.
        case invalidArgument = -1
        /// There is no input of this index or name.
        case notFound = -2
        /// A length is over its bound.
        case tooLarge = -3
        /// The output name is taken, or there are too many outputs or anchors.
        case refused = -4
        /// The job is not interactive, so that there is nobody to talk with.
        case noSession = -5
        /// The user has ended the input, and all of it was received.
        case inputOver = -6
    }

    static func define(in table: inout HostFunctionTable) {
        defineQueries(in: &table)
        defineInputs(in: &table)
        defineOutputs(in: &table)
        defineTelling(in: &table)
        defineSession(in: &table)
    }

    private static func defineQueries(in table: inout HostFunctionTable) {
        table.define(module, "abi_version", ":i") { _ throws(HostStop) in Int64(version) }
        table.define(module, "fuel_left", ":I") { call throws(HostStop) in Int64(clamping: call.fuelLeft) }
        table.define(module, "job_id", "ii:i") { call throws(HostStop) in
            try give(call, Array(call.run.job.jobID.utf8), 0, 1)
        }
        table.define(module, "originator_did", "ii:i") { call throws(HostStop) in
            try give(call, Array(call.run.job.originatorDID.utf8), 0, 1)
        }
        table.define(module, "executor_did", "ii:i") { call throws(HostStop) in
            try give(call, Array(call.run.job.executorDID.utf8), 0, 1)
        }
    }

    private static func defineInputs(in table: inout HostFunctionTable) {
        table.define(module, "input_count", ":i") { call throws(HostStop) in Int64(call.run.job.inputs.count) }
        table.define(module, "input_find", "ii:i") { call throws(HostStop) in
            let name: String
            switch try text(call, 0, 1, bytesMax: nameBytesMax) {
            case .success(let text): name = text
            case .failure(let failure): return failure.rawValue
            }
            let index = call.run.job.inputs.firstIndex { $0.name == name }
            return index.map { Int64($0) } ?? Failure.notFound.rawValue
        }
        table.define(module, "input_name", "iii:i") { call throws(HostStop) in
            guard let input = input(call) else { return Failure.notFound.rawValue }
            return try give(call, Array(input.name.utf8), 1, 2)
        }
        table.define(module, "input_cid", "iii:i") { call throws(HostStop) in
            guard let input = input(call) else { return Failure.notFound.rawValue }
            return try give(call, input.cid.bytes, 1, 2)
        }
        table.define(module, "input_size", "i:I") { call throws(HostStop) in
            guard let input = input(call) else { return Failure.notFound.rawValue }
            try call.charge(storeFuel)
            return Int64(try call.run.input(input.cid).count)
        }
        table.define(module, "input_read", "iIii:i") { call throws(HostStop) in try readInput(call) }
    }

    private static func input(_ call: HostCall) -> (name: String, cid: CID)? {
        let index = Int(call.unsigned32(0))
        let inputs = call.run.job.inputs
        return index < inputs.count ? inputs[index] : nil
    }

    private static func readInput(_ call: HostCall) throws(HostStop) -> Int64 {
        guard let input = input(call) else { return Failure.notFound.rawValue }
        let count = call.unsigned32(3)
        guard count <= readBytesMax else { return Failure.tooLarge.rawValue }
        try call.charge(UInt64(count))
        let bytes = try call.run.input(input.cid)
        let offset = Int(clamping: call.unsigned64(1))
        let end = min(bytes.count, min(offset, bytes.count) + Int(count))
        let slice = bytes[min(offset, bytes.count)..<end]
        guard call.write(slice, to: call.unsigned32(2)) else { throw outside(call) }
        call.run.bytesRead += UInt64(slice.count)
        return Int64(slice.count)
    }

    private static func defineOutputs(in table: inout HostFunctionTable) {
        table.define(module, "data_write", "iiii:i") { call throws(HostStop) in
            guard let block = try block(call, 0, 1) else { return Failure.tooLarge.rawValue }
            return try give(call, try call.run.store(block).bytes, 2, 3)
        }
        table.define(module, "data_anchor", "ii:i") { call throws(HostStop) in
            guard let cid = try cid(call, 0, 1) else { return Failure.invalidArgument.rawValue }
            return call.run.anchor(cid) ? 0 : Failure.refused.rawValue
        }
        table.define(module, "output_set", "iiii:i") { call throws(HostStop) in
            let name: String
            switch try outputName(call) {
            case .success(let text): name = text
            case .failure(let failure): return failure.rawValue
            }
            guard let cid = try cid(call, 2, 3) else { return Failure.invalidArgument.rawValue }
            return call.run.addOutput(name, cid) ? 0 : Failure.refused.rawValue
        }
        table.define(module, "output_write", "iiii:i") { call throws(HostStop) in
            let name: String
            switch try outputName(call) {
            case .success(let text): name = text
            case .failure(let failure): return failure.rawValue
            }
            guard let block = try block(call, 2, 3) else { return Failure.tooLarge.rawValue }
            return call.run.addOutput(name, try call.run.store(block)) ? 0 : Failure.refused.rawValue
        }
    }

    private static func defineTelling(in table: inout HostFunctionTable) {
        table.define(module, "log", "iii:i") { call throws(HostStop) in
            guard let level = ExecutionLogLevel(rawValue: call.signed32(0)) else {
                return Failure.invalidArgument.rawValue
            }
            switch try text(call, 1, 2, bytesMax: logBytesMax) {
            case .success(let text): try call.run.log(level, text)
            case .failure(let failure): return failure.rawValue
            }
            return 0
        }
        table.define(module, "progress", "i:i") { call throws(HostStop) in
            let permille = call.signed32(0)
            guard (0...1_000).contains(permille) else { return Failure.invalidArgument.rawValue }
            call.run.progress(permille: Int(permille))
            return 0
        }
    }

    // MARK: The session

    private static func defineSession(in table: inout HostFunctionTable) {
        table.define(module, "session_receive", "ii:i") { call throws(HostStop) in try receive(call) }
        table.define(module, "session_send", "ii:i") { call throws(HostStop) in
            guard call.run.hasSession else { return Failure.noSession.rawValue }
            guard let bytes = try take(call, 0, 1, bytesMax: sessionBytesMax) else { return Failure.tooLarge.rawValue }
            try call.run.append(bytes, to: .standardOutput, call)
            return 0
        }
        table.define(module, "session_waiting", ":i") { call throws(HostStop) in
            guard call.run.hasSession else { return Failure.noSession.rawValue }
            _ = try call.run.awaitInput(call, within: 0)
            let count = call.run.inputAtHand
            return count == 0 && call.run.isInputOver ? Failure.inputOver.rawValue : Int64(count)
        }
    }

    /// Waits for input, and gives what has come as far as it fits. The buffer is looked at first: a guest that has none
    /// does not wait for its user to find out.
    private static func receive(_ call: HostCall) throws(HostStop) -> Int64 {
        guard call.run.hasSession else { return Failure.noSession.rawValue }
        let (buffer, count) = (call.unsigned32(0), call.unsigned32(1))
        guard count > 0 else { return Failure.invalidArgument.rawValue }
        guard count <= sessionBytesMax else { return Failure.tooLarge.rawValue }
        guard call.holds(buffer, count: count) else { throw outside(call) }
        _ = try call.run.awaitInput(call, within: nil)
        try call.charge(UInt64(min(call.run.inputAtHand, Int(count))))
        let bytes = call.run.takeInput(Int(count))
        guard call.write(bytes, to: buffer) else { throw outside(call) }
        return Int64(bytes.count)
    }

    // MARK: Arguments

    private static func outside(_ call: HostCall) -> HostStop {
        .brokenContract("\(module).\(call.function.name) was given a pointer outside the memory")
    }

    /// Copies `bytes` to the guest if they fit its buffer; returns their number either way.
    private static func give(
        _ call: HostCall, _ bytes: [UInt8], _ pointer: Int, _ capacity: Int
    ) throws(HostStop) -> Int64 {
        guard bytes.count <= Int(call.unsigned32(capacity)) else { return Int64(bytes.count) }
        try call.charge(UInt64(bytes.count))
        guard call.write(bytes, to: call.unsigned32(pointer)) else { throw outside(call) }
        return Int64(bytes.count)
    }

    private static func take(
        _ call: HostCall, _ pointer: Int, _ count: Int, bytesMax: UInt32, fuelPerByte: UInt64 = 1
    ) throws(HostStop) -> [UInt8]? {
        let count = call.unsigned32(count)
        guard count <= bytesMax else { return nil }
        try call.charge(UInt64(count) * fuelPerByte)
        guard let bytes = call.bytes(call.unsigned32(pointer), count) else { throw outside(call) }
        return bytes
    }

    private static func text(
        _ call: HostCall, _ pointer: Int, _ count: Int, bytesMax: UInt32
    ) throws(HostStop) -> Result<String, Failure> {
        guard let bytes = try take(call, pointer, count, bytesMax: bytesMax) else { return .failure(.tooLarge) }
        guard let text = String(validating: bytes, as: UTF8.self) else { return .failure(.invalidArgument) }
        return .success(text)
    }

    /// The name at arguments 0 and 1: not empty, without control characters.
    private static func outputName(_ call: HostCall) throws(HostStop) -> Result<String, Failure> {
        let name = try text(call, 0, 1, bytesMax: nameBytesMax)
        guard case .success(let text) = name else { return name }
        return isOutputName(text) ? name : .failure(.invalidArgument)
    }

    /// Whether a module can give an output this name.
    static func isOutputName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= nameBytesMax
            && !name.unicodeScalars.contains { $0.properties.generalCategory == .control }
    }

    private static func block(_ call: HostCall, _ pointer: Int, _ count: Int) throws(HostStop) -> [UInt8]? {
        try call.charge(storeFuel)
        return try take(call, pointer, count, bytesMax: blockBytesMax, fuelPerByte: storedByteFuel)
    }

    private static func cid(_ call: HostCall, _ pointer: Int, _ count: Int) throws(HostStop) -> CID? {
        guard let bytes = try take(call, pointer, count, bytesMax: cidBytesMax) else { return nil }
        return try? CID(bytes: bytes)
    }
}
