import Testing

@testable import Multiformats

@Suite struct MemoTests {
    @Test("It knows what was kept, forgets everything when it is full, and never holds more than it may")
    func bounded() {
        let memo = Memo<Int, String>(entriesMax: 3)
        for number in 1...3 { memo.keep("\(number)", of: number) }
        memo.keep("three", of: 3)
        #expect((1...4).map { memo.value(of: $0) } == ["1", "2", "three", nil])
        memo.keep("4", of: 4)
        #expect((1...4).map { memo.value(of: $0) } == [nil, nil, nil, "4"])
        for number in 1...100 {
            memo.keep("\(number)", of: number)
            #expect(memo.count <= 3)
        }
    }
}
