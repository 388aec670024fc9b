//go:build ignore

/* A stand-in for libnccl with the calling convention of its set-up functions. */
typedef struct { char internal[128]; } ncclUniqueId;
typedef struct ncclComm *ncclComm_t;
typedef struct ncclConfig ncclConfig_t;

int ncclCommInitRank(ncclComm_t *comm, int nranks, ncclUniqueId id, int rank)
{
	*comm = (ncclComm_t)(long)(nranks + rank + id.internal[0]);
	return 0;
}

int ncclCommInitRankConfig(ncclComm_t *comm, int nranks, ncclUniqueId id, int rank, ncclConfig_t *config)
{
	*comm = (ncclComm_t)(long)(nranks + rank + id.internal[1] + (config != 0));
	return 0;
}

int ncclCommInitRankScalable(ncclComm_t *comm, int nranks, int rank, int ids, ncclUniqueId *id, ncclConfig_t *config)
{
	*comm = (ncclComm_t)(long)(nranks + rank + ids + id->internal[2] + (config != 0));
	return 0;
}
