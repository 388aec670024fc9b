// Starts processes that run a program and end at once, N a second over all, in
// ticks of 10 ms on four starters, until it is killed. Link it statically: the
// program that it runs is itself, and a dynamic linker would be most of the work.
// Usage: churn N
#define _GNU_SOURCE
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STARTERS = 4 };

static void start(int a_second) {
	char *const command[] = {"/proc/self/exe", NULL};
	char *const none[] = {NULL};
	struct timespec next;
	double due = 0;
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (;;) {
		for (due += a_second / 100.0; due >= 1; due--) {
			pid_t pid;
			if (posix_spawn(&pid, command[0], NULL, NULL, command, none) == 0)
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

int main(int argc, char **argv) {
	if (argc < 2)
		return 0; // what is started
	pid_t parent = getpid();
	for (int i = 0; i < STARTERS; i++) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() == parent)
				start(atoi(argv[1]) / STARTERS);
			return 1;
		}
	}
	while (wait(NULL) > 0) {
	}
	return 0;
}
