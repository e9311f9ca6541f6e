import Credit
import Crypto
import Foundation
import IPLD
import MeshTypes
import Multiformats
import SignedObjects

/// A result as an arbiter keeps it: a receipt and all that it owes, in one archive that only its originator can open.
///
/// The archive (a CAR whose root is the receipt) is sealed in parts by HPKE (RFC 9180) in base mode:
/// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. Each part is one message of the same context, whose
/// additional data says which of how many parts it is; the encapsulated key stands before the first.
enum SealedResult {
    private static let suite = HPKE.Ciphersuite.Curve25519_SHA256_ChachaPoly
    private static let encapsulatedBytes = 32

    /// What the key is good for: the result of one receipt, left for one hold.
    private static func info(_ hold: CID, _ receipt: CID) -> Data {
        Data(Array("icn-mesh/v1/SealedResult".utf8) + [0] + hold.bytes + receipt.bytes)
    }

    private static func place(_ number: Int, _ count: Int) -> Data {
        Data([UInt8(truncatingIfNeeded: number), UInt8(truncatingIfNeeded: count)])
    }

    /// Seals an archive; nil if it is empty or longer than `SealedPart.Limits.bytesMax`, or nothing can be sealed to
    /// the key.
    static func seal(_ archive: [UInt8], to key: [UInt8], of receipt: CID, for hold: CID) -> [SealedPart]? {
        let length = SealedPart.Limits.partBytes
        guard !archive.isEmpty, archive.count <= SealedPart.Limits.bytesMax, SealingKey.isUsable(key),
            let key = try? Curve25519.KeyAgreement.PublicKey(rawRepresentation: key),
            var sender = try? HPKE.Sender(recipientKey: key, ciphersuite: suite, info: info(hold, receipt))
        else { return nil }
        let count = (archive.count + length - 1) / length
        var parts: [SealedPart] = []
        for number in 0..<count {
            let plain = archive[number * length..<min((number + 1) * length, archive.count)]
            guard let sealed = try? sender.seal(plain, authenticating: place(number, count)) else { return nil }
            let bytes = (number == 0 ? [UInt8](sender.encapsulatedKey) : []) + [UInt8](sealed)
            parts.append(
                SealedPart(receiptCID: receipt, number: UInt64(number), count: UInt64(count), bytes: bytes))
        }
        return parts
    }

    /// Opens all parts, in their order; nil if a part is not what was sealed there.
    static func open(_ parts: [[UInt8]], with key: SealingKey, of receipt: CID, for hold: CID) -> [UInt8]? {
        guard let first = parts.first, first.count > encapsulatedBytes, parts.count <= SealedPart.Limits.partsMax,
            let secret = try? Curve25519.KeyAgreement.PrivateKey(rawRepresentation: key.secret),
            var recipient = try? HPKE.Recipient(
                privateKey: secret, ciphersuite: suite, info: info(hold, receipt),
                encapsulatedKey: Data(first.prefix(encapsulatedBytes)))
        else { return nil }
        var archive: [UInt8] = []
        for (number, part) in parts.enumerated() {
            let sealed = number == 0 ? part.dropFirst(encapsulatedBytes) : part[...]
            let place = place(number, parts.count)
            guard let plain = try? recipient.open(sealed, authenticating: place) else { return nil }
            archive += plain
        }
        return archive
    }
}

/// What an archive of a result has, held against its receipt.
struct LodgedResult: Sendable {
    /// The most blocks of an archive, equal ones once: more than all outputs of a run can have.
    private static let blocksMax = 262_144

    /// The blocks that the receipt owes.
    let blocks: [(cid: CID, bytes: [UInt8])]

    /// The result in an archive; nil unless it has the receipt and every block of what that owes.
    init?(_ archive: [UInt8], of receipt: SignedObject<ExecutionReceipt>) {
        var limits = CAR.Limits()
        limits.bytesMax = SealedPart.Limits.bytesMax
        limits.blocksMax = Self.blocksMax
        guard let car = try? CAR(decoding: archive, limits: limits), car.roots == [receipt.cid] else { return nil }
        var found: [CID: [UInt8]] = [:]
        for block in car.blocks { found[block.cid] = block.bytes }
        var owed: [(cid: CID, bytes: [UInt8])] = []
        for root in receipt.body.owedBlocks {
            guard root.namesFileContent else {
                guard let block = found[root] ?? root.ownBlock else { return nil }
                if found[root] != nil { owed.append((root, block)) }
                continue
            }
            var walk = UnixFSTreeWalk(root: root)
            while let cid = walk.next() {
                guard let block = found[cid] ?? cid.ownBlock, (try? walk.received(block, of: cid)) != nil else {
                    return nil
                }
                if found[cid] != nil { owed.append((cid, block)) }
            }
            guard walk.isComplete else { return nil }
        }
        blocks = owed
    }

    /// The archive of a result; nil if a block of it is not here, or it is longer than can be left with an arbiter.
    static func archive(
        of receipt: SignedObject<ExecutionReceipt>, _ block: (CID) async -> [UInt8]?
    ) async -> [UInt8]? {
        var archive = CAR.encodedHeader(roots: [receipt.cid])
        archive += CAR.Block(cid: receipt.cid, bytes: receipt.bytes).encodedSection
        var seen: Set<CID> = [receipt.cid]
        func append(_ cid: CID, _ bytes: [UInt8]) -> Bool {
            guard cid.ownBlock == nil, seen.insert(cid).inserted else { return true }
            archive += CAR.Block(cid: cid, bytes: bytes).encodedSection
            return archive.count <= SealedPart.Limits.bytesMax && seen.count <= blocksMax
        }
        for root in receipt.body.owedBlocks {
            // Lists of what was read, and transcripts, are one block each.
            guard root.namesFileContent else {
                guard let bytes = await block(root), append(root, bytes) else { return nil }
                continue
            }
            var walk = UnixFSTreeWalk(root: root)
            while let cid = walk.next() {
                guard let bytes = await block(cid), (try? walk.received(bytes, of: cid)) != nil, append(cid, bytes)
                else { return nil }
            }
        }
        return archive
    }
}
