// Package bpf tells what processes a host runs, which of them open the devices,
// and with which peers they exchange bytes, as the kernel sees it happen.
//
// Sampling /proc misses a process that lives between two samples; the programs
// here do not. [Open] loads and attaches them, [Monitor.Run] hands out events,
// [Monitor.Holders] says who holds a device now, [Monitor.Traffic] reads and
// clears the bytes per cgroup and peer. [Monitor.WatchCommunicators] is opt-in
// and learns which processes join one NCCL communicator.
//
// What is read: process ids, start times, cgroup ids, device numbers, addresses
// of peers and counts of bytes. Never names, arguments, environments or content.
//
// What is lost is counted ([Monitor.Drops]): a drop widens the bounds of what is
// derived, it is never silent. Where the kernel or its policy allows no BPF,
// Open falls back to the process connector of netlink, which tells of processes
// only, and [Support] says what is missing and what that costs.
//
// A device held open is not a device in use: holders bound who may be using it.
// All times are since boot, suspended time included, and a process is known by
// its id and its start, since ids are used again. Ids are those of the initial
// pid namespace, so that the caller must run in it.
//
// The programs are C, in the folder programs; their objects are committed, so
// that a machine without clang builds this package.
package bpf

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -target amd64,arm64 -type event -type communicator_event -type holder -type recalled -type drop -type event_kind -cflags "-O2 -g -Wall -Wextra -Werror -Wno-unused-parameter" monitor programs/monitor.c
