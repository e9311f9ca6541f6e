package import Credit
package import MeshTypes
package import SignedObjects

/// A result that its executor leaves with the arbiter of its hold, since its originator does not say that it has it.
package struct LodgingOrder: Hashable, Sendable {
    /// The job.
    package let jobID: JobID
    /// The hold that pays for it.
    package let certificate: SignedObject<HoldCertificate>
    /// The receipt of it.
    package let receipt: SignedObject<ExecutionReceipt>
    /// What it is sealed to: the originator's key for this attempt.
    package let sealingKey: [UInt8]
}
