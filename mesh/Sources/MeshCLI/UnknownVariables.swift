import NodeSetup

/// What is said of variables of the environment that look like settings and are none: a setting that is misspelt would
/// be missed without a word.
enum UnknownVariables {
    /// The most variables of which something is said.
    private static let toldMax = 8

    /// A sentence for each of the first of them, with the name that was meant, if one is like it.
    static func sentences(in environment: [String: String]) -> [String] {
        let prefix = "MESH_"
        let known = ConfigurationLayers.variables.map { String($0.dropFirst(prefix.count)).lowercased() }
        return ConfigurationLayers.unknown(in: environment).prefix(toldMax).map { name in
            let meant = Spelling.likely(String(name.dropFirst(prefix.count)), among: known)
            let hint = meant.map { " Did you mean \(prefix)\($0.uppercased())?" } ?? ""
            return "The variable \(Terminal.safe(name)) sets nothing: mesh knows no such setting.\(hint)"
        }
    }
}
