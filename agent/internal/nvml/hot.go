package nvml

/*
#cgo LDFLAGS: -ldl
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

// The structs of the calls below, as the management library's interface has had
// them since the drivers that export the calls. The stand-in is compiled against
// the vendor's header, so that tests would show a difference.
typedef struct { unsigned gpu, memory; } fw_utilization;
typedef struct { unsigned long long total, free, used; } fw_memory;
typedef struct { unsigned long long time; unsigned char value[8]; } fw_clock;
typedef struct { unsigned field, scope; long long time, latency; unsigned type, result; unsigned char value[8]; } fw_field;
typedef struct { unsigned pid; unsigned long long memory; unsigned gpu, compute; } fw_process;
typedef struct { unsigned pid; unsigned long long time; unsigned sm, memory, encoder, decoder; } fw_use;
typedef struct { unsigned id, result; double value; const char *names[3]; } fw_metric;
typedef struct { unsigned version, count; void *base, *fresh; fw_metric metric[64]; } fw_metrics;

// What one device's calls write to. It is C's, so that nothing of Go's has to be
// checked, moved or allocated for a call.
typedef struct {
	unsigned number, count, kind;
	unsigned long long big;
	fw_utilization utilization;
	fw_memory memory;
	fw_field field[4];
	fw_metrics metrics;
	unsigned clocks_cap, processes_cap, uses_cap;
	fw_clock *clocks;
	fw_process *processes;
	fw_use *uses;
} fw_scratch;

static void *fw_symbol(const char *name) { return dlsym(RTLD_DEFAULT, name); }

static int fw_number(void *fn, void *device, fw_scratch *s) { return ((int (*)(void *, unsigned *))fn)(device, &s->number); }
static int fw_big(void *fn, void *device, fw_scratch *s) { return ((int (*)(void *, unsigned long long *))fn)(device, &s->big); }
static int fw_utilization_of(void *fn, void *device, fw_scratch *s) { return ((int (*)(void *, fw_utilization *))fn)(device, &s->utilization); }
static int fw_memory_of(void *fn, void *device, fw_scratch *s) { return ((int (*)(void *, fw_memory *))fn)(device, &s->memory); }
static int fw_clock_of(void *fn, void *device, int type, fw_scratch *s) { return ((int (*)(void *, int, unsigned *))fn)(device, type, &s->number); }
static int fw_fields_of(void *fn, void *device, fw_scratch *s) { return ((int (*)(void *, int, fw_field *))fn)(device, 4, s->field); }
static int fw_sample(void *fn, void *device, void *sample) { return ((int (*)(void *, void *))fn)(device, sample); }
static int fw_part_sample(void *fn, void *device, unsigned instance, void *sample) { return ((int (*)(void *, unsigned, void *))fn)(device, instance, sample); }
static int fw_metrics_of(void *fn, fw_scratch *s) { return ((int (*)(fw_metrics *))fn)(&s->metrics); }

enum { insufficient = 7 };

// fw_room makes room for what a call said it has, and a little more for what may
// come in between.
static int fw_room(void **list, unsigned *cap, unsigned want, size_t size) {
	unsigned grown = want + want / 4 + 16;
	void *more = realloc(*list, grown * size);
	if (!more)
		return 0;
	*list = more;
	*cap = grown;
	return 1;
}

static int fw_clocks_of(void *fn, void *device, int type, unsigned long long seen, fw_scratch *s) {
	for (int tries = 0;; tries++) {
		s->count = s->clocks_cap;
		int ret = ((int (*)(void *, int, unsigned long long, unsigned *, unsigned *, fw_clock *))fn)(device, type, seen, &s->kind, &s->count, s->clocks);
		// Without a list the call succeeds and says how many there are.
		int wants = ret == insufficient || (ret == 0 && s->count > s->clocks_cap);
		if (!wants || tries == 2 || !fw_room((void **)&s->clocks, &s->clocks_cap, s->count, sizeof(fw_clock)))
			return wants ? insufficient : ret;
	}
}

static int fw_processes_of(void *fn, void *device, fw_scratch *s) {
	for (int tries = 0;; tries++) {
		s->count = s->processes_cap;
		int ret = ((int (*)(void *, unsigned *, fw_process *))fn)(device, &s->count, s->processes);
		if (ret != insufficient || tries == 2 || !fw_room((void **)&s->processes, &s->processes_cap, s->count, sizeof(fw_process)))
			return ret;
	}
}

static int fw_uses_of(void *fn, void *device, unsigned long long seen, fw_scratch *s) {
	for (int tries = 0;; tries++) {
		s->count = s->uses_cap;
		int ret = ((int (*)(void *, fw_use *, unsigned *, unsigned long long))fn)(device, s->uses, &s->count, seen);
		if (ret != insufficient || tries == 2 || !fw_room((void **)&s->uses, &s->uses_cap, s->count, sizeof(fw_use)))
			return ret;
	}
}

static fw_scratch *fw_new(void) {
	fw_scratch *s = calloc(1, sizeof *s);
	if (s && fw_room((void **)&s->clocks, &s->clocks_cap, 128, sizeof(fw_clock)) &&
	    fw_room((void **)&s->processes, &s->processes_cap, 16, sizeof(fw_process)) && fw_room((void **)&s->uses, &s->uses_cap, 64, sizeof(fw_use)))
		return s;
	abort(); // as Go does without memory
}

static void fw_free(fw_scratch *s) {
	free(s->clocks);
	free(s->processes);
	free(s->uses);
	free(s);
}
*/
import "C"

