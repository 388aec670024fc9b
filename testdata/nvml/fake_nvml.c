//go:build ignore

/*
 * A stand-in for the NVIDIA management library. It exports the calls that the
 * agent makes and answers them from a scenario file named by FAKE_NVML. The
 * tests compile it against go-nvml's copy of the header, whose handles are
 * structs of one pointer (the same layout in a call), and load it like the real
 * library, so that loading, symbol lookup and struct layouts are tested too.
 *
 * One line of the scenario is "key=value"; "metric.ID=value" sets a GPM metric.
 * Time is counted in ticks of one second: a device's tick grows with each call
 * of nvmlDeviceGetPowerUsage, the first that a reading makes, so that a
 * scenario plays the same at any speed. GPM averages of counters are computed
 * from the ticks of the two samples.
 *
 * A line "@N key=value" takes effect at the Nth reading of the first device or
 * partition: a device is partitioned anew ("@5 mig=2"), the driver is unloaded
 * ("@5 unloaded=1"), an error is reported ("@5 xid=79").
 *
 * "node=/dev/nvidiactl", any number of times, is opened for reading and writing
 * before anything else, as the real library does: whoever may not gets no
 * library. That no driver answers there (ENXIO) is as good as an answer.
 *
 * WITHOUT_GPM, WITHOUT_ENERGY and WITHOUT_INIT leave symbols out.
 */
#define NVML_NO_UNVERSIONED_FUNC_DEFS 1
#include "nvml.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_DEVICES 16
#define MAX_PARTS 8
#define MAX_PROCESSES 256
#define MAX_METRIC 512
#define MAX_TIMED 64
#define MAX_NODES 24

struct fake_device {
	int index;
	int tick;
	int part; /* -1: a whole device */
	struct fake_device *whole;
	unsigned long long reported; /* ticks of process use handed out */
};

struct fake_sample {
	int tick;
	struct fake_device *device;
};

static struct {
	int devices, cores, major, minor, max_clock, clock, gpu_util, gpm, mig, init;
	int hang_device, hang_tick, hang_ms, lost_device, lost_tick, back_tick;
	int gpm_fail_from, gpm_fail_to, cycles, ramp, nan_metric, fail_metric, no_util;
	int processes_supported, use_supported, grow, reset_tick;
	int unloaded, xid, reasons, ecc, accounting, mps, cc, clique, sums, count_kib, history, exit_tick, hang_init_ms;
	unsigned pci;
	unsigned long long power, memory, used;
	char name[96];
	int process_count;
	struct { unsigned pid, util; unsigned long long memory; } process[MAX_PROCESSES];
	double metric[MAX_METRIC];
	char has_metric[MAX_METRIC];
	int timed_count;
	struct { int at; char line[96]; } timed[MAX_TIMED];
	int node_count;
	char node[MAX_NODES][64];
} S;

static int pending_xid; /* reported once */

