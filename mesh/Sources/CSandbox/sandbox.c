// Sources: seccomp(2), landlock(7), prctl(2), memfd_create(2), unix(7), and the kernel's headers.
#define _GNU_SOURCE
#include "CSandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__linux__)
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#endif

int sandbox_fork(void) {
    pid_t child = fork();
    return child < 0 ? -errno : child;
}

void sandbox_exit(int code) { _exit(code); }

int sandbox_sockets(int pair[2]) {
    int type = SOCK_STREAM;
#if defined(SOCK_CLOEXEC)
    type |= SOCK_CLOEXEC;
#endif
    return socketpair(AF_UNIX, type, 0, pair) == 0 ? 0 : -errno;
}

int sandbox_send(int socket, const void *bytes, size_t count, int descriptor) {
    char room[CMSG_SPACE(sizeof(int))];
    memset(room, 0, sizeof room);
    while (count > 0) {
        struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        if (descriptor >= 0) {
            message.msg_control = room;
            message.msg_controllen = sizeof room;
            struct cmsghdr *header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(sizeof(int));
            memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
        }
        ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR) continue;
            return -errno;
        }
        descriptor = -1;
        bytes = (const char *)bytes + sent;
        count -= (size_t)sent;
    }
    return 0;
}

long sandbox_receive(int socket, void *bytes, size_t count, int *descriptor) {
    char room[CMSG_SPACE(sizeof(int))];
    struct iovec part = {.iov_base = bytes, .iov_len = count};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
    int flags = 0;
#if defined(MSG_CMSG_CLOEXEC)
    flags = MSG_CMSG_CLOEXEC;
#endif
    ssize_t got;
    do got = recvmsg(socket, &message, flags);
    while (got < 0 && errno == EINTR);
    *descriptor = -1;
    if (got < 0) return -errno;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
            memcpy(descriptor, CMSG_DATA(header), sizeof(int));
    }
    return got;
}

static int limit(int resource, uint64_t most) {
    struct rlimit value = {.rlim_cur = most, .rlim_max = most};
    return setrlimit(resource, &value) == 0 ? 0 : -errno;
}

int sandbox_limit_memory(uint64_t bytes) { return limit(RLIMIT_DATA, bytes); }

void sandbox_nice(int level) {
    int stands = getpriority(PRIO_PROCESS, 0);
    setpriority(PRIO_PROCESS, 0, stands + level);
}

int sandbox_limit_files(void) {
    int failure = limit(RLIMIT_CORE, 0);
    if (failure == 0) failure = limit(RLIMIT_FSIZE, 0);
    if (failure == 0) failure = limit(RLIMIT_NOFILE, 64);
    return failure;
}

#if defined(__linux__)

int sandbox_close_from(int lowest) {
    return syscall(SYS_close_range, (unsigned)lowest, ~0U, 0) == 0 ? 0 : -errno;
}

int sandbox_die_with(int parent) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return -errno;
    // It may have ended before.
    return getppid() == parent ? 0 : -ESRCH;
}

int sandbox_sealed_file(const void *bytes, size_t count) {
    int file = (int)syscall(SYS_memfd_create, "module", 1U /* MFD_CLOEXEC */ | 2U /* MFD_ALLOW_SEALING */);
    if (file < 0) return -errno;
    int failure = 0;
    if (ftruncate(file, (off_t)count) != 0) failure = errno;
    for (size_t done = 0; failure == 0 && done < count;) {
        ssize_t put = pwrite(file, (const char *)bytes + done, count - done, (off_t)done);
        if (put < 0 && errno != EINTR) failure = errno;
        if (put > 0) done += (size_t)put;
    }
    // F_ADD_SEALS: F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_WRITE.
    if (failure == 0 && fcntl(file, 1033, 0xF) != 0) failure = errno;
    if (failure == 0) return file;
    close(file);
    return -failure;
}

// The calls that the process of a module needs: memory, threads, its sockets, clocks, and starting and ending runs.
// Nothing that takes a path, makes a socket or looks at another process.
static const int allowed[] = {
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_recvmsg, SYS_sendmsg, SYS_recvfrom, SYS_sendto, SYS_ppoll,
    SYS_close, SYS_fstat, SYS_lseek, SYS_pread64,
    SYS_mmap, SYS_munmap, SYS_mprotect, SYS_mremap, SYS_madvise, SYS_brk, SYS_membarrier,
    SYS_futex, SYS_clone, SYS_set_robust_list, SYS_set_tid_address, SYS_sched_yield, SYS_sched_getaffinity,
    SYS_getpid, SYS_gettid, SYS_getppid, SYS_getuid, SYS_sysinfo, SYS_getrandom, SYS_uname,
    SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday,
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack,
    SYS_exit, SYS_exit_group, SYS_wait4, SYS_kill, SYS_tgkill, SYS_prctl, SYS_seccomp, SYS_prlimit64,
    SYS_getpriority, SYS_setpriority, SYS_getrusage, SYS_restart_syscall,
#if defined(SYS_rseq)
    SYS_rseq,
#endif
#if defined(SYS_poll)
    SYS_poll,
#endif
#if defined(SYS_getcpu)
    SYS_getcpu,
#endif
};