import (
	"reflect"
	"unsafe"

	nv "github.com/NVIDIA/go-nvml/pkg/nvml"
)

// hot makes the calls of every reading. go-nvml allocates and copies for each of
// them, which costs more than the calls; it still loads the library, finds the
// devices and owns their handles.
type hot struct {
	lib           *library
	device, whole unsafe.Pointer // nvmlDevice_t
	scratch       *C.fw_scratch
}

// hotSymbols are the addresses of the calls that hot makes, nil where the driver
// lacks one. Of a process list only versions 2 and 3 have the struct above.
type hotSymbols [calls]unsafe.Pointer

func findSymbols() *hotSymbols {
	var found hotSymbols
	for c, names := range symbols {
		for _, name := range names {
			if call(c) == callProcesses && name == "nvmlDeviceGetComputeRunningProcesses" {
				continue
			}
			text := C.CString(name)
			found[c] = C.fw_symbol(text)
			C.free(unsafe.Pointer(text))
			if found[c] != nil {
				break
			}
		}
	}
	return &found
}

func newHot(l *library, u *unit) *hot {
	return &hot{lib: l, device: handleOf(u.handle), whole: handleOf(u.whole), scratch: C.fw_new()}
}

func (h *hot) free() {
	if h.scratch != nil {
		C.fw_free(h.scratch)
		h.scratch = nil
	}
}

// handleOf returns the library's own handle, which go-nvml keeps as the first
// field of its devices and samples.
func handleOf(v any) unsafe.Pointer { return reflect.ValueOf(v).Field(0).UnsafePointer() }

func (h *hot) power() (uint32, nv.Return) {
	ret := C.fw_number(h.lib.hot[callPower], h.device, h.scratch)
	return uint32(h.scratch.number), nv.Return(ret)
}

func (h *hot) energy() (uint64, nv.Return) {
	ret := C.fw_big(h.lib.hot[callEnergy], h.device, h.scratch)
	return uint64(h.scratch.big), nv.Return(ret)
}

func (h *hot) utilization() (uint32, nv.Return) {
	ret := C.fw_utilization_of(h.lib.hot[callUtilization], h.device, h.scratch)
	return uint32(h.scratch.utilization.gpu), nv.Return(ret)
}

