#ifndef MESH_CFILES_H
#define MESH_CFILES_H

#include <stdint.h>

/// What Swift cannot ask of files by itself. Both return a negated error number where they fail.

/// Gives the blocks of a part of a file back to the file system; the part reads as zeros, and the file stays as long.
int files_punch(int descriptor, int64_t at, int64_t length);

/// Starts to write a part of a file to the disk, without waiting and without a promise.
int files_start_writing(int descriptor, int64_t at, int64_t length);

#endif
