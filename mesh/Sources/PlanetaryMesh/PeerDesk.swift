import JobMarket
import LibP2P
import Logging
import MeshStore
import MeshTypes
import Multiformats
import NodeAPI
import NodeCore
import NodeSetup
import P2PServices
import PeerIdentity
import SignedObjects

/// Carries out what the owner orders about peers, one order after the other: each begins with the list that the one
/// before has left on the disk.
actor PeerDesk {
    private let parts: NodeParts
    private var isBusy = false
    // BOUNDED: by the requests that the API takes at once.
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(parts: NodeParts) {
        self.parts = parts
    }

    /// Obeys an order; what lasts is on the disk before anything follows from it.
    func obey(
        _ order: PeerOrder, about asked: OrderedPeer, on node: MeshNode
    ) async throws(NodeServiceError) -> PeerOrderOutcome {
        let peer = try Self.peer(named: asked.peer)
        guard peer != parts.identity.peerID else {
            throw NodeServiceError(
                .invalidRequest, "\(asked.peer) is this node itself.", hint: "Name another peer; mesh peers lists them."
            )
        }
        // The other form of a peer ID is a hash of a key, which no connection of a node ever proves.
        guard order != .ban || (try? PublicKey(peerID: peer)) != nil else {
            throw NodeServiceError(
                .invalidRequest,
                "\(asked.peer) names no Ed25519 key, so it is no node, and a ban would keep nobody away.",
                hint: "Ban the peer ID that mesh peers --full prints, which begins with 12D3KooW.")
        }
        await enter()
        defer { leave() }
        let before = await node.core.dealings.bans
        var outcome = PeerOrderOutcome(peerID: peer.text, did: (try? PublicKey(peerID: peer))?.did.text)
        outcome.wasBanned = before[peer] != nil
        outcome.isBanned = outcome.wasBanned
        outcome.isBootstrap = parts.configuration.bootstrap.contains { $0.peerID == peer }
        switch order {
        case .ban: try await ban(peer, try Self.note(asked), before, &outcome, on: node)
        case .allow: try await allow(peer, before, &outcome, on: node)
        case .forget: try await forget(peer, &outcome, on: node)
        }
        return outcome
    }

    private func ban(
        _ peer: PeerID, _ note: String?, _ before: BanList, _ outcome: inout PeerOrderOutcome, on node: MeshNode
    ) async throws(NodeServiceError) {
        var list = before
        let noted = before[peer]?.note
        if let note, let noted, !noted.isEmpty, note != noted { outcome.replacedNote = noted }
        let note = note ?? noted ?? ""
        let ranJobs = await Self.offersRuns(peer, on: node) ? true : nil
        guard list.ban(BanList.Ban(peer: peer, at: NodeClock.wallClock.value, note: note, ranJobs: ranJobs)) else {
            throw NodeServiceError(
                .tooLarge, "\(peer) is not banned: \(BanList.peersMax) peers are, and no node keeps more.",
                hint: "Allow one of them again first; mesh peers bans lists them, the oldest first.")
        }
        try await keep(list)
        outcome.isBanned = true
        outcome.closedConnections = await parts.swarm.deny(list.peers)
        let work = await Self.take(.ban(peer, list), on: node)
        (outcome.stoppedJobs, outcome.reassignedJobs) = (work.stopped, work.reassigned)
        parts.logger.notice("A peer is banned.", metadata: ["peer": "\(peer)", "note": "\(note)"])
    }

    private func allow(
        _ peer: PeerID, _ before: BanList, _ outcome: inout PeerOrderOutcome, on node: MeshNode
    ) async throws(NodeServiceError) {
        var list = before
        outcome.isBanned = false
        guard list.allow(peer) else { return }
        try await keep(list)
        _ = await Self.take(.allow(list), on: node)
        await parts.swarm.deny(list.peers)
        parts.logger.notice("The ban of a peer is lifted.", metadata: ["peer": "\(peer)"])
    }

    private func forget(
        _ peer: PeerID, _ outcome: inout PeerOrderOutcome, on node: MeshNode
    ) async throws(NodeServiceError) {
        outcome.closedConnections = parts.swarm.connectionAddresses(to: peer).count
        let row = try await stored { () throws(MeshStoreError) in
            try await parts.store.peers().first { $0.peerID == peer }
        }
        // What a connection tells would be remembered again.
        await parts.swarm.disconnect(peer)
        await parts.peerService.forget(peer)
        let known = await parts.swarm.forget(peer)
        outcome.forgottenAddresses = max(known, row?.addresses.count ?? 0)
        try await stored { () throws(MeshStoreError) in try await parts.store.commit([.forgetPeer(peer)]) }
        _ = await Self.take(.forget(peer), on: node)
        outcome.kept = ["evidence", "ledger", "reputation"] + (outcome.isBanned ? ["ban"] : [])
    }

    private func keep(_ list: BanList) async throws(NodeServiceError) {
        try await stored { () throws(MeshStoreError) in try await list.keep(in: parts.store) }
    }

    /// Whom the owner banned.
    static func views(of list: BanList) -> [PeerBan] {
        list.all.map { ban in
            PeerBan(
                peerID: ban.peer.text, did: (try? PublicKey(peerID: ban.peer))?.did.text, at: ban.at, note: ban.note)
        }
    }

    /// The peer of a DID or a peer ID.
    static func peer(named text: String) throws(NodeServiceError) -> PeerID {
        if let did = try? DID(parsing: text) { return did.peerID }
        if let peer = try? PeerID(parsing: text) { return peer }
        throw NodeServiceError(
            .invalidRequest,
            "\"\(PlainText.sanitized(text, bytesMax: 80))\" is no DID, no peer ID, and no name of a peer here.",
            hint: "mesh peers --full prints all three of each peer.")
    }

    private static func note(_ asked: OrderedPeer) throws(NodeServiceError) -> String? {
        guard let note = asked.note else { return nil }
        guard note.utf8.count <= BanList.noteBytesMax else {
            throw NodeServiceError(
                .tooLarge, "The note has \(note.utf8.count) bytes, and a ban has room for \(BanList.noteBytesMax).",
                hint: "Shorten it.")
        }
        return note
    }

    // MARK: The core

    /// Whether a peer is known to run jobs.
    private static func offersRuns(_ peer: PeerID, on node: isolated MeshNode) -> Bool {
        guard let did = (try? PublicKey(peerID: peer))?.did else { return false }
        return node.core.offer(of: did, at: node.moment) != nil || node.core.isResting(did, at: node.moment)
    }

    /// Takes a change into the core of a node; returns the work that this ended.
    @discardableResult
    static func take(_ change: OwnerChange, on node: isolated MeshNode) -> DroppedWork {
        let (work, effects) = node.core.take(change, at: node.moment)
        node.carryOut(effects)
        return work
    }

    /// Ends the work with those who are banned at the start: a crash may have come between a ban and that.
    static func resume(on node: isolated MeshNode) {
        let bans = node.core.dealings.bans
        for ban in bans.all { take(.ban(ban.peer, bans), on: node) }
    }

    // MARK: Turns

    private func enter() async {
        guard isBusy else {
            isBusy = true
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    private func leave() {
        if waiting.isEmpty { isBusy = false } else { waiting.removeFirst().resume() }
    }
}