#if defined(__x86_64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
// The low half of an argument; both architectures are little endian.
#define LOAD_ARGUMENT(n) \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (n)))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))
#define REFUSE RETURN(SECCOMP_RET_ERRNO | EPERM)
#define UNLESS_EQUAL_SKIP(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (count))

static int filter(const struct sock_filter *program, size_t count) {
    struct sock_fprog given = {.len = (unsigned short)count, .filter = (struct sock_filter *)program};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &given, 0, 0) == 0 ? 0 : -errno;
}

static int filter_calls(void) {
#if defined(OWN_ARCHITECTURE)
    enum { count = sizeof allowed / sizeof allowed[0] };
    struct sock_filter program[2 * count + 8];
    size_t length = 0;
    program[length++] = (struct sock_filter)LOAD(arch);
    program[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCHITECTURE, 1, 0);
    program[length++] = (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS);
    program[length++] = (struct sock_filter)LOAD(nr);
    for (size_t index = 0; index < count; index++) {
        program[length++] = (struct sock_filter)UNLESS_EQUAL_SKIP((uint32_t)allowed[index], 1);
        program[length++] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    }
    // So that the C library falls back to `clone`, whose flags a filter can read.
    program[length++] = (struct sock_filter)UNLESS_EQUAL_SKIP(SYS_clone3, 1);
    program[length++] = (struct sock_filter)RETURN(SECCOMP_RET_ERRNO | ENOSYS);
    program[length++] = (struct sock_filter)REFUSE;
    return filter(program, length);
#else
    return -ENOSYS;
#endif
}

// Landlock by its numbers: the C library of Debian 12 has no wrappers. ABI 1 knows 13 rights to files, each later one
// some more; without a rule nothing of what is handled is allowed.
static int deny_files(void) {
#if defined(SYS_landlock_create_ruleset)
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, 1U);
    if (version < 1) return -ENOSYS;
    uint64_t handled = version >= 5 ? 0xFFFF : version >= 3 ? 0x7FFF : version >= 2 ? 0x3FFF : 0x1FFF;
    long rules = syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0U);
    if (rules < 0) return -errno;
    int failure = syscall(SYS_landlock_restrict_self, (int)rules, 0U) == 0 ? 0 : -errno;
    close((int)rules);
    return failure;
#else
    return -ENOSYS;
#endif
}

int sandbox_of_kernel(void) {
    int can = SANDBOX_NO_NEW_RIGHTS;
    uint32_t action = SECCOMP_RET_ERRNO;
#if defined(OWN_ARCHITECTURE)
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0) can |= SANDBOX_SYSTEM_CALLS;
#endif
#if defined(SYS_landlock_create_ruleset)
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1U) >= 1) can |= SANDBOX_FILES;
#endif
    return can;
}

int sandbox_clock_of_kernel(void) {
#if defined(__linux__)
    struct timex state = {.modes = 0};
    if (adjtimex(&state) < 0) return -errno;
    return (state.status & STA_UNSYNC) == 0;
#else
    return -ENOSYS;
#endif
}

int sandbox_enter(void) {
    int done = 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) done |= SANDBOX_NO_NEW_RIGHTS;
    if (deny_files() == 0) done |= SANDBOX_FILES;
    if (filter_calls() == 0) done |= SANDBOX_SYSTEM_CALLS;
    return done;
}

