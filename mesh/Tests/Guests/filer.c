// A guest that does what its standard input tells it: one call of WASI preview 1 a line, and a line of output for each
// with the error number and what came of it. Built into filer.wasm.hex by build.sh; no libc.
//
// Words are divided by blanks; in texts %XX is a byte and %- is nothing. A descriptor is a number, or #N for the Nth
// that `open` opened (#0 is descriptor 3), as far as it is open.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) extern u32 name

struct vector { u32 at, count; };
WASI(fd_read)(u32, const struct vector *, u32, u32 *);
WASI(fd_write)(u32, const struct vector *, u32, u32 *);
WASI(fd_pread)(u32, const struct vector *, u32, u64, u32 *);
WASI(fd_pwrite)(u32, const struct vector *, u32, u64, u32 *);
WASI(fd_close)(u32);
WASI(fd_seek)(u32, i64, u32, u64 *);
WASI(fd_tell)(u32, u64 *);
WASI(fd_sync)(u32);
WASI(fd_renumber)(u32, u32);
WASI(fd_allocate)(u32, u64, u64);
WASI(fd_fdstat_get)(u32, u8 *);
WASI(fd_filestat_get)(u32, u8 *);
WASI(fd_filestat_set_size)(u32, u64);
WASI(fd_filestat_set_times)(u32, u64, u64, u32);
WASI(fd_readdir)(u32, u8 *, u32, u64, u32 *);
WASI(fd_prestat_get)(u32, u8 *);
WASI(fd_prestat_dir_name)(u32, u8 *, u32);
WASI(path_open)(u32, u32, const u8 *, u32, u32, u64, u64, u32, u32 *);
WASI(path_create_directory)(u32, const u8 *, u32);
WASI(path_remove_directory)(u32, const u8 *, u32);
WASI(path_unlink_file)(u32, const u8 *, u32);
WASI(path_filestat_get)(u32, u32, const u8 *, u32, u8 *);
WASI(path_rename)(u32, const u8 *, u32, u32, const u8 *, u32);
WASI(path_link)(u32, u32, const u8 *, u32, u32, const u8 *, u32);
WASI(path_symlink)(const u8 *, u32, u32, const u8 *, u32);
WASI(path_readlink)(u32, const u8 *, u32, u8 *, u32, u32 *);
WASI(poll_oneoff)(const u8 *, u8 *, u32, u32 *);
WASI(clock_time_get)(u32, u64, u64 *);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit"))) extern void proc_exit(u32);

static u8 script[1 << 20], out[1 << 16], bytes[1 << 20], texts[2][8192], listed[1 << 16];
static u32 scriptCount, outCount, handles[4096], handleCount = 1;

static void flush(void) {
  struct vector vector = {(u32)out, outCount};
  u32 written;
  fd_write(1, &vector, 1, &written);
  outCount = 0;
}
static void put(u8 byte) {
  if (outCount == sizeof out) flush();
  out[outCount++] = byte;
}
static void number(u64 value) {
  u8 digits[20];
  u32 count = 0;
  do digits[count++] = '0' + value % 10; while (value /= 10);
  while (count) put(digits[--count]);
}
static void blank(u64 value) { put(' '); number(value); }
static void raw(const u8 *text, u32 count) { while (count--) put(*text++); }

static const u8 *at, *end;
static void skip(void) { while (at < end && *at == ' ') at++; }
static u64 value(void) {
  u64 sum = 0;
  skip();
  int isNegative = at < end && *at == '-';
  if (isNegative) at++;
  while (at < end && *at >= '0' && *at <= '9') sum = sum * 10 + (*at++ - '0');
  return isNegative ? -sum : sum;
}
static u32 descriptor(void) {
  skip();
  if (at < end && *at == '#') {
    at++;
    u32 index = value();
    return index == 0 ? 3 : index < handleCount ? handles[index] : ~0u;
  }
  return value();
}
static u32 hex(u8 digit) { return digit <= '9' ? digit - '0' : digit - 'A' + 10; }
// The next word into one of two places; `%d` is `turn`.
static u64 turn;
static u32 text(u32 place) {
  u32 count = 0;
  skip();
  while (at < end && *at != ' ' && count < sizeof texts[0] - 24) {
    if (*at == '%' && at + 1 < end && at[1] == '-') {
      at += 2;
    } else if (*at == '%' && at + 1 < end && at[1] == 'd') {
      u8 digits[20];
      u32 digit = 0;
      u64 left = turn;
      do digits[digit++] = '0' + left % 10; while (left /= 10);
      while (digit) texts[place][count++] = digits[--digit];
      at += 2;
    } else if (*at == '%' && at + 2 < end) {
      texts[place][count++] = hex(at[1]) << 4 | hex(at[2]);
      at += 3;
    } else {
      texts[place][count++] = *at++;
    }
  }
  return count;
}

static const u8 *name;
static u32 nameCount;
static int is(const char *word) {
  u32 index = 0;
  while (word[index] && index < nameCount && word[index] == name[index]) index++;
  return !word[index] && index == nameCount;
}

