/* Who opened the watched character devices, and when the open file went away.
 * An open file is counted once, whatever was duplicated, inherited or passed. */
#ifndef FLOPWATCH_DEVICE_H
#define FLOPWATCH_DEVICE_H

#include <bpf/bpf_core_read.h>
#include "process.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} majors SEC(".maps");

/* Open files of watched devices by the address of their struct file, which is
 * theirs until the kernel frees it. The address stays in the kernel. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64);
	__type(value, struct holder);
} files SEC(".maps");

/* Numbers files: the CPU in the low bits makes the counts of CPUs distinct. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} file_numbers SEC(".maps");

static __always_inline __u64 next_file(void)
{
	__u32 zero = 0;
	__u64 *n = bpf_map_lookup_elem(&file_numbers, &zero);

	if (!n)
		return 0;
	*n += 1;
	return *n << 16 | (bpf_get_smp_processor_id() & 0xffff);
}

static __always_inline int watched(struct inode *inode)
{
	__u32 major = inode->i_rdev >> MINOR_BITS;

	if ((inode->i_mode & S_IFMT) != S_IFCHR)
		return 0;
	return bpf_map_lookup_elem(&majors, &major) != 0;
}

static __always_inline void report_file(struct holder *h, __u32 kind)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e) {
		count_drop(kind == EVENT_OPEN ? DROP_OPEN : DROP_CLOSE);
		return;
	}
	e->time = bpf_ktime_get_boot_ns();
	e->start = h->start;
	e->cgroup = h->cgroup;
	e->file = h->file;
	e->pid = h->pid;
	e->ppid = h->ppid;
	e->creator = 0;
	e->major = h->major;
	e->minor = h->minor;
	e->kind = kind;
	submit(e);
}

/* The opener is the current task, which is reached by the probe read: the helper
 * that gives it as a typed pointer is newer than 5.10. */
static __always_inline void fill_opener(struct holder *h, __u32 major, __u32 minor)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	h->start = BPF_CORE_READ(task, group_leader, start_boottime);
	h->cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	h->pid = BPF_CORE_READ(task, tgid);
	h->ppid = BPF_CORE_READ(task, real_parent, tgid);
	h->major = major;
	h->minor = minor;
}

static __always_inline int opened(struct inode *inode, struct file *file)
{
	__u64 key = (__u64)file;
	struct holder h = {};

	fill_opener(&h, inode->i_rdev >> MINOR_BITS, inode->i_rdev & MINOR_MASK);
	h.file = next_file();
	if (bpf_map_update_elem(&files, &key, &h, BPF_NOEXIST)) {
		/* Either full, or known: a file that passes here twice is opened once. */
		if (bpf_map_lookup_elem(&files, &key))
			return 0;
		count_drop(DROP_FILE);
	}
	report_file(&h, EVENT_OPEN);
	return 0;
}

/* chrdev_open runs for character devices only; security_file_open for every
 * file. User space loads the first that the kernel lets it attach to. */
SEC("fentry/chrdev_open")
int BPF_PROG(device_open, struct inode *inode, struct file *file)
{
	return watched(inode) ? opened(inode, file) : 0;
}

SEC("fentry/security_file_open")
int BPF_PROG(file_open, struct file *file)
{
	return watched(file->f_inode) ? opened(file->f_inode, file) : 0;
}

/* Runs once for each struct file, after a failed open too. Most files are not
 * ours: one look-up decides. */
static __always_inline int freed(struct file *file)
{
	__u64 key = (__u64)file;
	struct holder *known = bpf_map_lookup_elem(&files, &key);

	if (!known)
		return 0;
	report_file(known, EVENT_CLOSE);
	bpf_map_delete_elem(&files, &key);
	return 0;
}

SEC("fentry/security_file_free")
int BPF_PROG(file_free, struct file *file)
{
	return freed(file);
}

/* For kernels without security hooks. */
SEC("fentry/__fput")
int BPF_PROG(file_put, struct file *file)
{
	return freed(file);
}

/* Where the kernel refuses the hooks above: the question to the device
 * controller whether a device may be opened. It is asked by access(2) too, and it
 * knows no file, so that closes show in the holders only. The answer is always
 * yes, which leaves the other controllers' answers as they are. */
SEC("cgroup/dev")
int device_asked(struct bpf_cgroup_dev_ctx *ctx)
{
	__u32 major = ctx->major;
	struct holder h = {};

	if ((ctx->access_type & 0xffff) != BPF_DEVCG_DEV_CHAR || (ctx->access_type >> 16) & BPF_DEVCG_ACC_MKNOD)
		return 1;
	if (!bpf_map_lookup_elem(&majors, &major))
		return 1;
	fill_opener(&h, major, ctx->minor);
	report_file(&h, EVENT_OPEN);
	return 1;
}

/* Open files are numbered only if their end is seen, else numbers would outlive
 * their files. */
const volatile __u8 number_files = 1;

static __always_inline __u64 number_of(struct file *file, struct holder *h)
{
	__u64 key = (__u64)file;
	struct holder *known;

	if (!number_files)
		return 0;
	known = bpf_map_lookup_elem(&files, &key);
	if (known)
		return known->file;
	h->file = next_file();
	if (bpf_map_update_elem(&files, &key, h, BPF_NOEXIST)) {
		known = bpf_map_lookup_elem(&files, &key);
		if (known)
			return known->file;
		count_drop(DROP_FILE);
	}
	return h->file;
}

/* Open files of watched devices, each with every process that has a descriptor
 * of it. Files from before the hooks are entered, so that their close is seen. */
SEC("iter/task_file")
int device_holders(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct holder h = {};

	if (!task || !file || !watched(file->f_inode))
		return 0;
	/* Threads share the table of files with their leader, nearly always. */
	if (task->pid != task->tgid && task->files == task->group_leader->files)
		return 0;
	h.start = task->group_leader->start_boottime;
	h.cgroup = task->cgroups->dfl_cgrp->kn->id;
	h.pid = task->tgid;
	h.ppid = task->real_parent->tgid;
	h.major = file->f_inode->i_rdev >> MINOR_BITS;
	h.minor = file->f_inode->i_rdev & MINOR_MASK;
	h.file = number_of(file, &h);
	bpf_seq_write(ctx->meta->seq, &h, sizeof(h));
	return 0;
}

#endif
