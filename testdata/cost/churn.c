// Starts processes that run a program and end at once, N a second in ticks of
// 10 ms, until it is killed. Usage: churn N
#define _GNU_SOURCE
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

int main(int argc, char **argv) {
	int each = (argc > 1 ? atoi(argv[1]) : 1000) / 100;
	char *const command[] = {"/bin/true", NULL};
	struct timespec next;
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (;;) {
		for (int i = 0; i < each; i++) {
			pid_t pid;
			if (posix_spawn(&pid, command[0], NULL, NULL, command, environ) == 0)
				waitpid(pid, NULL, 0);
		}
		next.tv_nsec += 10000000;
		if (next.tv_nsec >= 1000000000) {
			next.tv_nsec -= 1000000000;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
}
