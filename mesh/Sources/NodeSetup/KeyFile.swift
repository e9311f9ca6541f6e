import Crypto
import CryptoExtras
import IPLD
import Multiformats
package import PeerIdentity
package import SignedObjects

/// The text of a file that holds an identity, plain or encrypted with a passphrase.
///
/// It is one line of DAG-JSON: format and version, the DID and PeerID for people, and the key or its encryption.
/// ChaCha20-Poly1305 under scrypt of the passphrase encrypts keys; DID and scrypt parameters are authenticated with
/// them. `KeyStore` checks the file's mode (0600) and owner.
package enum KeyFile {
    /// The work that scrypt does for one passphrase, and so the cost of guessing.
    package struct Work: Hashable, Sendable {
        /// The cost parameter N as a power of two.
        package let costLog2: Int
        /// The block size r.
        package let blockSize: Int
        /// The parallelism p.
        package let parallelism: Int

        /// The work for new files: N = 2^15, r = 8, p = 1, which takes 32 MiB and some 100 ms.
        package static let standard = Work(costLog2: 15, blockSize: 8, parallelism: 1)

        /// Work that files may ask for: N from 2^10 to 2^18, r and p from 1 to 16; nil outside, so that no file can ask
        /// for all memory.
        package init?(log2: Int, blockSize: Int, parallelism: Int) {
            guard (10...18).contains(log2), (1...16).contains(blockSize), (1...16).contains(parallelism) else {
                return nil
            }
            self.init(costLog2: log2, blockSize: blockSize, parallelism: parallelism)
        }

        private init(costLog2: Int, blockSize: Int, parallelism: Int) {
            self.costLog2 = costLog2
            self.blockSize = blockSize
            self.parallelism = parallelism
        }
    }

    /// The largest file that is read, in bytes.
    package static let bytesMax = 16 << 10

    private static let format = "planetary-mesh-key"
    private static let version: UInt64 = 1

    /// The text of a file; encrypted if there is a passphrase. Salt and nonce are the system's random numbers.
    package static func encode(
        _ identity: Identity, passphrase: String? = nil, work: Work = .standard
    ) throws(KeyFileError) -> String {
        var fields: [IPLDMap.Entry] = [
            IPLDMap.Entry(key: "format", value: .string(format)),
            IPLDMap.Entry(key: "version", value: .unsigned(version)),
            IPLDMap.Entry(key: "did", value: .string(identity.did.text)),
            IPLDMap.Entry(key: "peer_id", value: .string(identity.peerID.text)),
        ]
        if let passphrase {
            let salt = Array(randomBytes(32))
            let parameters = scryptFields(work, salt: salt)
            let key = try deriveKey(passphrase, salt: salt, work)
            let header = try authenticated(identity.did, parameters)
            guard let sealed = try? ChaChaPoly.seal(identity.seed, using: key, authenticating: header) else {
                throw .encryptionFailed
            }
            fields.append(IPLDMap.Entry(key: "scrypt", value: .map(parameters)))
            fields.append(IPLDMap.Entry(key: "chacha20_poly1305", value: .bytes(Array(sealed.combined))))
        } else {
            fields.append(IPLDMap.Entry(key: "seed", value: .bytes(identity.seed)))
        }
        guard let map = try? IPLDMap(fields), let text = try? DAGJSON.text(of: .map(map)) else {
            throw .encryptionFailed
        }
        return text + "\n"
    }

    /// Whether a text is a key file that needs a passphrase.
    package static func isEncrypted(_ text: String) throws(KeyFileError) -> Bool {
        try parse(text)["scrypt"] != nil
    }

    /// The DID in a text, which needs no passphrase.
    package static func did(in text: String) throws(KeyFileError) -> DID {
        guard case .string(let did)? = try parse(text)["did"], let did = try? DID(parsing: did) else {
            throw .malformed
        }
        return did
    }

    /// The identity in a text; a plain file ignores the passphrase.
    package static func decode(_ text: String, passphrase: String? = nil) throws(KeyFileError) -> Identity {
        let file = try parse(text)
        guard case .string(let didText)? = file["did"], let did = try? DID(parsing: didText) else { throw .malformed }
        let seed: [UInt8]
        if case .bytes(let plain)? = file["seed"] {
            seed = plain
        } else {
            guard let passphrase else { throw .passphraseNeeded }
            seed = try decrypt(file, did, passphrase)
        }
        guard let identity = try? Identity(seed: seed) else { throw .malformed }
        if identity.did != did { throw .keysDisagree }
        return identity
    }

    private static func parse(_ text: String) throws(KeyFileError) -> IPLDValue {
        if text.utf8.count > bytesMax { throw .tooLarge(bytesMax: bytesMax) }
        guard let file = try? DAGJSON.decode(Array(text.utf8), form: .relaxed), file["format"] == .string(format) else {
            throw .notAKeyFile
        }
        if file["version"] != .unsigned(version) { throw .unsupportedVersion }
        return file
    }

    private static func decrypt(_ file: IPLDValue, _ did: DID, _ passphrase: String) throws(KeyFileError) -> [UInt8] {
        guard case .map(let parameters)? = file["scrypt"], case .bytes(let sealed)? = file["chacha20_poly1305"],
            case .bytes(let salt)? = parameters["salt"], case .unsigned(let log2)? = parameters["log2_n"],
            case .unsigned(let blockSize)? = parameters["r"], case .unsigned(let parallelism)? = parameters["p"],
            let work = Work(
                log2: Int(clamping: log2), blockSize: Int(clamping: blockSize),
                parallelism: Int(clamping: parallelism)),
            let box = try? ChaChaPoly.SealedBox(combined: sealed)
        else { throw .malformed }
        let key = try deriveKey(passphrase, salt: salt, work)
        let header = try authenticated(did, parameters)
        guard let seed = try? ChaChaPoly.open(box, using: key, authenticating: header) else { throw .wrongPassphrase }
        return Array(seed)
    }

    private static func scryptFields(_ work: Work, salt: [UInt8]) -> IPLDMap {
        [
            "log2_n": .unsigned(UInt64(work.costLog2)), "r": .unsigned(UInt64(work.blockSize)),
            "p": .unsigned(UInt64(work.parallelism)), "salt": .bytes(salt),
        ]
    }

    private static func authenticated(_ did: DID, _ parameters: IPLDMap) throws(KeyFileError) -> [UInt8] {
        let header: IPLDValue = .map(["did": .string(did.text), "scrypt": .map(parameters)])
        do {
            return try DAGCBOR.encode(header)
        } catch {
            throw .malformed
        }
    }

    private static func deriveKey(_ passphrase: String, salt: [UInt8], _ work: Work) throws(KeyFileError)
        -> SymmetricKey
    {
        do {
            return try KDF.Scrypt.deriveKey(
                from: Array(passphrase.utf8), salt: salt, outputByteCount: 32, rounds: 1 << work.costLog2,
                blockSize: work.blockSize, parallelism: work.parallelism)
        } catch {
            throw .encryptionFailed
        }
    }

    private static func randomBytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }
}

