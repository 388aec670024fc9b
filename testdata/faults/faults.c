// Fails one call of a program on files whose path holds a word. Loaded with
// LD_PRELOAD. FAULT_PATH is the word, FAULT_AT the number of the call that fails,
// from 1, 0 for none, FAULT_ERROR the errno, FAULT_HALF whether a write that
// fails leaves half of its bytes, FAULT_COUNT a file that holds how many calls
// there were and the name of the one that failed.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long at, calls;
static int error_number, half, count_file = -1;
static const char *word;

__attribute__((constructor)) static void begin(void) {
  const char *s = getenv("FAULT_AT"), *e = getenv("FAULT_ERROR"), *h = getenv("FAULT_HALF"), *c = getenv("FAULT_COUNT");
  word = getenv("FAULT_PATH");
  at = s ? atol(s) : 0;
  error_number = e ? atoi(e) : EIO;
  half = h && *h;
  if (word && c) count_file = open(c, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

// fails counts a call on a path and says whether it is the one.
static int fails_path(const char *path, const char *what) {
  if (count_file < 0 || !strstr(path, word)) return 0;
  long n = __sync_add_and_fetch(&calls, 1);
  char line[128];
  int one = n == at;
  ssize_t (*put)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
  int len = snprintf(line, sizeof line, "%12ld\n", n);
  put(count_file, line, len, 0);
  if (one) {
    len = snprintf(line, sizeof line, "%s\n", what);
    put(count_file, line, len, 13);
    errno = error_number;
  }
  return one;
}

static int fails(int fd, const char *what) {
  char link[64], path[4096];
  if (count_file < 0) return 0;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n < 0) return 0;
  path[n] = 0;
  return fails_path(path, what);
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define WRITE_AT(name, offset)                                                     \
  ssize_t name(int fd, const void *b, size_t n, offset o) {                        \
    REAL(name);                                                                    \
    if (fails(fd, "write")) {                                                      \
      if (half) real(fd, b, n / 2, o);                                             \
      errno = error_number;                                                        \
      return -1;                                                                   \
    }                                                                              \
    return real(fd, b, n, o);                                                      \
  }
WRITE_AT(pwrite, off_t)
WRITE_AT(pwrite64, off64_t)

ssize_t write(int fd, const void *b, size_t n) {
  REAL(write);
  if (fails(fd, "write")) {
    if (half) real(fd, b, n / 2);
    errno = error_number;
    return -1;
  }
  return real(fd, b, n);
}

#define ONE_FD(name, what)                                                         \
  int name(int fd) {                                                               \
    REAL(name);                                                                    \
    return fails(fd, what) ? -1 : real(fd);                                        \
  }
ONE_FD(fsync, "fsync")
ONE_FD(fdatasync, "fsync")

#define RESIZE(name, offset)                                                       \
  int name(int fd, offset n) {                                                     \
    REAL(name);                                                                    \
    return fails(fd, "truncate") ? -1 : real(fd, n);                               \
  }
RESIZE(ftruncate, off_t)
RESIZE(ftruncate64, off64_t)

int unlink(const char *path) {
  REAL(unlink);
  return fails_path(path, "unlink") ? -1 : real(path);
}