static void status(const u8 *stat) {
  blank(stat[16]);                                // type
  blank(*(const u64 *)(stat + 32));               // size
  blank(*(const u64 *)(stat + 24));               // links
  blank(*(const u64 *)(stat + 8));                // inode
  blank(*(const u64 *)(stat + 48));               // modified
}

static u32 list(u32 directory, u32 room) {
  u64 cookie = 0;
  if (room > sizeof listed) room = sizeof listed;
  for (;;) {
    u32 count, offset = 0;
    u32 errno = fd_readdir(directory, listed, room, cookie, &count);
    if (errno) return errno;
    while (offset + 24 <= count) {
      u32 length = *(u32 *)(listed + offset + 16);
      if (offset + 24 + length > count) break;
      cookie = *(u64 *)(listed + offset);
      put(' ');
      raw(listed + offset + 24, length);
      offset += 24 + length;
    }
    // Not a whole entry in a full buffer, or the end.
    if (offset == 0 || count < room) return count == room && offset == 0 ? 61 : 0;
  }
}

static u32 command(void) {
  struct vector vector = {(u32)bytes, 0};
  u32 moved = 0, errno;
  u64 wide = 0;
  u8 stat[64];
  if (is("open")) {  // open DIR FOLLOW PATH OFLAGS RIGHTS FDFLAGS
    u32 base = descriptor(), follow = value(), count = text(0), oflags = value();
    u64 rights = value();
    u32 opened = ~0u;
    errno = path_open(base, follow, texts[0], count, oflags, rights, ~0ull, value(), &opened);
    if (handleCount < sizeof handles / sizeof handles[0]) handles[handleCount++] = errno ? ~0u : opened;
    if (!errno) blank(opened);
    return errno;
  }
  if (is("close")) {
    u32 closed = descriptor();
    for (u32 index = 1; index < handleCount; index++) if (handles[index] == closed) handles[index] = ~0u;
    return fd_close(closed);
  }
  if (is("read") || is("pread")) {  // read FD COUNT, pread FD COUNT OFFSET
    int isAt = is("pread");
    u32 from = descriptor();
    vector.count = value();
    if (vector.count > sizeof bytes) vector.count = sizeof bytes;
    errno = isAt ? fd_pread(from, &vector, 1, value(), &moved) : fd_read(from, &vector, 1, &moved);
    if (errno) return errno;
    blank(moved);
    put(' ');
    raw(bytes, moved < 64 ? moved : 64);
    return 0;
  }
  if (is("sum")) {  // sum FD SIZE: reads to the end in pieces
    u32 from = descriptor();
    vector.count = value();
    u64 sum = 0;
    do {
      errno = fd_read(from, &vector, 1, &moved);
      if (errno) return errno;
      wide += moved;
      for (u32 index = 0; index < moved; index++) sum = sum * 31 + bytes[index];
    } while (moved);
    blank(wide);
    blank(sum);
    return 0;
  }
  if (is("write") || is("pwrite")) {  // write FD TEXT, pwrite FD OFFSET TEXT
    int isAt = is("pwrite");
    u32 to = descriptor();
    u64 offset = isAt ? value() : 0;
    vector.count = text(0);
    vector.at = (u32)texts[0];
    errno = isAt ? fd_pwrite(to, &vector, 1, offset, &moved) : fd_write(to, &vector, 1, &moved);
    if (!errno) blank(moved);
    return errno;
  }
  if (is("fill")) {  // fill FD COUNT BYTE: in pieces, to the first that is not taken whole
    u32 to = descriptor();
    u64 left = value();
    u8 byte = value();
    for (u32 index = 0; index < sizeof bytes; index++) bytes[index] = byte;
    do {
      vector.count = left < sizeof bytes ? left : sizeof bytes;
      errno = fd_write(to, &vector, 1, &moved);
      if (errno) break;
      wide += moved;
      left -= moved;
    } while (left && moved == vector.count);
    blank(wide);
    return errno;
  }
  if (is("seek")) {  // seek FD OFFSET WHENCE
    u32 of = descriptor();
    i64 offset = value();
    errno = fd_seek(of, offset, value(), &wide);
    if (!errno) blank(wide);
    return errno;
  }
  if (is("tell")) {
    errno = fd_tell(descriptor(), &wide);
    if (!errno) blank(wide);
    return errno;
  }
  if (is("size")) {
    u32 of = descriptor();
    return fd_filestat_set_size(of, value());
  }
  if (is("allocate")) {
    u32 of = descriptor();
    u64 offset = value();
    return fd_allocate(of, offset, value());
  }
  if (is("sync")) return fd_sync(descriptor());
  if (is("renumber")) {
    u32 from = descriptor();
    return fd_renumber(from, descriptor());
  }
  if (is("fdstat")) {  // type, flags, rights
    u8 fdstat[24];
    errno = fd_fdstat_get(descriptor(), fdstat);
    if (errno) return errno;
    blank(fdstat[0]);
    blank(fdstat[2]);
    blank(*(u64 *)(fdstat + 8));
    return 0;
  }
  if (is("fstat")) {
    errno = fd_filestat_get(descriptor(), stat);
    if (!errno) status(stat);
    return errno;
  }
  if (is("stat")) {  // stat DIR FOLLOW PATH
    u32 base = descriptor(), follow = value(), count = text(0);
    errno = path_filestat_get(base, follow, texts[0], count, stat);
    if (!errno) status(stat);
    return errno;
  }
  if (is("list")) {  // list FD BUFFER
    u32 of = descriptor();
    return list(of, value());
  }
  if (is("prestat")) {
    u8 prestat[8];
    u32 of = descriptor();
    errno = fd_prestat_get(of, prestat);
    if (errno) return errno;
    u32 count = *(u32 *)(prestat + 4);
    errno = fd_prestat_dir_name(of, bytes, count);
    put(' ');
    raw(bytes, count);
    return errno;
  }
  if (is("mkdir") || is("rmdir") || is("unlink")) {  // mkdir DIR PATH
    u32 base = descriptor(), count = text(0);
    if (is("mkdir")) return path_create_directory(base, texts[0], count);
    return is("rmdir") ? path_remove_directory(base, texts[0], count) : path_unlink_file(base, texts[0], count);
  }
  if (is("rename")) {  // rename DIR OLD DIR NEW
    u32 base = descriptor(), count = text(0), newBase = descriptor(), newCount = text(1);
    return path_rename(base, texts[0], count, newBase, texts[1], newCount);
  }
  if (is("link")) {  // link DIR FOLLOW OLD DIR NEW
    u32 base = descriptor(), follow = value(), count = text(0), newBase = descriptor(), newCount = text(1);
    return path_link(base, follow, texts[0], count, newBase, texts[1], newCount);
  }
  if (is("symlink")) {  // symlink TARGET DIR PATH
    u32 count = text(0), base = descriptor(), newCount = text(1);
    return path_symlink(texts[0], count, base, texts[1], newCount);
  }
  if (is("readlink")) {
    u32 base = descriptor(), count = text(0);
    errno = path_readlink(base, texts[0], count, bytes, sizeof bytes, &moved);
    if (errno) return errno;
    put(' ');
    raw(bytes, moved);
    return 0;
  }
  if (is("poll")) {  // poll FD TYPE: 1 to read, 2 to write
    u8 subscription[48] = {7}, event[32];
    *(u32 *)(subscription + 16) = descriptor();
    subscription[8] = value();
    errno = poll_oneoff(subscription, event, 1, &moved);
    if (errno) return errno;
    blank(*(u16 *)(event + 8));
    blank(*(u64 *)(event + 16));
    return 0;
  }
  if (is("deep")) {  // deep DIR NAME COUNT: a folder in a folder, to the first that is refused
    u32 base = descriptor(), count = text(0), opened;
    u64 most = value();
    for (wide = 0; wide < most; wide++) {
      errno = path_create_directory(base, texts[0], count);
      if (errno) break;
      errno = path_open(base, 0, texts[0], count, 2, 0, ~0ull, 0, &opened);
      if (errno) break;
      if (base != 3) fd_close(base);
      base = opened;
    }
    blank(wide);
    return errno;
  }
  if (is("clock")) {
    errno = clock_time_get(value(), 1, &wide);
    blank(wide);
    return errno;
  }
  if (is("trap")) {
    flush();
    __builtin_trap();
  }
  if (is("loop")) {
    flush();
    for (volatile u32 forever = 0;; forever++);
  }
  if (is("exit")) {
    flush();
    proc_exit(value());
  }
  return 999;
}

