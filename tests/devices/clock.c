/* A time of day that a story moves: adds to it the seconds that the eight bytes of the file KEYWARD_CLOCK say. The programs
 * of the story are started with it (LD_PRELOAD), and know nothing of it. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int (*gettime)(clockid_t, struct timespec *);
static const volatile long long *moved;

__attribute__((constructor)) static void begin(void) {
    gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("KEYWARD_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *place = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *moved, PROT_READ, MAP_SHARED, file, 0);
    if (place == MAP_FAILED)
        abort();
    close(file);
    moved = place;
}

int clock_gettime(clockid_t id, struct timespec *now) {
    int failed = gettime(id, now);
    if (!failed && moved && id == CLOCK_REALTIME)
        now->tv_sec += *moved;
    return failed;
}