int sandbox_enter_run(void) {
    const struct sock_filter program[] = {
        LOAD(nr),
        // No process and no thread: it has those that it needs.
        UNLESS_EQUAL_SKIP(SYS_clone, 1),
        REFUSE,
        // A signal to itself, which is how `abort` ends it.
        UNLESS_EQUAL_SKIP(SYS_tgkill, 4),
        LOAD_ARGUMENT(0),
        UNLESS_EQUAL_SKIP((uint32_t)getpid(), 1),
        RETURN(SECCOMP_RET_ALLOW),
        REFUSE,
        // No new machine code, and no shared memory, which the limit of memory does not count.
        UNLESS_EQUAL_SKIP(SYS_mmap, 6),
        LOAD_ARGUMENT(2),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 2, 0),
        LOAD_ARGUMENT(3),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, MAP_SHARED, 0, 1),
        REFUSE,
        RETURN(SECCOMP_RET_ALLOW),
        UNLESS_EQUAL_SKIP(SYS_mprotect, 4),
        LOAD_ARGUMENT(2),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
        REFUSE,
        RETURN(SECCOMP_RET_ALLOW),
        // Its own limits may be read and not be set: the third argument, of two halves, is the new one.
        UNLESS_EQUAL_SKIP(SYS_prlimit64, 8),
        LOAD_ARGUMENT(0),
        UNLESS_EQUAL_SKIP(0, 4),
        LOAD_ARGUMENT(2),
        UNLESS_EQUAL_SKIP(0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offsetof(struct seccomp_data, args) + 20)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
        REFUSE,
        RETURN(SECCOMP_RET_ALLOW),
        // What is not for a run at all.
        UNLESS_EQUAL_SKIP(SYS_kill, 1),
        REFUSE,
        UNLESS_EQUAL_SKIP(SYS_prctl, 1),
        REFUSE,
        UNLESS_EQUAL_SKIP(SYS_seccomp, 1),
        REFUSE,
        UNLESS_EQUAL_SKIP(SYS_setpriority, 1),
        REFUSE,
        UNLESS_EQUAL_SKIP(SYS_wait4, 1),
        REFUSE,
        RETURN(SECCOMP_RET_ALLOW),
    };
    struct sock_fprog given = {
        .len = sizeof program / sizeof program[0], .filter = (struct sock_filter *)program};
    // For all threads of the run: another one must not be a way around it.
    long failure = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &given);
    return failure == 0 ? 0 : failure < 0 ? -errno : -ESRCH;
}

static void *nothing(void *argument) { return argument; }

static int attempt(int what) {
    switch (what) {
        case SANDBOX_TRY_OPEN: {
            int file = open("/etc/passwd", O_RDONLY);
            return file < 0 ? errno : 0;
        }
        case SANDBOX_TRY_SOCKET: return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0;
        case SANDBOX_TRY_FORK: {
            pid_t child = fork();
            if (child == 0) _exit(0);
            return child < 0 ? errno : 0;
        }
        case SANDBOX_TRY_THREAD: {
            pthread_t thread;
            int failure = pthread_create(&thread, NULL, nothing, NULL);
            if (failure == 0) pthread_join(thread, NULL);
            return failure;
        }
        case SANDBOX_TRY_EXEC: {
            char *const words[] = {"/bin/true", NULL};
            execve("/bin/true", words, NULL);
            return errno;
        }
        case SANDBOX_TRY_KILL: return kill(getppid(), 0) < 0 ? errno : 0;
        case SANDBOX_TRY_CODE: {
            void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            return code == MAP_FAILED ? errno : 0;
        }
        case SANDBOX_TRY_SHARED: {
            void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            return memory == MAP_FAILED ? errno : 0;
        }
        case SANDBOX_TRY_LIMITS: {
            struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
            return setrlimit(RLIMIT_NOFILE, &none) < 0 ? errno : 0;
        }
        case SANDBOX_TRY_MEMORY: {
            void *room = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            return room == MAP_FAILED ? errno : 0;
        }
        case SANDBOX_TRY_TRACE: return syscall(SYS_ptrace, 0, 0, 0, 0) < 0 ? errno : 0;
        default: return EINVAL;
    }
}

int sandbox_tried(int what, int isFree) {
    pid_t child = fork();
    if (child < 0) return -errno;
    if (child == 0) {
        if (!isFree) {
            if (what == SANDBOX_TRY_MEMORY && sandbox_limit_memory(16 << 20) != 0) _exit(255);
            int needed = SANDBOX_NO_NEW_RIGHTS | SANDBOX_SYSTEM_CALLS;
            if ((sandbox_enter() & needed) != needed || sandbox_enter_run() != 0) _exit(255);
        }
        _exit(attempt(what));
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#else

int sandbox_close_from(int lowest) {
    for (int file = lowest; file < 1024; file++) close(file);
    return 0;
}
int sandbox_die_with(int parent) { return getppid() == parent ? 0 : -ESRCH; }
int sandbox_sealed_file(const void *bytes, size_t count) { return -ENOSYS; }
int sandbox_of_kernel(void) { return 0; }
int sandbox_enter(void) { return 0; }
int sandbox_enter_run(void) { return -ENOSYS; }
int sandbox_tried(int what, int isFree) { return 0; }

#endif
