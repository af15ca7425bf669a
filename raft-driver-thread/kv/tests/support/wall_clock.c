/* Preloaded into a server, it moves the server's wall clock by the milliseconds in a file. The clocks
   that count from boot stay as they are, as when somebody sets a machine's time. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("WALL_CLOCK_OFFSET");
    int file = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) offset = mapped;
}

int clock_gettime(clockid_t id, struct timespec *to) {
    int result = (int)syscall(SYS_clock_gettime, id, to);
    if (result == 0 && id == CLOCK_REALTIME && offset != NULL) {
        int64_t nanos = to->tv_nsec + (*offset % 1000) * 1000000;
        int64_t carry = nanos < 0 ? -1 : nanos / 1000000000;
        to->tv_sec += *offset / 1000 + carry;
        to->tv_nsec = nanos - carry * 1000000000;
    }
    return result;
}

int gettimeofday(struct timeval *to, void *zone) {
    struct timespec now;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &now);
    to->tv_sec = now.tv_sec;
    to->tv_usec = now.tv_nsec / 1000;
    return result;
}

time_t time(time_t *to) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to != NULL) *to = now.tv_sec;
    return now.tv_sec;
}
