// Wakes N times a second and does nothing, until it is killed: the price of being
// woken on this machine, with which the agent's figure is to be read.
// Usage: wake N
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv) {
	struct timespec pause = {0, 1000000000L / (argc > 1 ? atoi(argv[1]) : 20)};
	for (;;)
		nanosleep(&pause, NULL);
}
