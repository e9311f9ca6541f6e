/// A kind of resource that jobs ask for and nodes advertise under the same name.
///
/// The set is open: an unknown name in a job is a requirement that only a node advertising that name can meet.
package struct ResourceType: RawRepresentable, Hashable, Sendable {
    /// The name on the wire.
    package let rawValue: String

    /// A resource type with this name on the wire.
    package init(rawValue: String) {
        self.rawValue = rawValue
    }

    /// Thousandths of a processor core.
    package static let cpuMillicores = ResourceType(rawValue: "cpu_millicores")
    /// Memory in MiB.
    package static let memoryMiB = ResourceType(rawValue: "memory_mib")
    /// Storage in MiB.
    package static let storageMiB = ResourceType(rawValue: "storage_mib")
}

/// Amounts by the name of their `ResourceType`.
package typealias ResourceAmounts = CanonicalMap<UInt64>

extension CanonicalMap where Value == UInt64 {
    /// The amount of a resource type.
    package subscript(resource: ResourceType) -> UInt64? {
        get { self[resource.rawValue] }
        set { self[resource.rawValue] = newValue }
    }

    /// The first requirement, in canonical order, that `offered` does not meet.
    package func firstUnmet(by offered: ResourceAmounts) -> (resource: String, required: UInt64, offered: UInt64)? {
        for entry in entries {
            let available = offered[entry.key] ?? 0
            if available < entry.value { return (entry.key, entry.value, available) }
        }
        return nil
    }
}
