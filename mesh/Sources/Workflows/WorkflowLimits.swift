/// The bounds of a workflow (THREATS.md): what its definition may have, and what its plan may have at a time.
package struct WorkflowLimits: Hashable, Sendable {
    /// The text of a definition, in bytes.
    package var definitionBytesMax = 1 << 20
    /// Values of a definition: texts, lists and maps.
    package var nodesMax = 1 << 16
    /// Lists and maps within each other.
    package var depthMax = 16
    /// Stages.
    package var stagesMax = 64
    /// Inputs of the workflow, and final outputs, each.
    package var namesMax = 64
    /// A name, in bytes.
    package var nameBytesMax = 64
    /// An argument, a value of the environment or an item of a list, in bytes.
    package var textBytesMax = 32 << 10
    /// Arguments, variables, inputs, mounts, outputs, conditions and accepted codes of a stage, each.
    package var partsMax = 64
    /// Items of one fan-out.
    package var itemsMax = 10_000
    /// Jobs of a workflow, each attempt counted once.
    package var jobsMax = 20_000
    /// Jobs of a workflow that run at the same time.
    package var parallelMax = 256
    /// Jobs that run at the same time where the definition says nothing.
    package var parallelUsual = 32
    /// Repetitions of a job after the mesh's failures.
    package var retriesMax = 16

    package init() {}
}
