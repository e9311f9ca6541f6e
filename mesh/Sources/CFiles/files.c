#define _GNU_SOURCE
#include "CFiles.h"

#include <errno.h>
#include <fcntl.h>

int files_punch(int descriptor, int64_t at, int64_t length) {
#ifdef __linux__
    int result;
    do {
        result = fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, length);
    } while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : -errno;
#else
    return -ENOTSUP;
#endif
}

int files_start_writing(int descriptor, int64_t at, int64_t length) {
#ifdef __linux__
    return sync_file_range(descriptor, at, length, SYNC_FILE_RANGE_WRITE) == 0 ? 0 : -errno;
#else
    return -ENOTSUP;
#endif
}
