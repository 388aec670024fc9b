//go:build ignore

/* Sets up one communicator through each function of the library that it is
 * given. The ids are their number, counted up from byte to byte. */
#include <dlfcn.h>
#include <stdio.h>

typedef struct { char internal[128]; } ncclUniqueId;

int main(int argc, char **argv)
{
	void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : 0;
	ncclUniqueId ids[3];
	void *comm;

	if (!library) {
		fprintf(stderr, "caller: %s\n", dlerror());
		return 1;
	}
	int (*plain)(void **, int, ncclUniqueId, int) = dlsym(library, "ncclCommInitRank");
	int (*config)(void **, int, ncclUniqueId, int, void *) = dlsym(library, "ncclCommInitRankConfig");
	int (*scalable)(void **, int, int, int, ncclUniqueId *, void *) = dlsym(library, "ncclCommInitRankScalable");

	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 128; j++)
			ids[i].internal[j] = i + j;
	plain(&comm, 8, ids[0], 3);
	config(&comm, 16, ids[1], 15, 0);
	scalable(&comm, 1024, 512, 1, &ids[2], 0);
	return 0;
}
