/* Processes that user space asks for by their id, instead of being told of each:
 * nearly all of them never touch a device. And the paths of cgroups, which have no
 * name any more once they are removed. */
#ifndef FLOPWATCH_RECALL_H
#define FLOPWATCH_RECALL_H

#include "event.h"

/* Set before loading: keep processes and tell of none. */
const volatile __u8 recall = 0;

/* Times as in struct event. */
struct recalled {
	__u64 start;
	__u64 ended;  /* 0 while it lives */
	__u64 reused; /* when the id passed to this process from an earlier one, 0 if it did not */
	__u64 cgroup;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct recalled);
} processes SEC(".maps");

enum { CGROUP_PATH = 256 };

struct cgroup_path {
	char path[CGROUP_PATH];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct cgroup_path);
} cgroup_paths SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cgroup_path);
} path_room SEC(".maps");

static __always_inline int recall_process(struct task_struct *task, __u32 kind)
{
	struct recalled now = {};
	struct recalled *before;
	__u32 pid = task->tgid;

	now.start = task->group_leader->start_boottime;
	now.cgroup = task->cgroups->dfl_cgrp->kn->id;
	before = bpf_map_lookup_elem(&processes, &pid);
	if (before)
		now.reused = before->start == now.start ? before->reused : bpf_ktime_get_boot_ns();
	if (kind == EVENT_EXIT)
		now.ended = bpf_ktime_get_boot_ns();
	if (bpf_map_update_elem(&processes, &pid, &now, 0))
		count_drop(DROP_PROCESS);
	return 0;
}

/* Only the unified hierarchy, which is number 0: ids of others are their own. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_made, struct cgroup *made, const char *path)
{
	__u32 zero = 0;
	__u64 id = made->kn->id;
	struct cgroup_path *room;
	long length;

	if (made->root->hierarchy_id != 0)
		return 0;
	room = bpf_map_lookup_elem(&path_room, &zero);
	if (!room)
		return 0;
	length = bpf_probe_read_kernel_str(room->path, CGROUP_PATH, path);
	/* One that fills the room may have been cut: no name is better than another's. */
	if (length <= 0 || length == CGROUP_PATH)
		return 0;
	bpf_map_update_elem(&cgroup_paths, &id, room, 0);
	return 0;
}

#endif
