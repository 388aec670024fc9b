#!/bin/sh
# Measures what the agent costs with 8 stand-in GPUs at 1 Hz while 1,000 processes
# live on the host. Usage: cost.sh BIN SECONDS [HOLDERS]
# UNITS=1 runs the two halves as units do, AGENT_FLAGS go to the sampling half.
# CHURN=N lets N more processes start, run a program and end each second: a start,
# an exec and an exit are three events for whoever watches processes.
# WRITTEN=1 leaves the program as the build wrote it: kernels since 6.16 keep what was
# written in large pages, and map 2 MB for each byte that is used. Otherwise it is taken
# out of the kernel's cache first, and read by running it, as after a boot.
# HOLDERS processes hold all devices (default 8, one for each).
set -eu
bin=$1 seconds=$2 holders=${3:-8}
work=$(mktemp -d)
pids=
agent= ship= collector= churn= wake=
cleanup() {
	for p in $churn $wake; do kill "$p" 2>/dev/null || true; done
	for p in $agent $ship $collector; do kill -INT "$p" 2>/dev/null || true; done
	wait $agent $ship $collector $churn $wake 2>/dev/null || true
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
[ -n "${WRITTEN:-}" ] || dd of="$bin/flopwatch-agent" oflag=nocache conv=notrunc,fdatasync count=0 2> /dev/null
export FAKE_NVML="$work/scene"
if [ -n "${UNITS:-}" ]; then # the two halves, as the packages install them
	"$bin/flopwatch-agent" sample --endpoint "$work/data/agent.json" --data "$work/agent" --receipt "$work/ship/receipt" \
		${AGENT_FLAGS:-} --library "$bin/libnvml-standin.so" > "$work/agent.log" 2>&1 &
	agent=$!
	"$bin/flopwatch-agent" ship --endpoint "$work/data/agent.json" --spool "$work/agent/spool" --state "$work/ship" > "$work/ship.log" 2>&1 &
	ship=$!
else
	"$bin/flopwatch-agent" run --endpoint "$work/data/agent.json" --data "$work/agent" \
		${AGENT_FLAGS:-} --library "$bin/libnvml-standin.so" > "$work/agent.log" 2>&1 &
	agent=$!
fi
sleep 10
child=$(pgrep -P "$agent")
if [ -n "${CHURN:-}" ]; then
	cc -O2 -static -o "$work/churn" "$(dirname "$0")/churn.c"
	"$work/churn" "$CHURN" &
	churn=$!
	began=$(awk '/^processes/ {print $2}' /proc/stat)
fi
cc -O2 -o "$work/wake" "$(dirname "$0")/wake.c"
"$work/wake" 20 &
wake=$!
switches() { for p in "$@"; do cat /proc/"$p"/task/*/status; done | awk '/^voluntary_ctxt/ {s += $2} END {print s}'; }
ran() { for p in "$@"; do cat /proc/"$p"/task/*/schedstat; done | awk '{s += $1} END {print s}'; }
a0=$(ran $agent $ship) c0=$(ran "$child") w0=$(ran "$wake") s0=$(switches $agent $ship "$child") v0=$(switches "$wake")
sleep "$seconds"
a1=$(ran $agent $ship) c1=$(ran "$child") w1=$(ran "$wake") s1=$(switches $agent $ship "$child") v1=$(switches "$wake")
[ -z "$churn" ] || echo "$(( ($(awk '/^processes/ {print $2}' /proc/stat) - began) / seconds )) processes start each second"
for p in $agent $ship $child; do
	[ -z "${VERBOSE:-}" ] || grep -E "RssAnon|RssFile|RssShmem" "/proc/$p/status"
	echo "$p $(awk '/^(Rss|Pss|Pss_Anon):/ {printf "%s %d kB ", $1, $2}' /proc/"$p"/smaps_rollup)"
done
echo "$a0 $a1 $c0 $c1 $seconds $holders" | awk '{printf "%d holders: agent %.3f %%, device reader %.3f %%, together %.3f %% of a core\n", $6, ($2-$1)/1e7/$5, ($4-$3)/1e7/$5, ($2-$1+$4-$3)/1e7/$5}'
echo "$s0 $s1 $seconds $w0 $w1 $v0 $v1" | awk '{printf "%.1f wake-ups a second; being woken for nothing costs %.0f us each on this machine now\n", ($2-$1)/$3, ($5-$4)/1e3/($7-$6)}'
