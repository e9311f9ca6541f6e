import NodeAPI
import Testing

@testable import MeshCLI

/// What is typed goes to the attempt that there is, and its end to each.
@Suite struct TypedBytesTests {
    @Test func theEndGoesToEachAttempt() throws {
        let typed = TypedBytes()
        #expect(typed.add([1, 2, 3], isForced: false))
        typed.end()
        #expect(typed.next(bytesMax: 2) == nil, "nobody was heard yet")
        for attempt in [UInt64(1), 2] {
            let place = SessionPlace(client: 1, attempt: attempt)
            typed.set(place, isInputOver: false)
            while let part = typed.next(bytesMax: 2) {
                #expect(part.place.attempt == attempt && part.isLast == (part.bytes.count < 2))
                var behind = part.place
                behind.position += UInt64(part.bytes.count)
                #expect(typed.sent(part, behind))
            }
        }
        typed.set(SessionPlace(client: 1, attempt: 3), isInputOver: true)
        #expect(typed.add([4], isForced: false) && typed.next(bytesMax: 2) == nil, "its input is over")
    }

    @Test func anAttemptThatIsGoneTakesNothingMore() throws {
        let typed = TypedBytes()
        typed.set(SessionPlace(client: 1, attempt: 1), isInputOver: false)
        #expect(typed.add([1, 2], isForced: false))
        let part = try #require(typed.next(bytesMax: 1))
        #expect(!typed.sent(part, part.place), "nothing was taken")
        #expect(typed.sent(part, SessionPlace(client: 1, attempt: 2)))
        #expect(typed.next(bytesMax: 1) == nil, "where the other attempt is has to be heard first")
        typed.set(SessionPlace(client: 1, attempt: 2), isInputOver: false)
        #expect(typed.next(bytesMax: 1)?.bytes == [2])
    }

    @Test func keysThatNobodyTakesAreBounded() {
        let typed = TypedBytes()
        #expect(typed.add(Array(repeating: 1, count: TypedBytes.bytesMax)[...], isForced: true))
        #expect(!typed.add([1], isForced: true))
    }
}
