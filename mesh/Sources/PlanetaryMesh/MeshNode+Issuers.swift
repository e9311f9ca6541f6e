import JobMarket
import NodeCore
import NodeSetup

// What trusted issuers say of this node.
extension MeshNode {
    /// Tells the market what issuers said before this start, so that what was bid before it is still paid.
    func recallIssuers() async {
        let trusted = parts.configuration.executor.trustedIssuers
        for standing in await parts.holds.remembered(trusted) { take(.fact(.issuerTold(standing))) }
    }

    /// Keeps the market told, until the task is cancelled.
    func followIssuers() async {
        await parts.holds.follow(parts.configuration.executor.trustedIssuers) { [weak self] standing in
            await self?.take(.fact(.issuerTold(standing)))
        }
    }
}
