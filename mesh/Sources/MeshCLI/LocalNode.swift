import Foundation
import Logging
import NodeAPI
import NodeSetup
import PeerIdentity

/// A node for one command: in this process, in a folder of its own that goes with it, without a network and without
/// prices.
///
/// It has the limits of the user's node, or the standard ones where there is none, and shares its compiled modules.
struct LocalNode: Sendable {
    /// Opens it.
    let opener: NodeOpener
    /// Whose settings and compiled modules it has.
    let home: NodeHome

    /// Opens the node, works with it, and removes it again.
    func use<Answer>(_ work: (any NodeService) async throws -> Answer) async throws -> Answer {
        umask(0o077)
        let folder = try Self.makeFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let node = try await opener.open(
            sharing(NodeHome(path: folder)), try configuration(), nil, Identity.generate(),
            SafeLogHandler.logger(level: .error))
        return try await withTaskGroup(of: Ending.self, returning: Result<Answer, any Error>.self) { group in
            group.addTask { await Self.run(node) }
            let answer: Result<Answer, any Error>
            do {
                answer = .success(try await work(node))
            } catch {
                answer = .failure(error)
            }
            try? await node.shutdown()
            let ending = await group.next()
            if let failure = ending?.failure { return .failure(failure) }
            return answer
        }.get()
    }

    /// How the node ended.
    private struct Ending: Sendable {
        let failure: NodeServiceError?
    }

    /// Runs the node to its end; if it ends by itself, whoever waits for it is told so.
    private static func run(_ node: any RunningNode) async -> Ending {
        do {
            try await node.run()
            return Ending(failure: nil)
        } catch {
            try? await node.shutdown()
            return Ending(
                failure: error as? NodeServiceError ?? NodeServiceError(.internalError, "The node ended: \(error)."))
        }
    }

    /// The limits of the user's node, without a network, prices and patience.
    func configuration() throws -> NodeConfiguration {
        var configuration = NodeConfiguration()
        if FileManager.default.fileExists(atPath: home.configurationPath) {
            configuration = try ConfigurationLayers(
                path: home.configurationPath, environment: ProcessInfo.processInfo.environment
            ).read().configuration
        }
        configuration.listen = []
        configuration.announce = []
        configuration.bootstrap = []
        configuration.executor.isEnabled = true
        configuration.executor.priceBase = 0
        configuration.executor.pricePerMillionFuel = 0
        // Nobody else bids, and nothing is left behind that another start would take up.
        configuration.originator.bidWindowMilliseconds = 0
        configuration.drainSeconds = 0
        configuration.logLevel = "error"
        return configuration
    }

    /// The home with the user's compiled modules, where a folder for them can be had.
    private func sharing(_ own: NodeHome) -> NodeHome {
        guard case .some(.none) = try? home.create() else { return own }
        return own.sharingCache(of: home)
    }

    /// A new folder for this user alone; its path is short, as that of a socket has to be.
    private static func makeFolder() throws -> String {
        var template = Array("/tmp/mesh-local.XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw LocalFileError(path: "/tmp", reason: String(cString: strerror(errno)))
        }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
