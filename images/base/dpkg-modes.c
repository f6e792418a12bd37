/*
 * Loaded into dpkg and the scripts that it runs. In an instance no file can be given the set-user-ID or
 * set-group-ID bit; a package that has one would be left half installed, and every later one with it. So
 * what is refused is asked for again without these bits.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/stat.h>

#define SET_ID (S_ISUID | S_ISGID)

#define WITHOUT_SET_ID(name, parameters, with, without)                     \
  int name parameters {                                                     \
    int(*real) parameters = (int(*) parameters)dlsym(RTLD_NEXT, #name);     \
    int result = real with;                                                 \
    return result != 0 && errno == EPERM && mode & SET_ID ? real without : result; \
  }

WITHOUT_SET_ID(chmod, (const char *path, mode_t mode), (path, mode), (path, mode & ~SET_ID))
WITHOUT_SET_ID(fchmod, (int file, mode_t mode), (file, mode), (file, mode & ~SET_ID))
WITHOUT_SET_ID(fchmodat, (int at, const char *path, mode_t mode, int flags), (at, path, mode, flags),
               (at, path, mode & ~SET_ID, flags))
