#ifndef MESH_CSANDBOX_H
#define MESH_CSANDBOX_H

#include <stddef.h>
#include <stdint.h>

/// What Swift cannot call by itself: fork, descriptors over sockets, and the system's ways to give up rights. All of
/// it is for processes of one thread, and returns a negated error number where it fails.

/// Starts a copy of this process: 0 in the copy, its number in the other.
int sandbox_fork(void);

/// Ends this process at once, without any of its exit handlers.
_Noreturn void sandbox_exit(int code);

/// Closes every descriptor from `lowest` on.
int sandbox_close_from(int lowest);

/// This process is killed when its parent, the process `parent`, ends.
int sandbox_die_with(int parent);

/// A file in memory with these bytes, which nobody can change any more; its descriptor.
int sandbox_sealed_file(const void *bytes, size_t count);

/// Two connected stream sockets, closed in programs that this one starts.
int sandbox_sockets(int pair[2]);

/// Sends bytes, with a descriptor if it is not negative; all of them or an error.
int sandbox_send(int socket, const void *bytes, size_t count, int descriptor);

/// Receives up to `count` bytes, and the descriptor that came with them, else -1: how many, 0 at the end.
long sandbox_receive(int socket, void *bytes, size_t count, int *descriptor);

/// What the kernel has of the sandbox.
enum {
    SANDBOX_NO_NEW_RIGHTS = 1 << 0,
    SANDBOX_SYSTEM_CALLS = 1 << 1,
    SANDBOX_FILES = 1 << 2,
};

/// Which of the three the kernel can do.
int sandbox_of_kernel(void);

/// Whether a time service keeps the machine's clock, by what the kernel knows (adjtimex(2)): 1, 0, or a negated error
/// number. Changes nothing; the kernel's word, like that on its sandbox, is for who looks after a node.
int sandbox_clock_of_kernel(void);

/// Gives up, for this process and all that it starts: gaining rights by starting programs, the whole file system
/// (landlock), and all system calls but a list (seccomp). Returns which of the three the kernel has done.
int sandbox_enter(void);

/// Gives up what one run does not need and the process above it does: starting processes, signals to others, limits
/// of others, new machine code, shared memory; and starting further threads. It holds for all threads that there are.
/// After `sandbox_enter`.
int sandbox_enter_run(void);

/// Bounds the memory that can be written to, in bytes.
int sandbox_limit_memory(uint64_t bytes);

/// Lets others go first: 0 to 19, relative to where this process stands.
void sandbox_nice(int level);

/// No core dumps, no files, few descriptors.
int sandbox_limit_files(void);

/// What a process of one run must not be able to do.
enum {
    SANDBOX_TRY_OPEN = 0,
    SANDBOX_TRY_SOCKET,
    SANDBOX_TRY_FORK,
    SANDBOX_TRY_THREAD,
    SANDBOX_TRY_EXEC,
    SANDBOX_TRY_KILL,
    SANDBOX_TRY_CODE,
    SANDBOX_TRY_SHARED,
    SANDBOX_TRY_LIMITS,
    SANDBOX_TRY_TRACE,
    SANDBOX_TRIES,
    /// Taking 64 MiB of memory, with 16 MiB as limit.
    SANDBOX_TRY_MEMORY
};

/// Tries it in a new process, which has entered the sandbox of a run unless `isFree`: the error number, or 0 where it
/// succeeded. For tests.
int sandbox_tried(int what, int isFree);

#endif
