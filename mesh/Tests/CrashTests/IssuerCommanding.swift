import Foundation
import Testing

/// A suite that commands issuers and their members by the real program, and reads what it prints.
protocol IssuerCommanding {}

extension IssuerCommanding {
    /// A node's DID.
    func did(_ node: NodeProcess) throws -> String {
        let status = try #require(try node.run(["status", "--json"]).json() as? [String: Any])
        return try #require(status["did"] as? String)
    }

    /// The object that a command that succeeds prints.
    func object(_ finished: NodeProcess.Finished) throws -> [String: Any] {
        try #require(finished.status == 0, "\(finished.errors)")
        return try #require(try finished.json() as? [String: Any])
    }

    /// Balances by member, as the issuer's owner sees them.
    func balances(_ issuer: NodeProcess) throws -> [String: Int64] {
        let lines = try #require(try issuer.run(["issuer", "members", "--json"]).json() as? [[String: Any]])
        return Dictionary(
            uniqueKeysWithValues: try lines.map {
                (try #require($0["did"] as? String), try #require(($0["balance"] as? NSNumber)?.int64Value))
            })
    }
}
