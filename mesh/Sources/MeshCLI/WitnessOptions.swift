import ArgumentParser
import MerkleLog
import PeerIdentity

/// Whose cosignatures a reader asks of a head.
struct WitnessOptions: ParsableArguments {
    @Option(
        name: .customLong("witness"),
        help: ArgumentHelp(
            "A witness whose cosignature counts, by its key as mesh dag witness prints it there; for several, several "
                + "times.", valueName: "key"))
    var witnesses: [String] = []

    @Option(
        help: ArgumentHelp(
            "How many of them have to have cosigned each head; by default so many that two histories cannot both have "
                + "them while fewer than a third are in league with the author.", valueName: "number"))
    var quorum: Int?

    @Option(
        help: ArgumentHelp(
            "How many of them may be in league with the author; by default fewer than a third.", valueName: "number"))
    var faulty: Int?

    @Option(
        help: ArgumentHelp("The oldest cosignature that counts, in seconds; by default a day.", valueName: "seconds"))
    var maxAge: UInt64 = 86_400

    /// What is asked of a head.
    struct Wanted {
        let keys: [NoteKey]
        let quorum: WitnessQuorum
        let ageSecondsMax: UInt64
    }

    /// How far ahead the clock of a witness may be, in seconds.
    static let aheadSecondsMax: UInt64 = 300

    /// What is asked of a head; nil where no witness is named.
    func wanted() throws -> Wanted? {
        guard !witnesses.isEmpty else {
            guard quorum == nil, faulty == nil else {
                throw ValidationError("--quorum and --faulty are about the keys of --witness, and there is none.")
            }
            return nil
        }
        guard witnesses.count <= WitnessEntry.countMax else {
            throw ValidationError("At most \(WitnessEntry.countMax) witnesses are counted.")
        }
        let keys = try witnesses.map { text in
            guard let entry = WitnessEntry(text: text) else {
                throw ValidationError("\(text) is no key of a witness: mesh dag witness prints it there.")
            }
            return entry.key
        }
        // One that is named twice, or under two names, would count twice.
        guard Set(keys.map(\.publicKey.rawBytes)).count == keys.count else {
            throw ValidationError("Two keys of --witness are the same.")
        }
        let least = WitnessQuorum(of: keys.count)
        let many = faulty ?? least?.faulty ?? 0
        guard (0..<keys.count).contains(many) else {
            throw ValidationError(
                "--faulty is \(many), and it has to be from 0 to \(keys.count - 1): of \(keys.count) witnesses one at "
                    + "least is not in league with the author.")
        }
        let needed = quorum ?? (keys.count + many) / 2 + 1
        guard let quorum = WitnessQuorum(of: keys.count, faulty: many, needed: needed) else {
            throw ValidationError(
                "\(needed) of \(keys.count) witnesses, \(many) of which may be in league with the author, can have "
                    + "cosigned two histories: --quorum has to be more than half of both numbers together, and at most "
                    + "the number of witnesses.")
        }
        return Wanted(keys: keys, quorum: quorum, ageSecondsMax: maxAge)
    }
}
