/* Start, exec, exit and change of cgroup of processes. Threads are not
 * processes, and kernel threads run no workload. */
#ifndef FLOPWATCH_PROCESS_H
#define FLOPWATCH_PROCESS_H

#include "event.h"
#include "recall.h"

/* Several threads that end together may each see that none is left. Who first
 * enters the process here reports its exit. */
struct process_key {
	__u64 start;
	__u32 pid;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct process_key);
	__type(value, __u32);
} ended SEC(".maps");

static __always_inline void fill_process(struct event *e, struct task_struct *task)
{
	e->time = bpf_ktime_get_boot_ns();
	e->start = task->group_leader->start_boottime;
	e->cgroup = task->cgroups->dfl_cgrp->kn->id;
	e->file = 0;
	e->pid = task->tgid;
	e->ppid = task->real_parent->tgid;
	e->creator = 0;
	e->major = 0;
	e->minor = 0;
}

static __always_inline int report_process(struct task_struct *task, __u32 kind, __u32 creator)
{
	struct event *e;

	if (recall)
		return recall_process(task, kind);
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		count_drop(DROP_PROCESS);
		return 0;
	}
	fill_process(e, task);
	e->kind = kind;
	e->creator = creator;
	submit(e);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(process_fork, struct task_struct *parent, struct task_struct *child)
{
	if (child->pid != child->tgid || child->flags & PF_KTHREAD)
		return 0;
	return report_process(child, EVENT_FORK, parent->tgid);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task)
{
	return report_process(task, EVENT_EXEC, 0);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	struct process_key key = {};
	__u32 here = 1;

	/* The leader may end long before the last thread: the process lives until
	 * no thread is left. */
	if (task->signal->live.counter != 0 || task->flags & PF_KTHREAD)
		return 0;
	key.start = task->group_leader->start_boottime;
	key.pid = task->tgid;
	if (task->signal->nr_threads > 1) {
		if (bpf_map_update_elem(&ended, &key, &here, BPF_NOEXIST))
			return 0;
	} else if (bpf_map_lookup_elem(&ended, &key)) {
		bpf_map_delete_elem(&ended, &key);
		return 0;
	}
	return report_process(task, EVENT_EXIT, 0);
}

/* A container's first process is forked first and moved into its cgroup then. */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(process_move, struct cgroup *to, const char *path, struct task_struct *task)
{
	if (task->pid != task->tgid || task->flags & PF_KTHREAD)
		return 0;
	/* The same tracepoint tells of the v1 hierarchies. */
	if (to->kn->id != task->cgroups->dfl_cgrp->kn->id)
		return 0;
	return report_process(task, EVENT_MOVE, 0);
}

#endif
