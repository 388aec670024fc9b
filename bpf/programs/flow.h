/* Bytes per cgroup and peer address, counted by socket call and not by packet.
 * What stays on the host is left out. */
#ifndef FLOPWATCH_FLOW_H
#define FLOPWATCH_FLOW_H

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include "event.h"

struct flow_key {
	__u64 cgroup;
	__u8 peer[16]; /* IPv6; IPv4 as ::ffff:a.b.c.d */
};

struct flow_bytes {
	__u64 sent;
	__u64 received;
};

struct flow_table {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct flow_key);
	__type(value, struct flow_bytes);
} flows_a SEC(".maps"), flows_b SEC(".maps");

/* Programs count into the table that stands here. User space exchanges it for an
 * empty one; the kernel answers when no program uses the old one any more, so
 * that reading and clearing loses nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct flow_table);
} flows SEC(".maps") = {
	.values = { (void *)&flows_a },
};

static __always_inline int is_local_v4(__be32 peer, __be32 own)
{
	return peer == own || (peer & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000) || peer == 0;
}

static __always_inline int fill_peer(struct flow_key *key, struct sock *sk)
{
	__be32 *peer = (__be32 *)key->peer;
	__be32 own[4];

	switch (sk->__sk_common.skc_family) {
	case AF_INET:
		peer[2] = bpf_htonl(0xffff);
		peer[3] = sk->__sk_common.skc_daddr;
		return !is_local_v4(peer[3], sk->__sk_common.skc_rcv_saddr);
	case AF_INET6:
		BPF_CORE_READ_INTO(&key->peer, sk, __sk_common.skc_v6_daddr.in6_u.u6_addr8);
		BPF_CORE_READ_INTO(&own, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
		if (peer[0] == 0 && peer[1] == 0 && peer[2] == bpf_htonl(0xffff))
			return !is_local_v4(peer[3], own[3]);
		if (peer[0] == 0 && peer[1] == 0 && peer[2] == 0)
			return 0; /* ::1, or not connected */
		return peer[0] != own[0] || peer[1] != own[1] || peer[2] != own[2] || peer[3] != own[3];
	}
	return 0;
}

static __always_inline int count_bytes(struct sock *sk, __u64 sent, __u64 received)
{
	struct flow_bytes *bytes, none = {};
	struct flow_key key = {};
	__u32 zero = 0;
	void *table;

	if (!fill_peer(&key, sk))
		return 0;
	key.cgroup = bpf_get_current_cgroup_id();
	table = bpf_map_lookup_elem(&flows, &zero);
	if (!table)
		return 0;
	bytes = bpf_map_lookup_elem(table, &key);
	if (!bytes) {
		bpf_map_update_elem(table, &key, &none, BPF_NOEXIST);
		bytes = bpf_map_lookup_elem(table, &key);
	}
	if (!bytes) {
		count_drop(DROP_FLOW);
		return 0;
	}
	if (sent)
		__sync_fetch_and_add(&bytes->sent, sent);
	if (received)
		__sync_fetch_and_add(&bytes->received, received);
	return 0;
}

/* From Linux 6.3 sockets have tracepoints, which see every way to send, and
 * connected UDP. Before, TCP is watched at its functions. */
SEC("tp_btf/sock_send_length")
int BPF_PROG(socket_sent, struct sock *sk, int length)
{
	return length > 0 ? count_bytes(sk, length, 0) : 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(socket_received, struct sock *sk, int length, int flags)
{
	return length > 0 && !(flags & MSG_PEEK) ? count_bytes(sk, 0, length) : 0;
}

/* On return: a call on a full socket takes less than it was asked to. */
SEC("fexit/tcp_sendmsg")
int BPF_PROG(flow_sent, struct sock *sk, struct msghdr *msg, unsigned long size, int taken)
{
	return taken > 0 ? count_bytes(sk, taken, 0) : 0;
}

SEC("fentry/tcp_cleanup_rbuf")
int BPF_PROG(flow_received, struct sock *sk, int copied)
{
	return copied > 0 ? count_bytes(sk, 0, copied) : 0;
}

#endif
