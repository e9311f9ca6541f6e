import NIOCore

/// How many threads the process gives to sockets.
package enum EventLoops {
    /// Leaves half of the cores to jobs and to the node's core: on two cores one event loop serves all sockets, and
    /// bytes that pass from one connection to another wake no second thread.
    ///
    /// Call it once in a process, before anything opens a socket.
    package static func plan() {
        NIOSingletons.groupLoopCountSuggestion = max(1, System.coreCount / 2)
    }
}
