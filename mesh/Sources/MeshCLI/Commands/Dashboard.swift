import ArgumentParser
import Foundation
import MeshHTTP
import NodeAPI
import Subprocess

/// `mesh dashboard`: a link with which a browser signs in to the node.
struct Dashboard: MeshCommand {
    static let configuration = CommandConfiguration(
        abstract: "Print a link with which a browser signs in to this node, once.",
        discussion: """
            The node's API has to listen on TCP: see "api" in config.json, or start the node with mesh up --api. The \
            link is good for some minutes and one use. The browser that opens it stays signed in for half a day, or \
            until the node stops. Give the link to nobody: who has it may do what you may.
            """)

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Let the browser look at everything and change nothing.")
    var readOnly = false

    @Flag(help: "Open the link in the desktop's browser, by xdg-open.")
    var open = false

    func perform(_ console: Console) async throws -> ExitCode {
        let link = try await global.node.signInLink(isReadOnly: readOnly)
        if global.json {
            try console.json(link)
        } else {
            console.out(link.url + "\n")
            console.note("It is good for \(link.seconds / 60) minutes and one use.")
        }
        if open, await !Self.show(link, in: global.nodeHome) {
            console.note("No browser could be opened by xdg-open: open the link yourself.")
        }
        return .success
    }

    /// Opens a link by a file that leads to it: everybody on the machine sees the arguments of programs, and only the
    /// owner such a file.
    private static func show(_ link: SignInLink, in home: NodeHome) async -> Bool {
        let page = "<!doctype html><meta http-equiv=\"refresh\" content=\"0; url=\(link.url)\">\n"
        umask(0o077)
        guard (try? LocalFile.write(Array(page.utf8), to: home.signInPagePath)) != nil else { return false }
        return await opens(home.signInPagePath)
    }

    private static func opens(_ path: String) async -> Bool {
        let result = try? await Subprocess.run(
            .name("xdg-open"), arguments: [path], input: .none, output: .discarded, error: .discarded)
        return result?.terminationStatus.isSuccess ?? false
    }
}