static struct fake_device D[MAX_DEVICES], P[MAX_DEVICES][MAX_PARTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;
static int initialised;

/* The caller's runtime sends signals to its threads: they end no hang. */
static void hang(int ms) {
	struct timespec left = {ms / 1000, ms % 1000 * 1000000L};
	while (nanosleep(&left, &left))
		;
}

static void number(const char *key, const char *line, int *to) {
	size_t n = strlen(key);
	if (!strncmp(line, key, n) && line[n] == '=')
		*to = atoi(line + n + 1);
}

static void big(const char *key, const char *line, unsigned long long *to) {
	size_t n = strlen(key);
	if (!strncmp(line, key, n) && line[n] == '=')
		*to = strtoull(line + n + 1, NULL, 0);
}

static void parse(const char *line) {
	unsigned long long pci = S.pci;
	double v;
	int id, used = 0;
	if (sscanf(line, "@%d %n", &id, &used) == 1 && used && S.timed_count < MAX_TIMED) {
		S.timed[S.timed_count].at = id;
		snprintf(S.timed[S.timed_count++].line, sizeof S.timed[0].line, "%.95s", line + used);
		return;
	}
	number("unloaded", line, &S.unloaded);
	pthread_mutex_lock(&lock);
	number("xid", line, &pending_xid);
	pthread_cond_signal(&told);
	pthread_mutex_unlock(&lock);
	number("reasons", line, &S.reasons);
	number("ecc", line, &S.ecc);
	number("accounting", line, &S.accounting);
	number("mps", line, &S.mps);
	number("cc", line, &S.cc);
	number("clique", line, &S.clique);
	number("sums", line, &S.sums);
	number("count_kib", line, &S.count_kib);
	number("history", line, &S.history);
	number("exit_tick", line, &S.exit_tick);
	number("hang_init_ms", line, &S.hang_init_ms);
	number("devices", line, &S.devices);
	number("cores", line, &S.cores);
	number("major", line, &S.major);
	number("minor", line, &S.minor);
	number("max_clock", line, &S.max_clock);
	number("clock", line, &S.clock);
	number("gpu_util", line, &S.gpu_util);
	number("no_util", line, &S.no_util);
	number("gpm", line, &S.gpm);
	number("mig", line, &S.mig);
	number("init", line, &S.init);
	number("hang_device", line, &S.hang_device);
	number("hang_tick", line, &S.hang_tick);
	number("hang_ms", line, &S.hang_ms);
	number("lost_device", line, &S.lost_device);
	number("lost_tick", line, &S.lost_tick);
	number("back_tick", line, &S.back_tick);
	number("gpm_fail_from", line, &S.gpm_fail_from);
	number("gpm_fail_to", line, &S.gpm_fail_to);
	number("cycles", line, &S.cycles);
	number("ramp", line, &S.ramp);
	number("nan_metric", line, &S.nan_metric);
	number("fail_metric", line, &S.fail_metric);
	number("processes_supported", line, &S.processes_supported);
	number("use_supported", line, &S.use_supported);
	number("grow", line, &S.grow);
	number("reset_tick", line, &S.reset_tick);
	big("power", line, &S.power);
	big("memory", line, &S.memory);
	big("used", line, &S.used);
	big("pci", line, &pci);
	S.pci = (unsigned)pci;
	if (!strncmp(line, "name=", 5))
		snprintf(S.name, sizeof S.name, "%.95s", line + 5);
	if (sscanf(line, "metric.%d=%lf", &id, &v) == 2 && id > 0 && id < MAX_METRIC) {
		S.metric[id] = v;
		S.has_metric[id] = 1;
	}
	if (!strncmp(line, "node=", 5) && S.node_count < MAX_NODES)
		snprintf(S.node[S.node_count++], sizeof S.node[0], "%.63s", line + 5);
	if (!strncmp(line, "process=", 8) && S.process_count < MAX_PROCESSES) {
		unsigned pid = 0, util = 0;
		unsigned long long memory = 0;
		sscanf(line + 8, "%u:%llu:%u", &pid, &memory, &util);
		S.process[S.process_count].pid = pid;
		S.process[S.process_count].memory = memory;
		S.process[S.process_count++].util = util;
	}
}

#ifndef WITHOUT_INIT
/* Opens the device files of the scenario; those that open stay open. */
static nvmlReturn_t nodes(void) {
	for (int i = 0; i < S.node_count; i++) {
		if (open(S.node[i], O_RDWR | O_CLOEXEC) >= 0 || errno == ENXIO)
			continue;
		return errno == ENOENT ? NVML_ERROR_DRIVER_NOT_LOADED : NVML_ERROR_NO_PERMISSION;
	}
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlInit_v2(void) {
	char line[256];
	const char *path = getenv("FAKE_NVML");
	FILE *f = path ? fopen(path, "r") : NULL;
	if (!f)
		return NVML_ERROR_DRIVER_NOT_LOADED;
	memset(&S, 0, sizeof S);
	S.devices = 1;
	S.hang_device = S.lost_device = S.gpm_fail_from = -1;
	S.processes_supported = S.use_supported = 1;
	while (fgets(line, sizeof line, f)) {
		line[strcspn(line, "\n")] = 0;
		parse(line);
	}
	fclose(f);
	for (int i = 0; i < MAX_DEVICES; i++) {
		D[i] = (struct fake_device){.index = i, .part = -1, .whole = &D[i]};
		for (int j = 0; j < MAX_PARTS; j++)
			P[i][j] = (struct fake_device){.index = i, .part = j, .whole = &D[i]};
	}
	if (S.hang_init_ms)
		hang(S.hang_init_ms);
	if (S.init == 0)
		S.init = nodes();
	initialised = S.init == 0;
	return (nvmlReturn_t)S.init;
}
#endif

nvmlReturn_t nvmlShutdown(void) {
	if (!initialised)
		return NVML_ERROR_UNINITIALIZED;
	initialised = 0;
	return NVML_SUCCESS;
}

const char *nvmlErrorString(nvmlReturn_t r) { (void)r; return "stand-in"; }

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned n) {
	snprintf(version, n, "590.10");
	return NVML_SUCCESS;
}

static struct fake_device *of(nvmlDevice_t d) { return (struct fake_device *)d.handle; }

static struct fake_sample *sample(nvmlGpmSample_t s) { return (struct fake_sample *)s.handle; }

static int lost(nvmlDevice_t d) {
	struct fake_device *w = of(d)->whole;
	return w->index == S.lost_device && w->tick >= S.lost_tick && (!S.back_tick || w->tick < S.back_tick);
}

/* The Nth reading of the first device: what is due then takes effect. */
static void reading(int n) {
	for (int i = 0; i < S.timed_count; i++)
		if (S.timed[i].at == n)
			parse(S.timed[i].line);
	if (S.exit_tick && n == S.exit_tick)
		_exit(9); /* a driver that takes the process down */
}

#define CHECK(d) do { if (!initialised || S.unloaded) return NVML_ERROR_UNINITIALIZED; if (lost(d)) return NVML_ERROR_GPU_IS_LOST; } while (0)

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *n) { *n = (unsigned)S.devices; return NVML_SUCCESS; }

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned i, nvmlDevice_t *d) {
	if (i >= (unsigned)S.devices)
		return NVML_ERROR_INVALID_ARGUMENT;
	d->handle = (void *)&D[i];
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t d, char *uuid, unsigned n) {
	if (of(d)->part >= 0)
		snprintf(uuid, n, "MIG-00000000-0000-0000-%04d-%012d", of(d)->part, of(d)->index);
	else
		snprintf(uuid, n, "GPU-00000000-0000-0000-0000-%012d", of(d)->index);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t d, char *name, unsigned n) {
	(void)d;
	snprintf(name, n, "%s", S.name);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t d, nvmlPciInfo_t *pci) {
	memset(pci, 0, sizeof *pci);
	pci->bus = (unsigned)of(d)->index;
	pci->pciDeviceId = S.pci;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t d, int *major, int *minor) {
	(void)d;
	*major = S.major;
	*minor = S.minor;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetNumGpuCores(nvmlDevice_t d, unsigned *n) {
	(void)d;
	*n = (unsigned)S.cores;
	return S.cores ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t d, nvmlClockType_t type, unsigned *mhz) {
	(void)d;
	if (type != NVML_CLOCK_SM)
		return NVML_ERROR_INVALID_ARGUMENT;
	*mhz = (unsigned)S.max_clock;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t d, nvmlMemory_t *m) {
	CHECK(d);
	m->total = S.memory;
	m->used = S.used;
	m->free = S.memory - S.used;
	return NVML_SUCCESS;
}

/* MIG: "mig=N" gives every device N partitions, the first two in one instance
 * when N is 3 or more. */
nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t d, unsigned *current, unsigned *pending) {
	(void)d;
	*current = *pending = S.mig > 0;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t d, unsigned *n) {
	(void)d;
	*n = MAX_PARTS;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t d, unsigned i, nvmlDevice_t *part) {
	if (i >= (unsigned)S.mig || i >= MAX_PARTS)
		return NVML_ERROR_NOT_FOUND;
	part->handle = (void *)&P[of(d)->index][i];
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t d, unsigned *id) {
	int part = of(d)->part;
	*id = (unsigned)(S.mig >= 3 && part == 1 ? 0 : part);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetAttributes_v2(nvmlDevice_t d, nvmlDeviceAttributes_t *a) {
	(void)d;
	memset(a, 0, sizeof *a);
	a->multiprocessorCount = 16;
	a->memorySizeMB = 10240;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t d, unsigned *mw) {
	struct fake_device *f = of(d);
	if (f->part >= 0)
		return NVML_ERROR_NOT_SUPPORTED;
	f->tick++;
	if (f->index == 0)
		reading(f->tick);
	if (f->index == S.hang_device && f->tick == S.hang_tick)
		hang(S.hang_ms);
	CHECK(d);
	*mw = (unsigned)S.power;
	return S.power ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
}

#ifndef WITHOUT_ENERGY
nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t d, unsigned long long *mj) {
	CHECK(d);
	*mj = S.power * (unsigned long long)of(d)->tick;
	return NVML_SUCCESS;
}
#endif

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t d, nvmlUtilization_t *u) {
	CHECK(d);
	if (S.no_util || S.mig)
		return NVML_ERROR_NOT_SUPPORTED;
	u->gpu = (unsigned)S.gpu_util;
	u->memory = 0;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t d, nvmlClockType_t type, unsigned *mhz) {
	CHECK(d);
	if (type != NVML_CLOCK_SM)
		return NVML_ERROR_INVALID_ARGUMENT;
	*mhz = (unsigned)S.clock;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t d, unsigned *n, nvmlProcessInfo_t *infos) {
	CHECK(d);
	if (!S.processes_supported)
		return NVML_ERROR_NOT_SUPPORTED;
	if (*n < (unsigned)S.process_count) {
		*n = (unsigned)S.process_count;
		return NVML_ERROR_INSUFFICIENT_SIZE;
	}
	*n = 0;
	for (int i = 0; i < S.process_count; i++) {
		if (!S.process[i].memory)
			continue; /* ended: only its use is still known */
		memset(&infos[*n], 0, sizeof infos[0]);
		infos[*n].pid = S.process[i].pid;
		infos[*n].usedGpuMemory = S.process[i].memory == 1 ? ~0ULL : S.process[i].memory;
		(*n)++;
	}
	return NVML_SUCCESS;
}

