import Testing

@testable import NodeSetup

/// The hours of the day at which an executor takes jobs.
@Suite("Hours of the day")
struct DayHoursTests {
    @Test(
        arguments: [
            // Hours, minutes that are among them, minutes that are not.
            ("09:00-17:30", [540, 541, 1_049], [0, 539, 1_050, 1_439]),
            ("22:00-06:00", [1_320, 1_439, 0, 359], [360, 719, 1_319]),
            ("00:00-24:00", [0, 719, 1_439], []),
            ("23:59-00:00", [1_439], [0, 1_438]),
            ("00:00-00:01", [0], [1, 1_439]),
        ] as [(String, [Int], [Int])])
    func contents(text: String, among: [Int], not: [Int]) throws {
        let hours = try #require(DayHours(text))
        for minute in among { #expect(hours.contains(minute: minute), "\(minute)") }
        for minute in not { #expect(!hours.contains(minute: minute), "\(minute)") }
    }

    /// A part of the day and the rest of it share no minute, and leave none out.
    @Test func everyMinuteIsOnOneSide() throws {
        for (one, other) in [
            ("22:00-06:00", "06:00-22:00"), ("00:00-13:37", "13:37-24:00"), ("05:00-05:01", "05:01-05:00"),
        ] {
            let (left, right) = (try #require(DayHours(one)), try #require(DayHours(other)))
            for minute in 0..<DayHours.dayMinutes {
                #expect(left.contains(minute: minute) != right.contains(minute: minute), "\(one) at \(minute)")
            }
        }
    }

    @Test(arguments: [
        "", "-", "22:00", "22:00-", "-06:00", "22-06", "22:00-06:00-07:00", "24:00-06:00", "25:00-06:00", "22:60-06:00",
        "22:00-24:01", "9:00-17:00", "09:00-09:00", " 09:00-17:00", "09:00 - 17:00", "ab:cd-ef:gh", "09.00-17.00",
        "+9:00-17:00", "-1:00-17:00", "٠٩:٠٠-١٧:٠٠",
    ])
    func nonsense(text: String) {
        #expect(DayHours(text) == nil)
    }

    @Test func anExecutorWithoutHoursTakesJobsAtAll() {
        var executor = NodeConfiguration.Executor()
        #expect(executor.takesJobs(atMinute: 0))
        executor.hours = ["22:00-06:00", "12:00-13:00"]
        #expect([0, 740, 1_400].allSatisfy(executor.takesJobs))
        #expect([400, 780, 1_319].allSatisfy { !executor.takesJobs(atMinute: $0) })
    }
}
