import Determinism
import Multiformats
import OrderedCollections

/// Answers to FIND_NODE that named fewer peers than were wanted, hence every server that their sender knows: they are
/// the same whatever key was asked for, and serve the walks of the next moment.
struct WholeAnswers: Sendable {
    private struct Answer: Sendable {
        let closer: [PeerInfo]
        let until: MonotonicInstant
    }

    private let peersWanted: Int
    private let reuseMilliseconds: Int64
    private let answersMax: Int
    private var answers: OrderedDictionary<PeerID, Answer> = [:]

    init(_ configuration: KademliaConfiguration) {
        peersWanted = configuration.lookup.closestPeersMax
        reuseMilliseconds = configuration.wholeAnswerReuseMilliseconds
        answersMax = configuration.wholeAnswersMax
    }

    /// How many are remembered.
    var count: Int { answers.count }

    /// Takes in what a server answered to FIND_NODE.
    mutating func received(_ closer: [PeerInfo], from peer: PeerID, now: MonotonicInstant) {
        answers.removeValue(forKey: peer)
        guard closer.count < peersWanted, answersMax > 0 else { return }
        if answers.count >= answersMax { answers.removeFirst() }
        answers[peer] = Answer(closer: closer, until: now.advanced(milliseconds: reuseMilliseconds))
    }

    /// What a server would answer now, where that is known.
    func answer(of peer: PeerID, now: MonotonicInstant) -> [PeerInfo]? {
        answers[peer].flatMap { now < $0.until ? $0.closer : nil }
    }

    /// Forgets a server that gave no answer, or is gone.
    mutating func forget(_ peer: PeerID) {
        answers.removeValue(forKey: peer)
    }

    /// Stops with a message when there are more than may be.
    func checkInvariants() {
        precondition(answers.count <= answersMax, "\(answers.count) answers remembered")
    }
}
