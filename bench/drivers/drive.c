/* SPDX-License-Identifier: MIT
 *
 * drive [-j JOBS] [-e ENVELOPE] PROGRAM [ARGUMENT ...]
 *
 * Runs PROGRAM once for each message file named on standard input, one name a line,
 * and prints for each run: nanoseconds from before the start until after the wait,
 * kB of peak memory (ru_maxrss), exit code (or minus the signal). The last line is
 * "total" and the nanoseconds of everything.
 *
 * With -e the message is fed to descriptor 0 and the file ENVELOPE to descriptor 1,
 * as a qmail-smtpd does; without, both are /dev/null and an argument {} becomes the
 * name of the message file. Standard error is passed on.
 *
 * Small and started by vfork on purpose: the peak memory that the kernel reports for a
 * child begins with that of its parent, and a fork costs by the parent's size.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_FILES 4096
#define MAX_JOBS 64

extern char **environ;

static char buffer[65536];
static char *files[MAX_FILES];
static int count;

__attribute__((noreturn)) static void fatal(const char *what)
{
    fprintf(stderr, "drive: fatal: %s: %s\n", what, strerror(errno));
    exit(111);
}

static long long now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* A child that leaves early is its own affair: its exit code tells. */
static void feed(int from, int to)
{
    ssize_t got, done, put;

    while ((got = read(from, buffer, sizeof buffer)) > 0)
        for (done = 0; done < got; done += put) {
            put = write(to, buffer + done, got - done);
            if (put < 0) {
                if (errno == EPIPE)
                    return;
                fatal("write");
            }
        }
    if (got < 0)
        fatal("read");
}

static void once(const char *file, const char *envelope, char **command)
{
    char *arguments[64], line[100];
    int i, message = -1, text = -1, in[2], out[2], status, failed, length;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    struct rusage usage;
    long long start;
    pid_t pid;

    for (i = 0; command[i] && i < 63; i++)
        arguments[i] = strcmp(command[i], "{}") ? command[i] : (char *)file;
    arguments[i] = NULL;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    posix_spawn_file_actions_init(&actions);
    if (envelope) {
        if ((message = open(file, O_RDONLY | O_CLOEXEC)) < 0)
            fatal(file);
        if ((text = open(envelope, O_RDONLY | O_CLOEXEC)) < 0)
            fatal(envelope);
        if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
            fatal("pipe");
        posix_spawn_file_actions_adddup2(&actions, in[0], 0);
        posix_spawn_file_actions_adddup2(&actions, out[0], 1);
    } else {
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    }

    start = now();
    failed = posix_spawn(&pid, arguments[0], &actions, &attributes, arguments, environ);
    if (failed) {
        errno = failed;
        fatal(arguments[0]);
    }
    if (envelope) {
        close(in[0]);
        close(out[0]);
        feed(message, in[1]);
        close(in[1]);
        feed(text, out[1]);
        close(out[1]);
    }
    if (wait4(pid, &status, 0, &usage) < 0)
        fatal("wait4");
    start = now() - start;

    if (envelope) {
        close(message);
        close(text);
    }
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    length = snprintf(line, sizeof line, "%lld %ld %d\n", start, usage.ru_maxrss,
                      WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
    if (write(1, line, length) != length)
        fatal("write");
}

int main(int argc, char **argv)
{
    const char *envelope = NULL;
    char name[4096];
    int option, jobs = 1, job, i, status, worst = 0;
    long long start;

    while ((option = getopt(argc, argv, "+j:e:")) != -1)
        switch (option) {
        case 'j':
            jobs = atoi(optarg);
            break;
        case 'e':
            envelope = optarg;
            break;
        default:
            return 100;
        }
    if (optind == argc || jobs < 1 || jobs > MAX_JOBS) {
        fprintf(stderr, "usage: drive [-j JOBS] [-e ENVELOPE] PROGRAM [ARG ...]\n");
        return 100;
    }
    while (count < MAX_FILES && fgets(name, sizeof name, stdin)) {
        name[strcspn(name, "\n")] = 0;
        if (!(files[count++] = strdup(name)))
            fatal("memory");
    }
    signal(SIGPIPE, SIG_IGN);

    start = now();
    if (jobs == 1)
        for (i = 0; i < count; i++)
            once(files[i], envelope, argv + optind);
    else {
        for (job = 0; job < jobs; job++)
            switch (fork()) {
            case -1:
                fatal("fork");
            case 0:
                for (i = job; i < count; i += jobs)
                    once(files[i], envelope, argv + optind);
                _exit(0);
            }
        while (wait(&status) > 0)
            if (status)
                worst = 111;
    }
    printf("total %lld\n", now() - start);
    return worst;
}
