//go:build ignore

#include "communicator.h"
#include "device.h"
#include "flow.h"

/* Types of records that no map holds, for the generated Go code. */
const struct event *unused_event __attribute__((unused));
const struct recalled *unused_recalled __attribute__((unused));
const struct communicator_event *unused_communicator __attribute__((unused));
const enum event_kind *unused_kind __attribute__((unused));
const enum drop *unused_drop __attribute__((unused));

char license_of_programs[] SEC("license") = "Dual BSD/GPL";
