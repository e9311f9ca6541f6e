import Foundation
import Testing

/// Machines on one network, as network namespaces of this one: each has an interface on a common bridge, which a test
/// can pull. Made and removed by `ip`, which needs root.
final class Networks {
    /// Something that `ip` refused.
    struct Refused: Error, CustomStringConvertible {
        let description: String
    }

    /// Why there can be no namespaces here; nil where there can.
    static let obstacle: String? = {
        let name = "mt-\(UUID().uuidString.prefix(6))"
        do {
            try ip(["netns", "add", name])
            try ip(["netns", "exec", name, "ip", "link", "set", "lo", "up"])
            try ip(["netns", "del", name])
            return nil
        } catch {
            return "network namespaces need root and iproute2 (\(error))"
        }
    }()

    private let tag = String(UUID().uuidString.prefix(5)).lowercased()
    private var machines: [String] = []
    /// The namespace that holds the bridge, so that nothing is changed on the machine itself.
    private var hub: String { "mt\(tag)hub" }

    init() throws {
        try Self.ip(["netns", "add", hub])
        try Self.ip(["-n", hub, "link", "set", "lo", "up"])
        try Self.ip(["-n", hub, "link", "add", "name", "br0", "type", "bridge"])
        try Self.ip(["-n", hub, "link", "set", "br0", "up"])
    }

    deinit {
        for machine in machines + [hub] { try? Self.ip(["netns", "del", machine]) }
    }

    /// Adds a machine that is plugged in and has no address yet; returns its namespace.
    func addMachine() throws -> String {
        let name = "mt\(tag)\(machines.count)"
        try Self.ip(["netns", "add", name])
        machines.append(name)
        try Self.ip(["-n", name, "link", "set", "lo", "up"])
        try Self.ip([
            "-n", hub, "link", "add", "v\(machines.count)", "type", "veth", "peer", "name", "eth0", "netns", name,
        ])
        try Self.ip(["-n", hub, "link", "set", "v\(machines.count)", "master", "br0", "up"])
        try Self.ip(["-n", name, "link", "set", "eth0", "up"])
        return name
    }

    /// Gives a machine an address, such as 10.77.0.1, and takes those that it had.
    func move(_ machine: String, to address: String) throws {
        try Self.ip(["-n", machine, "addr", "flush", "dev", "eth0"])
        try Self.ip(["-n", machine, "addr", "add", "\(address)/24", "dev", "eth0"])
    }

    /// Pulls the plug: nothing that the machine sends from now on arrives anywhere.
    func unplug(_ machine: String) throws { try set(machine, "down") }

    /// Puts the plug of a machine in again.
    func plug(_ machine: String) throws { try set(machine, "up") }

    private func set(_ machine: String, _ state: String) throws {
        guard let index = machines.firstIndex(of: machine) else { return }
        try Self.ip(["-n", hub, "link", "set", "v\(index + 1)", state])
    }

    private static func ip(_ arguments: [String]) throws {
        let command = try RunningCommand(["ip"] + arguments, program: URL(fileURLWithPath: "/usr/bin/env"))
        let finished = try command.finish()
        guard finished.status == 0 else {
            throw Refused(
                description: "ip \(arguments.joined(separator: " ")): \(finished.errors.prefix(200))")
        }
    }
}
