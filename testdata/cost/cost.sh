#!/bin/sh
# Measures what the agent costs with 8 stand-in GPUs at 1 Hz while 1,000 processes
# live on the host. Usage: cost.sh BIN SECONDS [HOLDERS]
# HOLDERS processes hold all devices (default 8, one for each).
set -eu
bin=$1 seconds=$2 holders=${3:-8}
work=$(mktemp -d)
pids=
agent= collector=
cleanup() {
	for p in $agent $collector; do kill -INT "$p" 2>/dev/null || true; done
	wait $agent $collector 2>/dev/null || true
	kill $pids 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT

cat > "$work/scene" <<'SCENE'
devices=8
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
for n in $(seq 1000); do
	sleep 3600 &
	pids="$pids $!"
	if [ "$n" -le "$holders" ]; then echo "process=$!:4096:1" >> "$work/scene"; fi
done
"$bin/flopwatch-collector" serve --data "$work/data" > "$work/collector.log" 2>&1 &
collector=$!
while [ ! -e "$work/data/agent.json" ]; do sleep 0.1; done
FAKE_NVML="$work/scene" "$bin/flopwatch-agent" run --endpoint "$work/data/agent.json" --data "$work/agent" \
	${AGENT_FLAGS:-} --library "$bin/libnvml-standin.so" > "$work/agent.log" 2>&1 &
agent=$!
sleep 10
child=$(cat "/proc/$agent/task/$agent/children" | tr -d ' ')
[ -n "$child" ] || child=$(pgrep -P "$agent")
ran() { cat /proc/"$1"/task/*/schedstat | awk '{s += $1} END {print s}'; }
a0=$(ran "$agent") c0=$(ran "$child")
sleep "$seconds"
a1=$(ran "$agent") c1=$(ran "$child")
for p in "$agent" "$child"; do [ -z "${VERBOSE:-}" ] || grep -E "RssAnon|RssFile|RssShmem" /proc/$p/status
	echo "$p $(awk '/^(Rss|Pss):/ {printf "%s %d kB ", $1, $2}' /proc/"$p"/smaps_rollup)"
done
echo "$a0 $a1 $c0 $c1 $seconds $holders" | awk '{printf "%d holders: sampler %.3f %%, device reader %.3f %%, together %.3f %% of a core\n", $6, ($2-$1)/1e7/$5, ($4-$3)/1e7/$5, ($2-$1+$4-$3)/1e7/$5}'
