/// An announcement of a job to one executor, as a direct message (PROTOCOL.md, "Invitations").
package enum JobInvitation {
    /// What an executor that takes them has among its features.
    package static let feature = "invitations-v1"
}
