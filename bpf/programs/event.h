/* What the programs tell user space: records of one ring buffer, and counts of
 * what they could not tell. */
#ifndef FLOPWATCH_EVENT_H
#define FLOPWATCH_EVENT_H

#include "kernel.h"

enum event_kind {
	EVENT_FORK = 1,
	EVENT_EXEC = 2,
	EVENT_EXIT = 3,
	EVENT_MOVE = 4,
	EVENT_OPEN = 5,
	EVENT_CLOSE = 6,
	EVENT_COMMUNICATOR = 7,
};

/* Times are nanoseconds of CLOCK_BOOTTIME. Process ids are those of the initial
 * pid namespace. cgroup is the id in the unified hierarchy. */
struct event {
	__u64 time;
	__u64 start;  /* of the process */
	__u64 cgroup; /* of the process */
	__u64 file;   /* open, close: number of the open file */
	__u32 pid;
	__u32 ppid;
	__u32 creator; /* fork: who called it; differs from ppid with CLONE_PARENT */
	__u32 major;   /* open, close: device number */
	__u32 minor;
	__u32 kind;
};

enum { COMMUNICATOR_ID = 128 };

struct communicator_event {
	struct event head;
	__u32 ranks;
	__u32 rank;
	__u8 id[COMMUNICATOR_ID];
};

/* One line of the iterator over open files. */
struct holder {
	__u64 start;
	__u64 cgroup;
	__u64 file;
	__u32 pid;
	__u32 ppid;
	__u32 major;
	__u32 minor;
};

enum drop {
	DROP_PROCESS,
	DROP_OPEN,
	DROP_CLOSE,
	DROP_FILE, /* the table of open device files was full: its close is lost too */
	DROP_FLOW,
	DROP_COMMUNICATOR,
	DROPS,
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 22);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, DROPS);
	__type(key, __u32);
	__type(value, __u64);
} drops SEC(".maps");

/* The reader is woken when so many bytes wait; below that it comes by itself at
 * intervals. A wake-up for each record would cost more than the record. */
const volatile __u64 wake_bytes = 1 << 19;

static __always_inline void count_drop(__u32 what)
{
	__u64 *n = bpf_map_lookup_elem(&drops, &what);

	/* Atomic: programs of several kinds may interrupt each other on one CPU. */
	if (n)
		__sync_fetch_and_add(n, 1);
}

static __always_inline void submit(void *record)
{
	__u64 waiting = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);

	bpf_ringbuf_submit(record, waiting >= wake_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

#endif
