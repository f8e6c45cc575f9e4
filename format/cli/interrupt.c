/* SPDX-License-Identifier: Apache-2.0 */
/* interrupt.c - see interrupt.h. The handlers make async-signal-safe calls only (setitimer is a plain system call). */
#define _GNU_SOURCE 1 /* syscall */
#include "format/cli/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "format/base/leftovers.h"
#include "format/cli/cli.h"
#include "format/cli/terminal.h"

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { N_SIGNALS = sizeof signals / sizeof signals[0] };

static volatile sig_atomic_t caught;
static fvlm_stop stop;

const fvlm_stop *fvlm_cli_stop(void)
{
    return &stop;
}

void fvlm_cli_request_stop(void)
{
    atomic_store(&stop, true);
}

static void die(int sig)
{
    sigset_t set;
    signal(sig, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, sig);
    sigprocmask(SIG_UNBLOCK, &set, NULL); /* a handler runs with its signal blocked */
    kill(getpid(), sig);
    _exit(128 + sig); /* the first process of a container is spared by its own signals */
}

/* The kernel takes longer to delete a large file without a name than a user waits. So a child holds our files until we
 * are gone, and its end deletes them. Raw system calls: fork() may wait for a lock that the interrupted code holds. */
static void hand_over_files(void)
{
    const pid_t self = getpid();
    const struct timespec pause = {.tv_nsec = 1000000};
    if (syscall(SYS_clone, 0, 0, 0, 0, 0) != 0) return;     /* ours, or there can be no child */
    for (int fd = 0; fd <= 2; fd++) syscall(SYS_close, fd); /* whoever reads them need not wait for us */
    for (int i = 0; i < 5000 && syscall(SYS_getppid) == self; i++) syscall(SYS_nanosleep, &pause, NULL);
    syscall(SYS_exit_group, 0);
}

static void end(int sig)
{
    fvlm_leftovers_remove();
    fvlm_terminal_line_clear();
    fvlm_terminal_write_now(STDERR_FILENO, "fvlm: interrupted\n");
    die(sig);
}

static void on_signal(int sig)
{
    const int kept = errno;
    if (caught) end(caught); /* the second */
    caught = sig;
    atomic_store(&stop, true);
    const struct itimerval soon = {.it_value = {.tv_usec = 50000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    hand_over_files(); /* before the command closes them */
    errno = kept;
}

static void on_alarm(int sig)
{
    (void)sig;
    if (caught) end(caught);
}

/* All of them are blocked while one is handled. Without SA_RESTART a blocking call returns. */
void fvlm_interrupt_install(void)
{
    struct sigaction old, now = {.sa_handler = on_signal};
    sigset_t alarm_only;
    sigemptyset(&now.sa_mask);
    sigaddset(&now.sa_mask, SIGALRM);
    for (size_t i = 0; i < N_SIGNALS; i++) sigaddset(&now.sa_mask, signals[i]);
    for (size_t i = 0; i < N_SIGNALS; i++)
        if (sigaction(signals[i], NULL, &old) != 0 || old.sa_handler != SIG_IGN) sigaction(signals[i], &now, NULL);
    now.sa_handler = on_alarm;
    sigaction(SIGALRM, &now, NULL);
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &alarm_only, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit becomes EFBIG, and the message names the file */
}

void fvlm_interrupt_disarm(void)
{
    sigset_t all;
    sigemptyset(&all);
    sigaddset(&all, SIGALRM);
    sigprocmask(SIG_BLOCK, &all, NULL);
}

void fvlm_interrupt_end(void)
{
    fvlm_interrupt_disarm();
    if (caught) end(caught);
}

void fvlm_interrupt_end_by_pipe(void)
{
    fvlm_leftovers_remove();
    die(SIGPIPE);
}
