import Multiformats

/// What a node is, besides its content.
struct Node: Sendable {
    enum Kind: Hashable, Sendable {
        /// Something of a mount that was not looked at yet.
        case unresolved(CID)
        case file
        case directory
        case symbolicLink([UInt8])
        case device(Device)
    }

    /// The files in `/dev`.
    enum Device: Hashable, Sendable, CaseIterable {
        case null, random, standardError, standardInput, standardOutput, urandom, zero

        var name: String {
            switch self {
            case .null: "null"
            case .random: "random"
            case .standardError: "stderr"
            case .standardInput: "stdin"
            case .standardOutput: "stdout"
            case .urandom: "urandom"
            case .zero: "zero"
            }
        }

        /// Whether it is a standard stream; all others take what is written, and have positions that mean nothing.
        var isStream: Bool {
            switch self {
            case .null, .random, .urandom, .zero: false
            case .standardError, .standardInput, .standardOutput: true
            }
        }
    }

    var kind: Kind
    /// The index of the mount it is in.
    let mount: Int
    /// Names that it has.
    var links: UInt64 = 0
    /// Descriptors that are open on it.
    var opens = 0
    var times: NodeTimes
    /// The directory that a directory is in; the root and a directory without a name are in themselves.
    var parent: InodeNumber = 0
    /// What it is of a mount, if it is.
    let cid: CID?

    var type: WASIFileType? {
        switch kind {
        case .unresolved: nil
        case .file: .regularFile
        case .directory: .directory
        case .symbolicLink: .symbolicLink
        case .device(let device): device.isStream ? .unknown : .characterDevice
        }
    }

    var isDirectory: Bool { kind == .directory }
}