/* Every tick has one row for each process, stamped with the tick in seconds;
 * rows up to lastSeen are not given again. */
nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t d, nvmlProcessUtilizationSample_t *rows, unsigned *n, unsigned long long last) {
	CHECK(d);
	if (!S.use_supported)
		return NVML_ERROR_NOT_SUPPORTED;
	unsigned long long now = (unsigned long long)of(d)->tick * 1000000ULL;
	unsigned count = 0;
	for (int i = 0; i < S.process_count; i++)
		count += S.process[i].util > 0;
	if (!count || last >= now)
		return NVML_ERROR_NOT_FOUND;
	if (!rows || *n < count) {
		*n = count;
		return NVML_ERROR_INSUFFICIENT_SIZE;
	}
	if (S.grow) { /* a process appeared between the two calls */
		*n = count + 1;
		return NVML_ERROR_INSUFFICIENT_SIZE;
	}
	*n = 0;
	for (int i = 0; i < S.process_count; i++) {
		if (!S.process[i].util)
			continue;
		memset(&rows[*n], 0, sizeof rows[0]);
		rows[*n].pid = S.process[i].pid;
		rows[*n].timeStamp = now;
		rows[*n].smUtil = S.process[i].util;
		(*n)++;
	}
	return NVML_SUCCESS;
}

