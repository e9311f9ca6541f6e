import ArgumentParser
import Foundation
import MeshHTTP
import NodeAPI
import NodeSetup

/// The options that every command takes.
struct GlobalOptions: ParsableArguments {
    @Option(help: "The node's home folder (or MESH_HOME in the environment).", completion: .directory)
    var home: String?

    @Flag(help: "Print JSON instead of text.")
    var json = false

    /// The home folder: by option, by environment, or the default.
    var nodeHome: NodeHome {
        let environment = ProcessInfo.processInfo.environment["MESH_HOME"].flatMap { $0.isEmpty ? nil : $0 }
        return NodeHome(path: home ?? environment ?? NodeHome.defaultPath)
    }

    /// The settings of the node in the home folder, from all sources.
    func layers(options: [String: ConfigurationValue] = [:]) throws -> ConfigurationLayers {
        try ConfigurationLayers(
            path: nodeHome.configurationPath, environment: ProcessInfo.processInfo.environment, options: options)
    }

    /// The node that runs in the home folder.
    var node: NodeClient { NodeClient(socketPath: nodeHome.socketPath) }
}

/// A command of `mesh`: `perform` does its work; this protocol reports its failures.
protocol MeshCommand: AsyncParsableCommand {
    /// The options of every command.
    var global: GlobalOptions { get }

    /// Does the work; returns the exit code.
    func perform(_ console: Console) async throws -> ExitCode
}

extension MeshCommand {
    func run() async throws { try await global.report(perform) }
}

extension GlobalOptions {
    /// Does a command's work, and turns every failure into one sentence and an exit code.
    func report(_ work: (Console) async throws -> ExitCode) async throws {
        let console = Console(home: home)
        let code: ExitCode
        do {
            code = try await work(console)
        } catch var error as NodeServiceError {
            if error.code == .nodeNotRunning, error.hint != nil { error = absence(error) }
            let status = ExitStatus(error.code)
            console.failure(error, status: status, json: json)
            code = ExitCode(status.rawValue)
        } catch let error as LocalFileError {
            console.failure(error.asServiceError, status: .fileFailed, json: json)
            code = ExitCode(ExitStatus.fileFailed.rawValue)
        } catch is CancellationError {
            code = ExitCode(ExitStatus.signalled(SIGINT))
        }
        if code != .success { throw code }
    }

    /// A node that does not answer may never have been made, which needs other advice.
    private func absence(_ error: NodeServiceError) -> NodeServiceError {
        do {
            try nodeHome.requireInitialised()
            var error = error
            error.hint = "Start it with mesh up\(nodeHome.option), or name another home folder with --home."
            return error
        } catch let missing {
            return missing
        }
    }
}