static void line(const u8 *from, const u8 *to) {
  at = from;
  end = to;
  skip();
  name = at;
  while (at < end && *at != ' ') at++;
  nameCount = at - name;
  if (nameCount == 0) return;
  if (is("repeat")) {  // repeat COUNT COMMAND…: to the first that fails; says how often it succeeded
    u64 most = value();
    u32 errno = 0;
    skip();
    const u8 *rest = at;
    for (turn = 0; turn < most && !errno; turn++) {
      u32 before = outCount;
      at = name = rest;
      while (at < end && *at != ' ') at++;
      nameCount = at - name;
      errno = command();
      outCount = before;
      if (errno) break;
    }
    number(errno);
    blank(turn);
  } else {
    // What a command tells stands behind its error number.
    u32 before = outCount, errno;
    static u8 told[sizeof out];
    if (before > sizeof out / 2) {
      flush();
      before = 0;
    }
    errno = command();
    u32 count = outCount - before;
    for (u32 index = 0; index < count; index++) told[index] = out[before + index];
    outCount = before;
    number(errno);
    raw(told, count);
  }
  put('\n');
}

__attribute__((export_name("_start"))) void _start(void) {
  struct vector vector;
  u32 moved;
  do {
    vector.at = (u32)script + scriptCount;
    vector.count = sizeof script - scriptCount;
    if (fd_read(0, &vector, 1, &moved)) break;
    scriptCount += moved;
  } while (moved);
  u32 from = 0;
  for (u32 index = 0; index <= scriptCount; index++) {
    if (index < scriptCount && script[index] != '\n') continue;
    line(script + from, script + index);
    from = index + 1;
  }
  flush();
}
