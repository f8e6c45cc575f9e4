/* SPDX-License-Identifier: Apache-2.0 */
/* pty.c - runs a program with its standard streams on a terminal and copies what the terminal shows to stdout:
 *   pty PROGRAM ARGUMENT...
 * Exits as the program does, or with 128 plus its signal; with 77 where there are no terminals. SIGINT is reset. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (argc < 2 || master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) return 77;
    const int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    struct termios raw;
    if (terminal < 0 || tcgetattr(terminal, &raw) != 0) return 77;
    cfmakeraw(&raw); /* a newline stays one */
    tcsetattr(terminal, TCSANOW, &raw);
    const pid_t child = fork();
    if (child == 0) {
        for (int fd = 0; fd < 3; fd++) dup2(terminal, fd);
        close(terminal);
        signal(SIGINT, SIG_DFL);
        execv(argv[1], argv + 1);
        _exit(127);
    }
    close(terminal);
    char bytes[4096];
    for (ssize_t got; (got = read(master, bytes, sizeof bytes)) > 0;) fwrite(bytes, 1, (size_t)got, stdout);
    fflush(stdout);
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