/// Why a text holds no identity.
package enum KeyFileError: Error, Hashable, Sendable {
    /// The text is longer than a key file.
    case tooLarge(bytesMax: Int)
    /// The text is not JSON, or not that of a key file.
    case notAKeyFile
    /// The file is of a later version of the format.
    case unsupportedVersion
    /// A field is missing, of the wrong kind, or asks for more work than allowed.
    case malformed
    /// The file is encrypted and no passphrase was given.
    case passphraseNeeded
    /// The passphrase is wrong, or somebody changed the file.
    case wrongPassphrase
    /// The key in the file does not belong to the DID in it.
    case keysDisagree
    /// The cryptographic library refused.
    case encryptionFailed
}

extension KeyFileError: CustomStringConvertible {
    /// One sentence without a full stop, for people.
    package var description: String {
        switch self {
        case .tooLarge(let bytesMax): "it has more than \(bytesMax) bytes"
        case .notAKeyFile: "it is no key file"
        case .unsupportedVersion: "it was written by a later version"
        case .malformed: "a part of it is missing or wrong"
        case .passphraseNeeded: "it is encrypted, and no passphrase was given"
        case .wrongPassphrase: "the passphrase is wrong, or somebody changed the file"
        case .keysDisagree: "the key in it does not belong to its DID"
        case .encryptionFailed: "the cryptographic library refused"
        }
    }
}
