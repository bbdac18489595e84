/* The store's directory and files: made, checked, shared, told apart. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "storage/sqlite.h"

/* File systems whose locks or shared memory SQLite's log can't rely on, by f_type (linux/magic.h has not all of them).
 */
static const struct {
    uint32_t magic;
    const char *name;
} network_fs[] = {
    {0x6969, "NFS"},        {0x517B, "SMB"},        {0xFF534D42, "CIFS"},     {0xFE534D42, "SMB2"},
    {0x5346414F, "AFS"},    {0x6B414653, "AFS"},    {0x00C36400, "Ceph"},     {0x01021997, "9P"},
    {0x0BD00BD0, "Lustre"}, {0x01161970, "GFS2"},   {0x7461636F, "OCFS2"},    {0x73757245, "Coda"},
    {0x47504653, "GPFS"},   {0x19830326, "BeeGFS"}, {0x20030528, "OrangeFS"}, {0x564C, "NCP"},
};

static cmk_rc check_file_system(const char *dir)
{
    struct statfs fs;
    if (statfs(dir, &fs) != 0)
        return cmk_fail(CMK_E_IO, "store directory %s: %s", dir, strerror(errno));
    for (size_t i = 0; i < sizeof network_fs / sizeof network_fs[0]; i++)
        if ((uint32_t)fs.f_type == network_fs[i].magic)
            return cmk_fail(CMK_E_UNSUPPORTED_FS,
                            "store directory %s is on %s, where locks can't be relied on; use a local disk", dir,
                            network_fs[i].name);
    return CMK_OK;
}

/* The log's index alone takes 32 KiB. */
#define LOG_SPACE 65536u

cmk_rc cmk_sqlite_no_write(const char *path, const char *consequence)
{
    struct statfs fs;
    if (statfs(path, &fs) == 0 && (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize < LOG_SPACE)
        return cmk_fail(CMK_E_FULL, "store file %s: no space left on its disk%s; free some", path, consequence);
    return cmk_fail(CMK_E_READ_ONLY, "store file %s can only be read here%s; check mount options and permissions", path,
                    consequence);
}

char *cmk_sqlite_path(const char *directory, const char *name)
{
    char *p = NULL;
    return asprintf(&p, "%s/%s", directory, name) < 0 ? NULL : p;
}

bool cmk_sqlite_file_size(const char *path, off_t *size)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return false;
    *size = st.st_size;
    return true;
}

cmk_rc cmk_sqlite_sync_directory(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = fd < 0 || fsync(fd) != 0;
    int e = errno;
    if (fd >= 0)
        close(fd);
    return failed ? cmk_fail(CMK_E_IO, "store directory %s can't be synced: %s", directory, strerror(e)) : CMK_OK;
}

/* A directory that root makes inside somebody's own belongs to that somebody. */
static int make_directory(const char *path, const char *parent)
{
    struct stat up;
    if (mkdir(path, 0700) != 0)
        return errno == EEXIST ? 0 : errno;
    if (chmod(path, 0700) != 0)
        return errno;
    if (geteuid() == 0 && stat(parent, &up) == 0 && up.st_uid != 0 && lchown(path, up.st_uid, up.st_gid) != 0)
        return errno;
    return 0;
}

/* mkdir -p; each directory 0700, whatever the umask. */
static cmk_rc make_directories(const char *directory)
{
    char path[PATH_MAX];
    char parent[PATH_MAX];
    size_t n = strlen(directory);
    if (n >= sizeof path)
        return cmk_fail(CMK_E_CONFIG, "store directory: the path is too long");
    memcpy(path, directory, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        path[i] = '\0';
        memcpy(parent, path, i + 1); /* dirname() writes into its argument */
        int e = access(path, F_OK) == 0 ? 0 : make_directory(path, dirname(parent));
        if (e)
            return cmk_fail(cmk_sqlite_errno(e), "store directory %s can't be made: %s", path, strerror(e));
        if (i < n)
            path[i] = '/';
    }
    return CMK_OK;
}

cmk_rc cmk_sqlite_directory(const char *directory, bool create, char **real)
{
    struct stat st;
    cmk_rc rc = CMK_E_INTERNAL;
    *real = realpath(directory, NULL);
    if (!*real && errno == ENOENT && create) {
        rc = make_directories(directory);
        if (rc != CMK_OK)
            return rc;
        *real = realpath(directory, NULL);
    }
    if (!*real) {
        int e = errno;
        return cmk_fail(e == ENOENT ? CMK_E_NOT_FOUND : cmk_sqlite_errno(e), "store directory %s: %s", directory,
                        strerror(e));
    }
    if (stat(*real, &st) != 0 || !S_ISDIR(st.st_mode))
        rc = cmk_fail(CMK_E_CONFIG, "store %s is not a directory", *real);
    else if (strlen(*real) > PATH_MAX - 64)
        rc = cmk_fail(CMK_E_CONFIG, "store directory: the path is too long");
    else
        rc = check_file_system(*real);
    if (rc != CMK_OK) {
        free(*real);
        *real = NULL;
    }
    return rc;
}

/* Others never write; the group only if it shares the whole store; and the owner is one whom we have to trust anyway.
 */
