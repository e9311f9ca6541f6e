import Determinism
import JobMarket
import MeshTypes
import Multiformats
import Testing

@testable import NodeCore

/// Looking for executors by what they offer.
@Suite struct ExecutorSeekerTests {
    private func policy(_ features: [String], regions: [String]? = nil) -> ExecutionPolicy {
        var policy = ExecutionPolicy()
        policy.requiredFeatures = features
        policy.regionFilter = regions
        return policy
    }

    private func at(_ milliseconds: Int64) -> MonotonicInstant { .zero.advanced(milliseconds: milliseconds) }

    @Test("An executor has keys for its region and for what not everybody has, keysMax at most")
    func keys() {
        var executor = ExecutorConfiguration()
        #expect(OfferKeys.of(executor).isEmpty)
        executor.region = "eu"
        executor.features = OfferKeys.common + ["simd"]
        #expect(OfferKeys.of(executor) == [OfferKeys.region("eu"), OfferKeys.feature("simd")])
        #expect(OfferKeys.region("simd") != OfferKeys.feature("simd"))
        let engine = ExecutionIdentity.feature(of: executor.engine)
        executor.features = (0..<100).map { "a feature \($0)" } + [engine]
        #expect(OfferKeys.of(executor).count == OfferKeys.keysMax)
        #expect(OfferKeys.of(executor)[1] == OfferKeys.feature(engine), "every job asks for it")
        #expect(OfferKeys.of(policy(OfferKeys.common)).isEmpty)
        #expect(
            OfferKeys.of(policy(["simd"], regions: ["eu"])) == [OfferKeys.region("eu"), OfferKeys.feature("simd")])
    }

    @Test("A key is looked up once a minute; where nobody could be asked, soon again")
    func again() {
        var seeker = ExecutorSeeker()
        let (wanted, key) = (policy(["simd"]), OfferKeys.feature("simd"))
        #expect(!seeker.expectsSomebody(now: .zero))
        #expect(seeker.toSeek(for: wanted, now: .zero) == [key])
        #expect(seeker.expectsSomebody(now: .zero))
        #expect(seeker.toSeek(for: wanted, now: at(100_000)).isEmpty, "it is under way")
        seeker.sought(key, isAnswered: true, hasMet: false, now: at(10))
        #expect(!seeker.expectsSomebody(now: at(10)))
        let again = seeker.limits.againMilliseconds
        #expect(seeker.toSeek(for: wanted, now: at(again - 1)).isEmpty)
        #expect(seeker.toSeek(for: wanted, now: at(again)) == [key])
        seeker.sought(key, isAnswered: false, hasMet: false, now: at(again))
        let soon = again + seeker.limits.unansweredMilliseconds
        #expect(seeker.toSeek(for: wanted, now: at(soon - 1)).isEmpty)
        #expect(seeker.toSeek(for: wanted, now: at(soon)) == [key])
        #expect(!seeker.expectsSomebody(now: at(soon)), "no job waits for a second try")
        seeker.sought(key, isAnswered: true, hasMet: true, now: at(soon))
        let awaited = soon + seeker.limits.awaitedMilliseconds
        #expect(seeker.expectsSomebody(now: at(awaited - 1)) && !seeker.expectsSomebody(now: at(awaited)))
    }

    @Test("keysPerJobMax for a job, atOnceMax at once, and keysMax are remembered")
    func bounded() {
        var seeker = ExecutorSeeker()
        let limits = seeker.limits
        let all = (0..<(limits.keysMax + 8)).map { "feature \($0)" }
        #expect(seeker.toSeek(for: policy(all), now: .zero) == all.prefix(limits.keysPerJobMax).map(OfferKeys.feature))
        #expect(seeker.toSeek(for: policy(Array(all[4..<8])), now: .zero).count == 4)
        #expect(seeker.toSeek(for: policy(Array(all[8..<12])), now: .zero).isEmpty, "\(limits.atOnceMax) are under way")
        var limitless = ExecutorSeeker.Limits()
        limitless.atOnceMax = .max
        var other = ExecutorSeeker(limits: limitless)
        for feature in all {
            for key in other.toSeek(for: policy([feature]), now: .zero) {
                other.sought(key, isAnswered: true, hasMet: false, now: .zero)
            }
        }
        #expect(other.toSeek(for: policy([all[0]]), now: .zero).count == 1, "the eldest was forgotten")
        #expect(other.toSeek(for: policy([all[all.count - 1]]), now: .zero).isEmpty)
    }
}