func (h *hot) memory() (used, total uint64, ret nv.Return) {
	ret = nv.Return(C.fw_memory_of(h.lib.hot[callMemory], h.device, h.scratch))
	return uint64(h.scratch.memory.used), uint64(h.scratch.memory.total), ret
}

// clock reads the SM clock of the whole device.
func (h *hot) clock() (uint32, nv.Return) {
	ret := C.fw_clock_of(h.lib.hot[callClock], h.whole, C.int(nv.CLOCK_SM), h.scratch)
	return uint32(h.scratch.number), nv.Return(ret)
}

// clocks returns the buffered clocks of the whole device since seenUS. They are
// valid until the next call.
func (h *hot) clocks(seenUS uint64) (nv.ValueType, []nv.Sample, nv.Return) {
	ret := C.fw_clocks_of(h.lib.hot[callSamples], h.whole, C.int(nv.PROCESSOR_CLK_SAMPLES), C.ulonglong(seenUS), h.scratch)
	if nv.Return(ret) != nv.SUCCESS {
		return 0, nil, nv.Return(ret)
	}
	return nv.ValueType(h.scratch.kind), unsafe.Slice((*nv.Sample)(unsafe.Pointer(h.scratch.clocks)), h.scratch.count), nv.SUCCESS
}

// fields reads four fields of the whole device.
func (h *hot) fields(values *[4]nv.FieldValue) nv.Return {
	for i := range values {
		h.scratch.field[i].field, h.scratch.field[i].scope = C.uint(values[i].FieldId), C.uint(values[i].ScopeId)
	}
	ret := C.fw_fields_of(h.lib.hot[callFields], h.whole, h.scratch)
	*values = *(*[4]nv.FieldValue)(unsafe.Pointer(&h.scratch.field))
	return nv.Return(ret)
}

// sampleInto takes a GPM sample of the device or, of a partition, of its GPU
// instance.
func (h *hot) sampleInto(s nv.GpmSample, instance int) nv.Return {
	if instance < 0 {
		return nv.Return(C.fw_sample(h.lib.hot[callGPMSample], h.device, handleOf(s)))
	}
	return nv.Return(C.fw_part_sample(h.lib.hot[callGPMMIGSample], h.whole, C.uint(instance), handleOf(s)))
}

// maxMetrics is how many metrics one call can ask for.
const maxMetrics = len(C.fw_metrics{}.metric)

// metrics computes metrics between two samples. An answer lies behind metric
// until the next call.
func (h *hot) metrics(base, fresh nv.GpmSample, wanted []metric) nv.Return {
	m := &h.scratch.metrics
	m.version, m.count = nv.GPM_METRICS_GET_VERSION, C.uint(len(wanted))
	m.base, m.fresh = handleOf(base), handleOf(fresh)
	for i := range wanted {
		m.metric[i].id = C.uint(wanted[i].id)
	}
	return nv.Return(C.fw_metrics_of(h.lib.hot[callGPMMetrics], h.scratch))
}

func (h *hot) metric(i int) (float64, nv.Return) {
	m := &h.scratch.metrics.metric[i]
	return float64(m.value), nv.Return(m.result)
}

// processes returns the processes that hold the device. They are valid until the
// next call.
func (h *hot) processes() ([]C.fw_process, nv.Return) {
	ret := C.fw_processes_of(h.lib.hot[callProcesses], h.device, h.scratch)
	if nv.Return(ret) != nv.SUCCESS {
		return nil, nv.Return(ret)
	}
	return unsafe.Slice(h.scratch.processes, h.scratch.count), nv.SUCCESS
}

// uses returns what processes used since lastSeen. They are valid until the next
// call.
func (h *hot) uses(lastSeen uint64) ([]C.fw_use, nv.Return) {
	ret := C.fw_uses_of(h.lib.hot[callProcessUse], h.device, C.ulonglong(lastSeen), h.scratch)
	if nv.Return(ret) != nv.SUCCESS {
		return nil, nv.Return(ret)
	}
	return unsafe.Slice(h.scratch.uses, h.scratch.count), nv.SUCCESS
}
