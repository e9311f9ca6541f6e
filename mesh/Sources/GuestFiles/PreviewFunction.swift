/// A function of WASI preview 1 that is about files, over a `GuestFileSystem`.
package struct PreviewFunction<Memory: GuestBytes>: Sendable {
    /// Its name in `wasi_snapshot_preview1`.
    package let name: String
    /// Its parameters: `i` is an `i32`, `I` is an `i64`. The result is always an `i32`, the error number.
    package let parameters: String
    let price: PreviewPrice
    let body: @Sendable (inout GuestFileSystem, inout PreviewCall<Memory>) throws(FileStop) -> Void

    /// Fuel to charge before a call, besides what every call costs: by the bytes that are asked for, so that it is the
    /// same whatever is here. To be charged once, however often the call is asked again. What is read costs one for
    /// each byte after the call (`PreviewOutcome.answered`), so that a large buffer at the end of a file costs nothing.
    /// Then the work is charged that the arguments do not tell, too (`CallWork`).
    package func fuel(_ arguments: [UInt64], memory: Memory, limits: GuestFileSystem.Limits) -> UInt64 {
        price.fuel(arguments, memory, limits)
    }

    /// Carries the call out, or says what it needs. It then has changed nothing that the guest can see, and is to be
    /// called again with the same arguments and memory.
    package func call(
        _ files: inout GuestFileSystem, _ arguments: [UInt64], memory: inout Memory, in world: GuestWorld
    ) -> PreviewOutcome {
        files.nodes.beginCall()
        var call = PreviewCall(arguments: arguments, limits: files.limits, world: world, memory: memory)
        do throws(FileStop) {
            try body(&files, &call)
        } catch {
            switch error {
            case .errno(let number): return .answered(number, output: nil, bytesRead: 0, work: files.nodes.work)
            case .needs(let wants): return .needs(wants)
            case .broken(let fault): return .broken(fault)
            case .outOfMemory: return .outOfMemory
            case .tooManyCollected, .stopped: preconditionFailure("\(name) collects")
            }
        }
        memory = call.memory
        return .answered(.success, output: call.output, bytesRead: call.bytesRead, work: files.nodes.work)
    }
}

/// What became of a call.
package enum PreviewOutcome: Hashable, Sendable {
    /// The error number to return; on success the results are in the memory, this went to a stream, and so many bytes
    /// were read. The work is to be charged as fuel, of a call that failed, too.
    case answered(WASIErrno, output: StreamWrite?, bytesRead: Int, work: UInt64)
    /// Fetch these, and call again.
    case needs([ContentWant])
    /// Content of a mount is not what a mount may hold: the run ends.
    case broken(MountFault)
    /// What it keeps of folders needs more memory than the run has left: the run ends.
    case outOfMemory
}

/// What a call costs by what it asks for.
enum PreviewPrice: Hashable, Sendable {
    /// Nothing more than any call.
    case call
    /// The bytes of texts whose lengths are these arguments.
    case texts([Int])
    /// The bytes of buffers whose list is at this argument, and 8 for each.
    case buffers(Int)
    /// 8 for each buffer whose list is at this argument: they are to be filled.
    case emptyBuffers(Int)
    /// The bytes of one buffer, whose length is this argument, and those of texts.
    case buffer(Int, texts: [Int])
    /// A 64th of the bytes of this argument: pages that are filled with zeros at once.
    case pages(Int)

    func fuel(_ arguments: [UInt64], _ memory: some GuestBytes, _ limits: GuestFileSystem.Limits) -> UInt64 {
        switch self {
        case .call: 0
        case .texts(let lengths): texts(lengths, arguments, limits)
        case .buffer(let length, let lengths):
            UInt64(UInt32(truncatingIfNeeded: arguments[length])) + texts(lengths, arguments, limits)
        case .pages(let bytes): arguments[bytes] / 64
        case .buffers(let index): buffers(index, arguments, memory, limits)
        case .emptyBuffers(let index):
            Self.listBytes(index, arguments, limits).map(UInt64.init) ?? 0
        }
    }

    private func texts(_ lengths: [Int], _ arguments: [UInt64], _ limits: GuestFileSystem.Limits) -> UInt64 {
        lengths.reduce(0) { sum, index in
            sum + min(UInt64(UInt32(truncatingIfNeeded: arguments[index])), UInt64(limits.pathBytesMax))
        }
    }

    private func buffers(
        _ index: Int, _ arguments: [UInt64], _ memory: some GuestBytes, _ limits: GuestFileSystem.Limits
    ) -> UInt64 {
        guard let count = Self.listBytes(index, arguments, limits),
            let list = memory.bytes(at: UInt32(truncatingIfNeeded: arguments[index]), count: count)
        else { return 0 }
        let bytes = stride(from: 4, to: list.count, by: 8).reduce(UInt64(0)) { sum, start in
            sum + list[start..<start + 4].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        }
        return UInt64(list.count) + min(bytes, UInt64(limits.transferBytesMax))
    }

    /// Bytes of a list of buffers; nil if it is too long.
    private static func listBytes(
        _ index: Int, _ arguments: [UInt64], _ limits: GuestFileSystem.Limits
    ) -> UInt32? {
        let count = UInt32(truncatingIfNeeded: arguments[index + 1])
        return count <= limits.vectorsMax ? count * 8 : nil
    }
}
