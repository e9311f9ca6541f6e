import NIOConcurrencyHelpers

#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Starts a child process with a process group of its own, so that Ctrl-C in the node's terminal goes to the node
/// alone; with no signal blocked or ignored, whatever the node does with its own; and with descriptors of its own.
// SAFETY: pointers are to arrays and strings that live through the system call.
struct ProcessStart {
    let executable: String
    let arguments: [String]
    let environment: [String]
    /// What become the descriptors 0, 1, 2 and so on of the child.
    let descriptors: [Int32]

    struct Refusal: Error, CustomStringConvertible {
        let reason: String
        var description: String { reason }

        init(_ code: Int32) {
            reason = String(cString: strerror(code))
        }
    }

    func run() -> Result<pid_t, Refusal> {
        // Out of the way of the numbers that they become.
        var moved: [Int32] = []
        defer { for descriptor in moved { close(descriptor) } }
        for descriptor in descriptors {
            let other = fcntl(descriptor, F_DUPFD_CLOEXEC, Int32(descriptors.count))
            guard other >= 0 else { return .failure(Refusal(errno)) }
            moved.append(other)
        }
        #if canImport(Darwin)
            var actions: posix_spawn_file_actions_t?
            var attributes: posix_spawnattr_t?
        #else
            var actions = posix_spawn_file_actions_t()
            var attributes = posix_spawnattr_t()
        #endif
        var failure = posix_spawn_file_actions_init(&actions)
        guard failure == 0 else { return .failure(Refusal(failure)) }
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (number, descriptor) in moved.enumerated() where failure == 0 {
            failure = posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(number))
        }
        guard failure == 0 else { return .failure(Refusal(failure)) }
        failure = posix_spawnattr_init(&attributes)
        guard failure == 0 else { return .failure(Refusal(failure)) }
        defer { posix_spawnattr_destroy(&attributes) }
        var flags = Int32(POSIX_SPAWN_SETPGROUP) | Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF)
        #if canImport(Darwin)
            flags |= POSIX_SPAWN_CLOEXEC_DEFAULT
        #endif
        var none = sigset_t()
        var all = sigset_t()
        sigemptyset(&none)
        sigfillset(&all)
        for code in [
            posix_spawnattr_setpgroup(&attributes, 0), posix_spawnattr_setsigmask(&attributes, &none),
            posix_spawnattr_setsigdefault(&attributes, &all), posix_spawnattr_setflags(&attributes, Int16(flags)),
        ] where code != 0 { return .failure(Refusal(code)) }
        var child = pid_t()
        failure = Self.withCStrings([executable] + arguments) { words in
            Self.withCStrings(environment) { variables in
                WorkerProcess.lock.withLock {
                    posix_spawn(&child, executable, &actions, &attributes, words, variables)
                }
            }
        }
        return failure == 0 ? .success(child) : .failure(Refusal(failure))
    }

    private static func withCStrings<Value>(
        _ texts: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Value
    ) -> Value {
        let copies = texts.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return body(copies + [nil])
    }
}
