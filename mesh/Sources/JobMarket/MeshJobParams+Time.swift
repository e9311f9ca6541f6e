import MeshTypes

extension MeshJobParams {
    /// What a run may take beyond `timeout_seconds` because of its files, in milliseconds: 60 s of waiting for their
    /// blocks, during which its wall clock stands still, and 30 s of collecting (PROTOCOL.md, "Files of a job").
    var filesMilliseconds: UInt64 { files == nil ? 0 : 90_000 }
}
