import Foundation

/// The seeds that a test plays: some of them, or all with `MESH_SIMULATION_SEEDS=all`, as CI does.
enum Seeds {
    static let isAll = ProcessInfo.processInfo.environment["MESH_SIMULATION_SEEDS"] == "all"

    static func some(_ few: [UInt64], of all: ClosedRange<UInt64>) -> [UInt64] { isAll ? Array(all) : few }
}