/* "history=N" gives N clock samples a second whose clock falls evenly from the
 * maximum to twice the reading less the maximum, so that their mean is it. */
nvmlReturn_t nvmlDeviceGetSamples(nvmlDevice_t d, nvmlSamplingType_t type, unsigned long long last, nvmlValueType_t *kind, unsigned *n, nvmlSample_t *rows) {
	CHECK(d);
	if (type != NVML_PROCESSOR_CLK_SAMPLES || !S.history)
		return NVML_ERROR_NOT_SUPPORTED;
	unsigned long long now = (unsigned long long)of(d)->tick * 1000000ULL, step = 1000000ULL / (unsigned)S.history;
	unsigned count = 0;
	for (unsigned long long at = now < 1000000 ? step : now - 1000000 + step; at <= now; at += step) {
		if (at <= last)
			continue;
		if (rows && count < *n) {
			unsigned i = (unsigned)((at - 1) / step) % (unsigned)S.history;
			double spread = 2.0 * (S.max_clock - S.clock);
			rows[count].timeStamp = at;
			rows[count].sampleValue.ullVal = 0;
			rows[count].sampleValue.uiVal = (unsigned)(S.max_clock - spread * (i + 0.5) / S.history);
		}
		count++;
	}
	*n = count;
	*kind = NVML_VALUE_TYPE_UNSIGNED_INT;
	return count ? NVML_SUCCESS : NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t d, unsigned long long *reasons) {
	CHECK(d);
	*reasons = (unsigned)S.reasons;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t d, nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter, unsigned long long *count) {
	(void)counter;
	CHECK(d);
	if (S.ecc < 0 || type != NVML_MEMORY_ERROR_TYPE_UNCORRECTED)
		return NVML_ERROR_NOT_SUPPORTED;
	*count = (unsigned)S.ecc;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetAccountingMode(nvmlDevice_t d, nvmlEnableState_t *mode) {
	CHECK(d);
	*mode = S.accounting ? NVML_FEATURE_ENABLED : NVML_FEATURE_DISABLED;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t d, unsigned *minor) {
	*minor = (unsigned)of(d)->index;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMPSComputeRunningProcesses_v3(nvmlDevice_t d, unsigned *n, nvmlProcessInfo_t *infos) {
	CHECK(d);
	if (*n < (unsigned)S.mps) {
		*n = (unsigned)S.mps;
		return NVML_ERROR_INSUFFICIENT_SIZE;
	}
	memset(infos, 0, (unsigned)S.mps * sizeof infos[0]);
	*n = (unsigned)S.mps;
	return NVML_SUCCESS;
}

/* "count_kib=N": every byte counter grows by N KiB a tick. */
nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t d, int n, nvmlFieldValue_t *values) {
	CHECK(d);
	for (int i = 0; i < n; i++) {
		int nvlink = values[i].fieldId == 138 || values[i].fieldId == 139;
		values[i].nvmlReturn = S.count_kib ? NVML_SUCCESS : NVML_ERROR_NOT_SUPPORTED;
		values[i].valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
		values[i].value.ullVal = (unsigned long long)S.count_kib * (unsigned)of(d)->tick * (nvlink ? 1 : 1024);
	}
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGpuFabricInfoV(nvmlDevice_t d, nvmlGpuFabricInfoV_t *info) {
	CHECK(d);
	nvmlGpuFabricInfo_v2_t *v2 = (nvmlGpuFabricInfo_v2_t *)info;
	if (v2->version != nvmlGpuFabricInfo_v2)
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	memset(v2->clusterUuid, S.clique ? 0xab : 0, sizeof v2->clusterUuid);
	v2->cliqueId = (unsigned)S.clique;
	v2->state = S.clique ? NVML_GPU_FABRIC_STATE_COMPLETED : NVML_GPU_FABRIC_STATE_NOT_SUPPORTED;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetConfComputeState(nvmlConfComputeSystemState_t *state) {
	memset(state, 0, sizeof *state);
	state->ccFeature = (unsigned)S.cc;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set) {
	set->handle = (void *)&pending_xid;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set) {
	(void)set;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t d, unsigned long long types, nvmlEventSet_t set) {
	(void)types;
	(void)set;
	CHECK(d);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *data, unsigned ms) {
	(void)set;
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&lock);
	while (!pending_xid && !pthread_cond_timedwait(&told, &lock, &until))
		;
	int xid = pending_xid;
	pending_xid = 0;
	pthread_mutex_unlock(&lock);
	if (!xid)
		return NVML_ERROR_TIMEOUT;
	memset(data, 0, sizeof *data);
	data->device.handle = (void *)&D[0];
	data->eventType = nvmlEventTypeXidCriticalError;
	data->eventData = (unsigned)xid;
	return NVML_SUCCESS;
}

#ifndef WITHOUT_GPM
nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t d, nvmlGpmSupport_t *s) {
	CHECK(d);
	s->isSupportedDevice = (unsigned)S.gpm;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpmSampleAlloc(nvmlGpmSample_t *s) {
	s->handle = calloc(1, sizeof(struct fake_sample));
	return s->handle ? NVML_SUCCESS : NVML_ERROR_MEMORY;
}

nvmlReturn_t nvmlGpmSampleFree(nvmlGpmSample_t s) {
	free(s.handle);
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpmSampleGet(nvmlDevice_t d, nvmlGpmSample_t s) {
	int tick = of(d)->tick;
	CHECK(d);
	if (S.gpm_fail_from >= 0 && tick >= S.gpm_fail_from && tick <= S.gpm_fail_to)
		return NVML_ERROR_UNKNOWN;
	sample(s)->tick = tick;
	sample(s)->device = of(d);
	return NVML_SUCCESS;
}

/* Partitions have no power reading to count ticks by: each sample is a tick. */
nvmlReturn_t nvmlGpmMigSampleGet(nvmlDevice_t d, unsigned instance, nvmlGpmSample_t s) {
	CHECK(d);
	pthread_mutex_lock(&lock);
	sample(s)->tick = ++P[of(d)->index][instance % MAX_PARTS].tick;
	pthread_mutex_unlock(&lock);
	if (of(d)->index == 0 && instance == 0)
		reading(sample(s)->tick);
	sample(s)->device = &P[of(d)->index][instance % MAX_PARTS];
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpmMetricsGet(nvmlGpmMetricsGet_t *m) {
	if (m->version != NVML_GPM_METRICS_GET_VERSION || sample(m->sample1)->device != sample(m->sample2)->device)
		return NVML_ERROR_INVALID_ARGUMENT;
	int ticks = sample(m->sample2)->tick - sample(m->sample1)->tick;
	int now = sample(m->sample2)->tick;
	if (S.reset_tick && now >= S.reset_tick)
		now -= S.reset_tick; /* the driver was loaded anew */
	for (unsigned i = 0; i < m->numMetrics; i++) {
		nvmlGpmMetric_t *g = &m->metrics[i];
		int id = (int)g->metricId;
		g->nvmlReturn = NVML_SUCCESS;
		if (id >= 248 && id <= 260) {
			/* counts since reboot; 248 is one SM's clock */
			double part = id == 248 ? 100 : id == 252 ? S.metric[7] : id == 253 ? S.metric[9] : id == 249 ? S.metric[2] : 0;
			if (!S.cycles || id == 255 || id == 256) {
				g->nvmlReturn = NVML_ERROR_NOT_SUPPORTED;
				continue;
			}
			g->value = part / 100 * S.clock * 1e6 * now * (S.sums ? S.cores / 128 : 1);
		} else if (id < MAX_METRIC && S.has_metric[id]) {
			/* ramp: the value tells how many ticks the pair spans */
			g->value = S.ramp ? S.metric[id] * ticks : S.metric[id];
		} else {
			g->nvmlReturn = NVML_ERROR_NOT_SUPPORTED;
			continue;
		}
		if (id == S.nan_metric)
			g->value = NAN;
		if (id == S.fail_metric)
			g->nvmlReturn = NVML_ERROR_UNKNOWN;
	}
	return NVML_SUCCESS;
}
#endif
