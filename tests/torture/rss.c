/* rss.c: rss COMMAND…: runs a command and prints "rss KIB" on stderr: the largest memory that it
 * had, its children not counted. Exit code: the command's own; 2: it can't be run.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int code = 0;
    struct rusage usage = {0};
    if (argc < 2)
        return 2;
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[1], argv + 1);
        _exit(2);
    }
    if (child < 0 || wait4(child, &code, 0, &usage) != child)
        return 2;
    fprintf(stderr, "rss %ld\n", usage.ru_maxrss);
    return WIFEXITED(code) ? WEXITSTATUS(code) : 2;
}
