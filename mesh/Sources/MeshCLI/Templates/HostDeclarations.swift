/// The functions of `mesh_host_v1` as each language declares them. Tests hold the table against
/// `docs/MeshHostABI.md` and against what the engine defines.
struct HostDeclaration {
    /// What a parameter is.
    enum Kind {
        /// Bytes that the host reads.
        case bytes
        /// Bytes that the host writes.
        case buffer
        /// A number or length without a sign.
        case count
        /// A number with a sign.
        case number
        /// A place in an input.
        case offset
    }

    /// The import module.
    static let module = "mesh_host_v1"

    let name: String
    let parameters: [(name: String, kind: Kind)]
    var isLong = false

    /// The functions, in the order of the reference.
    static let all: [HostDeclaration] = [
        .init(name: "abi_version", parameters: []),
        .init(name: "fuel_left", parameters: [], isLong: true),
        .init(name: "job_id", parameters: filled),
        .init(name: "originator_did", parameters: filled),
        .init(name: "executor_did", parameters: filled),
        .init(name: "input_count", parameters: []),
        .init(name: "input_find", parameters: named),
        .init(name: "input_name", parameters: [("index", .count)] + filled),
        .init(name: "input_cid", parameters: [("index", .count)] + filled),
        .init(name: "input_size", parameters: [("index", .count)], isLong: true),
        .init(
            name: "input_read",
            parameters: [("index", .count), ("offset", .offset), ("buffer", .buffer), ("count", .count)]),
        .init(
            name: "data_write",
            parameters: [("bytes", .bytes), ("count", .count), ("cid", .buffer), ("capacity", .count)]),
        .init(name: "data_anchor", parameters: [("cid", .bytes), ("count", .count)]),
        .init(name: "output_set", parameters: named + [("cid", .bytes), ("cid_count", .count)]),
        .init(name: "output_write", parameters: named + [("bytes", .bytes), ("count", .count)]),
        .init(name: "log", parameters: [("level", .number), ("text", .bytes), ("count", .count)]),
        .init(name: "progress", parameters: [("permille", .number)]),
        .init(name: "session_receive", parameters: [("buffer", .buffer), ("count", .count)]),
        .init(name: "session_send", parameters: [("bytes", .bytes), ("count", .count)]),
        .init(name: "session_waiting", parameters: []),
    ]

    private static let filled: [(name: String, kind: Kind)] = [("buffer", .buffer), ("capacity", .count)]
    private static let named: [(name: String, kind: Kind)] = [("name", .bytes), ("name_count", .count)]

    /// The type in letters: `i` is an `i32`, `I` an `i64`, and the result stands behind the colon.
    var letters: String {
        let parameters = parameters.map { if case .offset = $0.kind { "I" } else { "i" } }.joined()
        return parameters + (isLong ? ":I" : ":i")
    }

    /// The declaration in C.
    var inC: String {
        let types = parameters.map { parameter in
            switch parameter.kind {
            case .bytes: "const void *\(parameter.name)"
            case .buffer: "void *\(parameter.name)"
            case .count: "uint32_t \(parameter.name)"
            case .number: "int32_t \(parameter.name)"
            case .offset: "uint64_t \(parameter.name)"
            }
        }
        let list = types.isEmpty ? "void" : types.joined(separator: ", ")
        return "MESH_HOST(\(name)) \(isLong ? "int64_t" : "int32_t") mesh_\(name)(\(list));"
    }

    /// The declaration in Rust.
    var inRust: String {
        let list = parameters.map { parameter in
            let type =
                switch parameter.kind {
                case .bytes: "*const u8"
                case .buffer: "*mut u8"
                case .count: "u32"
                case .number: "i32"
                case .offset: "u64"
                }
            return "\(parameter.name): \(type)"
        }
        return "pub fn \(name)(\(list.joined(separator: ", "))) -> \(isLong ? "i64" : "i32");"
    }

    /// The declaration in Zig.
    var inZig: String {
        let list = parameters.map { parameter in
            let type =
                switch parameter.kind {
                case .bytes: "[*]const u8"
                case .buffer: "[*]u8"
                case .count: "u32"
                case .number: "i32"
                case .offset: "u64"
                }
            return "\(parameter.name): \(type)"
        }
        let result = isLong ? "i64" : "i32"
        return "pub extern \"\(Self.module)\" fn \(name)(\(list.joined(separator: ", "))) \(result);"
    }
}
