/// The one short name of whatever is named by a long identifier: its end, which tells it from others.
///
/// A node is named by the end of its DID, in the texts of the node as in those of the command line; a job, a receipt or
/// a block by the end of its CID.
package enum ShortName {
    /// How many characters of the end are shown.
    package static let characters = 8
    /// What stands for the part that is left out.
    package static let leftOut = "…"

    /// The short name; an identifier that is short already stays as it is.
    package static func of(_ identifier: String) -> String {
        identifier.count > characters + 4 ? leftOut + identifier.suffix(characters) : identifier
    }
}

extension DID {
    /// The node's short name, for lines that people read.
    package var short: String { ShortName.of(text) }
}
