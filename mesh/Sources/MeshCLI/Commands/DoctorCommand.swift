import ArgumentParser
import NodeAPI

/// `mesh doctor`: what is wrong with a node and its machine.
struct DoctorCommand: MeshCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Look for what keeps the node from working, and say what to do about it.",
        discussion: """
            Looks at the home folder, the key, the settings, the clock, ports, peers, the disk and the limits of the \
            system, whether the node runs or not, and changes nothing; it opens connections to the bootstrap peers and \
            says nothing to them. Each line is ok, warn or bad. Exits with 248 if one is bad.
            """)

    @OptionGroup var global: GlobalOptions

    func perform(_ console: Console) async throws -> ExitCode {
        let doctor = Doctor(version: NodeVersion.current, facts: await DoctorFacts.look(at: global.nodeHome))
        let findings = doctor.findings
        if global.json {
            try console.json(findings)
        } else {
            console.out(Self.text(findings))
        }
        let isBad = findings.contains { $0.verdict == .bad }
        return isBad ? ExitCode(ExitStatus.unhealthy.rawValue) : .success
    }

    /// A line for each finding, with what to do behind it.
    static func text(_ findings: [DoctorFinding]) -> String {
        var table = Table([("STATE", .left), ("CHECK", .left), ("FOUND", .left)])
        for finding in findings {
            let remedy = finding.remedy.map { ". \($0)" } ?? ""
            table.add([finding.verdict.rawValue, finding.check, finding.detail + remedy])
        }
        return table.text
    }
}
