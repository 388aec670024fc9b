/* The few kernel types and constants that the programs need. Offsets are
 * relocated when the programs are loaded (CO-RE), so that only the names of the
 * fields must hold on the running kernel. */
#ifndef FLOPWATCH_KERNEL_H
#define FLOPWATCH_KERNEL_H

typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;

#include <bpf/bpf_helpers.h>

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_RINGBUF = 27,
};

enum { BPF_NOEXIST = 1 };
enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2 };
enum { BPF_RB_AVAIL_DATA = 0 };

enum { PF_KTHREAD = 0x00200000 };
enum { MSG_PEEK = 2 };
enum { BPF_DEVCG_ACC_MKNOD = 1, BPF_DEVCG_DEV_CHAR = 2 };
enum { S_IFMT = 00170000, S_IFCHR = 0020000 };
enum { AF_INET = 2, AF_INET6 = 10 };
enum { MINOR_BITS = 20, MINOR_MASK = (1 << MINOR_BITS) - 1 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	__u64 id;
};

struct cgroup_root {
	int hierarchy_id;
};

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live;
	int nr_threads;
};

struct files_struct;

struct task_struct {
	unsigned int flags;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	__u64 start_boottime;
	struct files_struct *files;
	struct css_set *cgroups;
	struct signal_struct *signal;
};

struct inode {
	__u16 i_mode;
	__u32 i_rdev;
};

struct file {
	struct inode *f_inode;
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

struct in6_addr {
	union {
		__u8 u6_addr8[16];
		__be32 u6_addr32[4];
	} in6_u;
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__u16 skc_family;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
};

struct msghdr;

#pragma clang attribute pop

/* What a program of a device controller is asked, in the kernel's ABI. */
struct bpf_cgroup_dev_ctx {
	__u32 access_type; /* access << 16 | kind of device */
	__u32 major;
	__u32 minor;
};

/* Registers at the entry of a user space function, as the kernel's ABI with
 * user space fixes them: no relocation. */
#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	__u64 regs[31], sp, pc, pstate;
};
#else
#error "the NCCL probe knows the calling conventions of amd64 and arm64 only"
#endif

#include <bpf/bpf_tracing.h>

#endif
