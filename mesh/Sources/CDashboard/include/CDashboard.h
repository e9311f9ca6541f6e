#ifndef MESH_CDASHBOARD_H
#define MESH_CDASHBOARD_H

#include <stddef.h>
#include <stdint.h>

/// A file of the dashboard, as it is in the program: the bytes stay where they are for as long as it runs.
typedef struct {
    const char *name;
    const uint8_t *bytes;
    size_t count;
} dashboard_file;

/// How many files the dashboard has.
size_t dashboard_file_count(void);

/// One of them, by a number below that.
dashboard_file dashboard_file_at(size_t index);

#endif
