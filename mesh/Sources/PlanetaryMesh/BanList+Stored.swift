import IPLD
import MeshStore
import NodeCore

extension BanList {
    /// The setting that holds it.
    private static let key = "bans"

    /// Whom the owner banned before the last stop. One that cannot be read is no empty one.
    static func stored(in store: MeshStore) async throws(MeshStoreError) -> BanList {
        guard let bytes = try await store.setting(key) else { return BanList() }
        guard let bans = try? DAGCBORDecoder().decode([Ban].self, from: bytes) else {
            throw MeshStoreError.recordCorrupt(table: "settings", row: 0)
        }
        return BanList(bans)
    }

    /// Keeps it over restarts.
    func keep(in store: MeshStore) async throws(MeshStoreError) {
        guard let bytes = try? DAGCBOREncoder().encode(all) else {
            preconditionFailure("peers, dates and notes have no value that DAG-CBOR lacks")
        }
        try await store.commit([.setting(key: Self.key, value: bytes)])
    }
}
