#!/bin/bash
# Does the ledger balance over an hour of a whole system in which everything
# changes? A collector and an agent with stand-in GPUs run for SECONDS; each step
# one thing happens to them: other processes hold the devices, a device appears or
# goes, a device is partitioned, the driver is unloaded, the process that reads the
# devices is killed, a device is released, agent or collector are killed. Whole
# programs only; all are stopped at the end.
# Usage: livehour.sh BIN [SECONDS] [STEP SECONDS]
set -eu
bin=$1 seconds=${2:-3600} step=${3:-30}
work=$(mktemp -d)
agent='' collector='' holders=''
cleanup() {
	for p in $agent $collector $holders; do kill -INT "$p" 2>/dev/null || true; done
	sleep 1
	for p in $agent $collector $holders; do kill -9 "$p" 2>/dev/null || true; done
	rm -rf "$work"
}
trap cleanup EXIT
# A build beside this must not change what is running.
mkdir "$work/bin"
cp "$bin"/flopwatch-agent "$bin"/flopwatch-collector "$bin"/flopwatchctl "$bin"/libnvml-standin.so "$work/bin/"
bin=$work/bin
port=$((20000 + $$ % 20000)) # the same after each start of the collector
ctl() { "$bin/flopwatchctl" --data "$work/data" "$@"; }

devices=4 mig=0
scene() { # what the driver says from its next start on
	{
		cat <<-SCENE
			devices=$devices
			mig=$mig
			name=NVIDIA H100 80GB HBM3
			cores=16896
			major=9
			max_clock=1980
			clock=1755
			pci=0x233010de
			memory=85520809984
			used=1073741824
			power=650000
			gpu_util=100
			gpm=1
			cycles=1
			history=20
			metric.2=91
			metric.7=40
			metric.10=33
		SCENE
		for p in $holders; do echo "process=$p:4096:40"; done
		[ $# = 0 ] || echo "$1"
	} >"$work/scene.new"
	mv "$work/scene.new" "$work/scene"
}
hold() { # as many processes hold the devices, in place of those before
	for p in $holders; do kill "$p" 2>/dev/null || true; done
	holders=''
	for _ in $(seq "$1"); do
		sleep 86400 &
		disown
		holders="$holders $!"
	done
}
wait_for() { # FILE
	for _ in $(seq 600); do [ -e "$1" ] && return; sleep 0.1; done
	echo "livehour: $1 does not come" >&2
	exit 1
}
start_collector() {
	rm -f "$work/data/agent.json"
	"$bin/flopwatch-collector" serve --data "$work/data" --broker-port "$port" >>"$work/collector.log" 2>&1 &
	collector=$!
	wait_for "$work/data/agent.json"
}
start_agent() {
	FAKE_NVML=$work/scene "$bin/flopwatch-agent" run --endpoint "$work/data/agent.json" --data "$work/agent" \
		--leases "$work/leases" --library "$bin/libnvml-standin.so" >>"$work/agent.log" 2>&1 &
	agent=$!
}
# reader is the process that reads devices; the agent has other children for a moment.
reader() { for p in $(cat /proc/"$agent"/task/*/children); do if grep -q read-devices "/proc/$p/cmdline"; then echo "$p"; break; fi; done; }
lease() { printf '{"selector":{"kind":"host","value":"%s"},"tenant":"%s","from":"2020-01-01T00:00:00Z"}\n' "$(hostname)" "$1" >"$work/leases.new" && mv "$work/leases.new" "$work/leases"; }

hold 4
scene
lease ten-one
start_collector
began=$(date +%s)
start_agent
changed=0 readers=0 releases=0 agents=0 collectors=0 forks=0 n=0
while [ $(($(date +%s) - began)) -lt "$seconds" ]; do
	sleep "$step"
	n=$((n + 1))
	kill -0 "$agent" && kill -0 "$collector" || { echo "livehour: a program has ended by itself" >&2; tail -5 "$work"/*.log >&2; exit 1; }
	case $((n % 10)) in
	1) hold $((1 + n % 5)); scene; kill -9 "$(reader)" && changed=$((changed + 1)) readers=$((readers + 1)) ;;
	2) "$bin/flopwatch-agent" release --data "$work/agent" --gpu GPU-00000000-0000-0000-0000-000000000000 --for "$((step / 3))s" >/dev/null && releases=$((releases + 1)) || true ;;
	3) devices=$((2 + n % 3)); scene; kill -9 "$(reader)" && changed=$((changed + 1)) readers=$((readers + 1)) ;;
	4) lease ten-$((n % 7)); changed=$((changed + 1)) ;;
	5) scene '@3 unloaded=1'; kill -9 "$(reader)" && readers=$((readers + 2)); sleep 5; scene ;;
	6) for _ in $(seq 500); do /bin/true; done; forks=$((forks + 500)) ;;
	7) mig=$((n % 20 == 7 ? 2 : 0)); scene; kill -9 "$(reader)" && changed=$((changed + 1)) readers=$((readers + 1)) ;;
	8) kill -9 "$agent"; wait "$agent" 2>/dev/null || true; start_agent; agents=$((agents + 1)) ;;
	9) kill -9 "$collector"; wait "$collector" 2>/dev/null || true; start_collector; collectors=$((collectors + 1)) ;;
	0) hold 0; scene; kill -9 "$(reader)" && changed=$((changed + 1)) readers=$((readers + 1)) ;;
	esac
	[ -z "${VERBOSE:-}" ] || echo "$(date +%T) step $n: $(ctl ledger check | head -1)"
done
took=$(($(date +%s) - began))
kill -INT "$agent"
wait "$agent" || true
agent=''
sleep 5
echo "ran ${took} s: $n steps, $changed changes of devices, holders and leases, $readers ends of the reading process, $releases releases, $agents kills of the agent, $collectors kills of the collector, $forks short processes"
ctl ledger check
ctl ledger check -o json
ctl events -o csv | cut -d, -f5 | sort | uniq -c | sort -rn | head -20
