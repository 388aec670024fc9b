/* Set-up of NCCL communicators: who joins which, as what rank. Attached to
 * set-up calls only, never to collectives. */
#ifndef FLOPWATCH_COMMUNICATOR_H
#define FLOPWATCH_COMMUNICATOR_H

#include <bpf/bpf_core_read.h>
#include "event.h"

static __always_inline int joined(const void *id, __u32 ranks, __u32 rank)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct communicator_event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e) {
		count_drop(DROP_COMMUNICATOR);
		return 0;
	}
	if (bpf_probe_read_user(e->id, sizeof(e->id), id)) {
		bpf_ringbuf_discard(e, BPF_RB_NO_WAKEUP);
		count_drop(DROP_COMMUNICATOR);
		return 0;
	}
	e->head.time = bpf_ktime_get_boot_ns();
	e->head.start = BPF_CORE_READ(task, group_leader, start_boottime);
	e->head.cgroup = bpf_get_current_cgroup_id();
	e->head.file = 0;
	e->head.pid = bpf_get_current_pid_tgid() >> 32;
	e->head.ppid = BPF_CORE_READ(task, real_parent, tgid);
	e->head.creator = 0;
	e->head.major = 0;
	e->head.minor = 0;
	e->head.kind = EVENT_COMMUNICATOR;
	e->ranks = ranks;
	e->rank = rank;
	submit(e);
	return 0;
}

/* ncclCommInitRank(comm, nranks, id, rank) and ncclCommInitRankConfig(…, config):
 * the 128 bytes are passed by value. On amd64 that is on the stack, above the
 * return address; on arm64 by reference to a copy. */
SEC("uprobe")
int join_rank(void *ctx)
{
#if defined(__TARGET_ARCH_x86)
	struct pt_regs *regs = ctx;

	return joined((void *)(regs->sp + 8), regs->si, regs->dx);
#else
	struct user_pt_regs *regs = ctx;

	return joined((void *)regs->regs[2], regs->regs[1], regs->regs[3]);
#endif
}

/* ncclCommInitRankScalable(comm, nranks, rank, ids, id[], config): every rank
 * passes the same ids, so that the first names the communicator. */
SEC("uprobe")
int join_scalable(void *ctx)
{
#if defined(__TARGET_ARCH_x86)
	struct pt_regs *regs = ctx;

	return joined((void *)regs->r8, regs->si, regs->dx);
#else
	struct user_pt_regs *regs = ctx;

	return joined((void *)regs->regs[4], regs->regs[1], regs->regs[2]);
#endif
}

#endif
