// What Embedded Swift needs of a C library on wasm32: an allocator over memory.grow, the memory routines, and
// nothing that could make two runs differ. Freed blocks are kept in lists by size class and used again.
typedef __SIZE_TYPE__ size_t;

extern unsigned char __heap_base;

enum { classes = 28, smallest = 16 };
typedef struct block { struct block *next; } block;
// Each allocation is preceded by sixteen bytes that hold its class, so that free() knows where it belongs.
typedef struct { unsigned int class; unsigned int offset; unsigned int pad[2]; } header;

static block *freed[classes];
static size_t top;

static unsigned int class_of(size_t count) {
  unsigned int class = 0;
  size_t size = smallest;
  while (size < count) { size <<= 1; class += 1; }
  return class;
}

static void *grow_heap(size_t count) {
  if (!top) top = ((size_t)&__heap_base + 15) & ~(size_t)15;
  size_t end = top + count, limit = __builtin_wasm_memory_size(0) * 65536UL;
  if (end < top) return 0;
  if (end > limit) {
    size_t pages = (end - limit + 65535) / 65536;
    if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) return 0;
  }
  void *result = (void *)top;
  top = end;
  return result;
}

static void *take(size_t count) {
  unsigned int class = class_of(count);
  if (class >= classes) return 0;
  header *head;
  if (freed[class]) {
    head = (header *)freed[class] - 1;
    freed[class] = freed[class]->next;
  } else {
    head = grow_heap(sizeof(header) + ((size_t)smallest << class));
    if (!head) return 0;
  }
  head->class = class;
  head->offset = 0;
  return head + 1;
}

int posix_memalign(void **result, size_t alignment, size_t count) {
  if (alignment <= 16) {
    *result = take(count);
    return *result ? 0 : 12;
  }
  // Rare: take more, and leave a second header in front of the aligned place that points back to the first.
  unsigned char *base = take(count + alignment + sizeof(header));
  if (!base) return 12;
  size_t place = ((size_t)base + sizeof(header) + alignment - 1) & ~(alignment - 1);
  header *head = (header *)place - 1;
  head->offset = (unsigned int)(place - (size_t)base);
  *result = (void *)place;
  return 0;
}

void free(void *pointer) {
  if (!pointer) return;
  unsigned int offset = ((header *)pointer - 1)->offset;
  void *base = (unsigned char *)pointer - offset;
  block *entry = base;
  unsigned int class = ((header *)base - 1)->class;
  entry->next = freed[class];
  freed[class] = entry;
}

// Lowered to memory.fill and memory.copy by -mbulk-memory.
void *memset(void *to, int value, size_t count) { return __builtin_memset(to, value, count); }
void *memcpy(void *to, const void *from, size_t count) { return __builtin_memcpy(to, from, count); }
void *memmove(void *to, const void *from, size_t count) { return __builtin_memmove(to, from, count); }

int memcmp(const void *left, const void *right, size_t count) {
  const unsigned char *a = left, *b = right;
  for (; count; count--, a++, b++) if (*a != *b) return *a - *b;
  return 0;
}

// Seeds Swift's hashing: fixed, so that dictionaries iterate in the same order in every run.
void arc4random_buf(void *to, size_t count) { __builtin_memset(to, 0x5A, count); }

unsigned long __stack_chk_guard = 0x595E9FBD;
__attribute__((noreturn)) void __stack_chk_fail(void) { __builtin_trap(); }

// Swift's @main becomes a C main; a job's entry point is WASI's _start.
extern int swift_main(int count, char **arguments) __asm__("__main_argc_argv");
void _start(void) { (void)swift_main(0, 0); }
