import Foundation
import Testing

/// The clocks of the nodes that are started with it, which a test can put forward: the dates of holds are minutes and
/// hours away, and what a product ships with is tested, not shorter ones.
///
/// A library that the nodes load before their own adds the seconds of a file that all of them share to what the system
/// says. What sleeps, sleeps as long as ever.
final class LaterClock {
    /// What a node's environment needs.
    let environment: [String: String]
    private let file: URL
    /// How far the calendar is ahead, in seconds.
    private var calendar: Int64 = 0
    /// How far the clock is ahead that goes on while a machine stands still.
    private var steady: Int64 = 0

    /// Builds the library in a folder.
    init(in folder: URL) throws {
        file = folder.appendingPathComponent("later")
        let source = folder.appendingPathComponent("later.c")
        let library = folder.appendingPathComponent("later.so")
        try Data(Self.source.utf8).write(to: source)
        let built = try RunningCommand(
            ["clang", "-O1", "-shared", "-fPIC", "-Wall", "-Werror", "-o", library.path, source.path],
            program: URL(fileURLWithPath: "/usr/bin/env")
        ).finish()
        try #require(built.status == 0, "\(built.errors)")
        environment = ["LD_PRELOAD": library.path, "CRASH_TESTS_LATER": file.path]
        try Data(repeating: 0, count: 16).write(to: file)
    }

    /// Puts the calendar forward. Nodes that run meanwhile would take it for a clock that somebody set.
    func putForward(seconds: Int64) throws {
        calendar += seconds
        try write()
    }

    /// Lets nodes that run see a second more go by, but not in their calendars: what they wait for by the other clock
    /// comes the sooner. An issuer that looks every second and misses ten of them takes it that it stood still.
    func passSecond() throws {
        steady += 1
        try write()
    }

    /// Writes into the file that is mapped, where it is.
    private func write() throws {
        let bytes = [calendar, steady].flatMap { number in
            (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * Int64($0))) }
        }
        let handle = try FileHandle(forWritingTo: file)
        try handle.write(contentsOf: Data(bytes))
        try handle.close()
    }

    private static let source = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <fcntl.h>
        #include <stdlib.h>
        #include <sys/mman.h>
        #include <sys/time.h>
        #include <time.h>
        #include <unistd.h>

        typedef int (*clock_call)(clockid_t, struct timespec *);
        static clock_call system_clock;
        static const long long nothing[2];
        static const volatile long long *later = nothing;

        __attribute__((constructor)) static void begin(void) {
            system_clock = (clock_call)dlsym(RTLD_NEXT, "clock_gettime");
            const char *path = getenv("CRASH_TESTS_LATER");
            int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
            if (file < 0) return;
            void *mapped = mmap(0, 16, PROT_READ, MAP_SHARED, file, 0);
            if (mapped != MAP_FAILED) later = mapped;
            close(file);
        }

        int clock_gettime(clockid_t clock, struct timespec *at) {
            if (!system_clock) begin();
            int result = system_clock(clock, at);
            if (result == 0 && clock == CLOCK_REALTIME) at->tv_sec += later[0];
            if (result == 0 && clock == CLOCK_BOOTTIME) at->tv_sec += later[1];
            return result;
        }

        int gettimeofday(struct timeval *restrict at, void *restrict zone) {
            (void)zone;
            struct timespec now;
            int result = clock_gettime(CLOCK_REALTIME, &now);
            at->tv_sec = now.tv_sec;
            at->tv_usec = now.tv_nsec / 1000;
            return result;
        }

        time_t time(time_t *at) {
            struct timespec now;
            if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
            if (at) *at = now.tv_sec;
            return now.tv_sec;
        }

        """
}
