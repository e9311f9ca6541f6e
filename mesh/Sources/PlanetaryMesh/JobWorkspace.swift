import CoVM
import GuestFiles
import IPLD
import Multiformats
import Synchronization

/// What one run can reach of its node: its fetched inputs, a place for the blocks it makes, and its progress.
///
/// Blocks stay here until the run has ended, and are then written in the receipt's transaction, or just before it if
/// they are many; so a lost run leaves nothing behind. `max_output_bytes`, which the machine enforces, bounds them.
final class JobWorkspace: ExecutionHost {
    private struct Contents {
        var blocks: [(cid: CID, bytes: [UInt8])] = []
        var known: Set<CID> = []
        var permille = 0
        var fuel: UInt64 = 0
        var hasWaited = false
    }

    private let inputs: [CID: [UInt8]]
    /// What the job mounts; nil if it mounts nothing.
    let mounts: MountedContent?
    /// What it talks to its user by; nil if it does not.
    let session: (any GuestSession)?
    private let output: LiveOutput?
    private let contents = Mutex(Contents())

    /// A workspace whose guest can read `inputs`, whole files by their CIDs, and mounts.
    init(
        inputs: [CID: [UInt8]], mounts: MountedContent? = nil, session: (any GuestSession)? = nil,
        output: LiveOutput? = nil
    ) {
        self.output = output
        self.inputs = inputs
        self.mounts = mounts
        self.session = session
    }

    /// The total size of the inputs, in bytes.
    var inputBytes: Int { inputs.values.reduce(0) { $0 + $1.count } }

    /// The blocks that the run has made, in order.
    var blocks: [(cid: CID, bytes: [UInt8])] { contents.withLock { $0.blocks } }

    /// Their total size, in bytes.
    var madeBytes: Int { contents.withLock { $0.blocks.reduce(0) { $0 + $1.bytes.count } } }

    /// The guest's progress as it reports it, in thousandths.
    var permille: Int { contents.withLock { $0.permille } }

    func readInput(_ cid: CID) -> [UInt8]? {
        inputs[cid]
    }

    func storeBlock(_ bytes: [UInt8]) -> CID? {
        guard let file = try? UnixFSFile.blocks(of: bytes) else { return nil }
        contents.withLock { contents in
            for block in file.blocks where contents.known.insert(block.cid).inserted {
                contents.blocks.append(block)
            }
        }
        return file.root
    }

    func storeBlock(_ cid: CID, _ bytes: [UInt8]) -> Bool {
        contents.withLock { contents in
            if contents.known.insert(cid).inserted { contents.blocks.append((cid, bytes)) }
        }
        return true
    }

    var content: any MountSource {
        if let mounts { return mounts }
        return MountedBlocks { _ in nil }
    }

    func fetch(_ wants: [ContentWant], _ finished: @escaping @Sendable (ContentFetch) -> Void) {
        guard let mounts else { return finished(.failed(reason: "the job mounts nothing")) }
        mounts.fetch(wants, finished)
    }

    /// Whether the run has waited for its mounts without a place.
    var hasWaited: Bool { contents.withLock { $0.hasWaited } }

    func waits(_ isWaiting: Bool) {
        if isWaiting { contents.withLock { $0.hasWaited = true } }
    }

    func wrote(_ parts: [OutputPart]) { output?.wrote(parts) }

    /// Nobody follows a log on the node that executes the run; the machine keeps its lines for the log block.
    func log(_ level: ExecutionLogLevel, _ text: String) {}

    /// The fuel that the guest has used at least.
    var fuel: UInt64 { contents.withLock { $0.fuel } }

    func burnt(fuel: UInt64) {
        contents.withLock { $0.fuel = fuel }
    }

    func progress(permille: Int) {
        contents.withLock { $0.permille = permille }
    }
}