static cmk_rc check_owner(const char *path, const struct stat *st, const struct stat *dir)
{
    bool shared = (dir->st_mode & S_IWGRP) != 0;
    uid_t me = geteuid();
    if (st->st_mode & S_IWOTH)
        return cmk_fail(CMK_E_PERMISSION, "store: anybody can write %s; run chmod o-w on it", path);
    if ((st->st_mode & S_IWGRP) && (!shared || st->st_gid != dir->st_gid))
        return cmk_fail(CMK_E_PERMISSION, "store: the group can write %s; run chmod g-w on it or set store-group",
                        path);
    /* root may look after anybody's store, as long as directory and files have one owner */
    if (st->st_uid != 0 && st->st_uid != me && !shared && !(me == 0 && st->st_uid == dir->st_uid))
        return cmk_fail(CMK_E_PERMISSION, "store: %s belongs to uid %lu, not to root or the user %lu", path,
                        (unsigned long)st->st_uid, (unsigned long)me);
    return CMK_OK;
}

static const char *const files[] = {"cmk11.db",    "cmk11.db-wal",    "cmk11.db-shm",
                                    "attempts.db", "attempts.db-wal", "attempts.db-shm"};

cmk_rc cmk_sqlite_check_files(const char *directory, bool *shared, gid_t *gid)
{
    struct stat dir;
    struct stat st;
    if (stat(directory, &dir) != 0)
        return cmk_fail(CMK_E_IO, "store directory %s: %s", directory, strerror(errno));
    cmk_rc rc = check_owner(directory, &dir, &dir);
    for (size_t i = 0; rc == CMK_OK && i < sizeof files / sizeof files[0]; i++) {
        char *path = cmk_sqlite_path(directory, files[i]);
        if (!path)
            return CMK_E_NO_MEMORY;
        if (lstat(path, &st) == 0)
            rc = S_ISREG(st.st_mode) ? check_owner(path, &st, &dir)
                                     : cmk_fail(CMK_E_PERMISSION, "store: %s is not a regular file", path);
        else if (errno != ENOENT)
            rc = cmk_fail(errno == EACCES ? CMK_E_PERMISSION : CMK_E_IO, "store file %s: %s", path, strerror(errno));
        free(path);
    }
    *shared = (dir.st_mode & S_IWGRP) != 0;
    *gid = dir.st_gid;
    return rc;
}

static int share_one(int dir, const char *name, gid_t gid, mode_t mode)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : errno; /* a log that its last user has just removed */
    if (S_ISLNK(st.st_mode))
        return 0;
    if (gid != (gid_t)-1 && st.st_gid != gid && fchownat(dir, name, (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) != 0)
        return errno;
    /* a member of the group could put a link there meanwhile, so even this must not follow one */
    return fchmodat(dir, name, mode, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno;
}

/* Everything in the directory and one level below it (audit/). By name: a descriptor of a database must not be opened,
 * see sqlite.h. */
static int share_all(int dir, gid_t gid, int depth)
{
    bool shared = gid != (gid_t)-1;
    struct stat st;
    int e = 0;
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    if (!d) {
        e = errno;
        if (copy >= 0)
            close(copy);
        return e;
    }
    /* a stream of our own: only threads that share one are in each other's way */
    // cppcheck-suppress readdirCalled
    for (struct dirent *entry; !e && (entry = readdir(d));) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..") || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISREG(st.st_mode))
            e = share_one(dir, name, gid, shared ? 0660 : 0600);
        if (!S_ISDIR(st.st_mode) || depth == 0)
            continue;
        int sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        e = sub < 0 ? errno : share_all(sub, gid, depth - 1);
        if (!e)
            e = share_one(dir, name, gid, shared ? 02770 : 0700);
        if (sub >= 0)
            close(sub);
    }
    closedir(d);
    return e;
}

cmk_rc cmk_sqlite_share_files(const char *directory, gid_t gid)
{
    mode_t mode = gid != (gid_t)-1 ? 02770 : 0700;
    int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int e = dir < 0 ? errno : 0;
    /* Opened up last and closed first, so that no half-shared state is writable from outside. */
    if (!e && gid == (gid_t)-1)
        e = share_one(AT_FDCWD, directory, gid, mode);
    if (!e)
        e = share_all(dir, gid, 1);
    if (!e && gid != (gid_t)-1)
        e = share_one(AT_FDCWD, directory, gid, mode);
    if (dir >= 0)
        close(dir);
    if (!e)
        return CMK_OK;
    return cmk_fail(cmk_sqlite_errno(e),
                    "store directory %s: group and mode can't be changed: %s; run this as its owner", directory,
                    strerror(e));
}

void cmk_sqlite_identify(const char *path, const char *shm_path, cmk_sqlite_identity *out)
{
    struct stat st;
    *out = (cmk_sqlite_identity){.known = true};
    if (stat(path, &st) == 0) {
        out->device = st.st_dev;
        out->inode = st.st_ino;
        out->size = st.st_size;
        out->changed = st.st_mtim;
    }
    if (stat(shm_path, &st) == 0)
        out->shm_inode = st.st_ino;
}
