package collector

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/broker"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/httpd"
	"github.com/flopwatch/flopwatch/collector/internal/ingest"
	"github.com/flopwatch/flopwatch/collector/internal/monitor"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/cli"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/loopback"
	"github.com/flopwatch/flopwatch/pkg/systemd"
	"github.com/flopwatch/flopwatch/pkg/version"
)

// deriveEvery is how long a change of the ledger may wait for runs and findings.
const deriveEvery = 500 * time.Millisecond

// usualPartitions is into how many partitions hosts are divided at first where several
// collectors can share them.
const usualPartitions = 16

// nameRunes are what names of collectors are made of.
const nameRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// serveCommand runs the collector.
type serveCommand struct {
	Data       string `help:"Data directory." default:"data" type:"path"`
	Shared     string `help:"Folder that collectors share: key, agents' authority, vault and evidence. The data directory by default." placeholder:"FOLDER" type:"path"`
	Name       string `help:"Name of this collector where several share the work: letters and digits." placeholder:"NAME"`
	Listen     string `help:"Loopback address of API and desk; port 0 takes a free one." default:"127.0.0.1:0"`
	Public     string `help:"Address at which other machines reach API and desk, over TLS and with accounts, such as 0.0.0.0:8443; none by default." placeholder:"ADDRESS"`
	PublicName string `help:"Host name that the certificate is for." placeholder:"NAME"`
	TLSCert    string `name:"tls-cert" help:"Certificate with its chain, PEM; read anew when it changes." placeholder:"FILE" type:"path"`
	TLSKey     string `name:"tls-key" help:"Its key, PEM." placeholder:"FILE" type:"path"`
	Monitor    string `help:"Loopback address of /healthz, /readyz and /metrics, such as 127.0.0.1:8472; none by default." placeholder:"ADDRESS"`

	storeFlags
	fleetFlags

	Backup      string        `help:"Folder for backups; none are made without it." placeholder:"FOLDER" type:"path"`
	BackupEvery time.Duration `help:"Time between backups." default:"1h"`
	retention

	VaultKey       string `help:"File of the master key of personal data, 32 bytes; vault.key in the data directory by default, where it is made." placeholder:"FILE" type:"path"`
	ScreeningURL   string `help:"Server of watch lists to hold parties against; none by default." placeholder:"URL"`
	ScreeningKind  string `help:"What that server is: yente or watchman." default:"yente" enum:"yente,watchman"`
	ScreeningToken string `help:"File with the token that the server asks for." placeholder:"FILE" type:"path"`
	Notify         string `help:"File of channels by which people are told what waits for them: e-mail and webhooks; none by default." placeholder:"FILE" type:"path"`
	OIDC           string `name:"oidc" help:"File of an identity provider with which people sign in; none by default." placeholder:"FILE" type:"path"`
	AuditAnchor    string `help:"File at a second place, such as a mount of another machine or of write-once storage, to which each signed checkpoint of the audit log is appended; none by default." placeholder:"FILE" type:"path"`

	Profile string `help:"File to write a CPU profile of this run to, and what it holds in memory at the end beside it, to see what costs most." placeholder:"FILE" type:"path"`

	now  func() time.Time // of everything that the law dates; the real clock if nil
	look time.Duration    // how often deadlines and channels are looked at; as usual if 0

	Packs string `help:"Folder with the site's own policy packs. They come into force like any policy, by two people." type:"path" placeholder:"DIR"`
}

// Run serves until it is interrupted.
func (c serveCommand) Run(ctx context.Context, s cli.Streams) (err error) {
	giveRoom()
	stop, err := profiling(ctx, c.Profile)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	return serve(ctx, s, c, false, func(ctx context.Context, r *running) error {
		fmt.Fprintf(s.Out, "desk: %s\n", r.http.LoginLink())
		if url := r.http.PublicURL(); url != "" {
			fmt.Fprintf(s.Out, "desk for other machines: %s\n", url)
		}
		if r.fleet.roster != nil {
			fmt.Fprintf(s.Out, "agents: enrol at %s\n", r.fleet.server)
		}
		<-ctx.Done()
		return nil
	})
}

// running is a collector that takes batches and answers.
type running struct {
	store   *store.Store
	deriver *store.Deriver
	ingest  *counting
	fleet   *fleet
	audit   *auditor
	watch   *watcher
	keeper  *keeper
	ahead   *foreseer
	tell    *teller
	jobs    *simulator
	mail    *messenger
	http    *httpd.Server
	monitor func(context.Context) error // nil without one
	manager *systemd.Service
	parties parties
}

// serve opens everything, calls then once the collector is ready, and stops
// when then returns or a part fails.
func serve(ctx context.Context, s cli.Streams, c serveCommand, demonstration bool, then func(context.Context, *running) error) (err error) {
	log := s.Logger()
	if c.now == nil {
		c.now = time.Now
	}
	options, err := c.options()
	if err != nil {
		return err
	}
	if c.Store != "" && c.Backup != "" {
		return errors.New("--backup copies the SQLite database; what is in PostgreSQL is backed up by PostgreSQL's own means: leave --backup out and see docs/postgresql.md")
	}
	options.Now, options.Collector = c.now, c.Name
	if strings.ContainsFunc(c.Name, func(r rune) bool { return !strings.ContainsRune(nameRunes, r) }) || len(c.Name) > 32 {
		return fmt.Errorf("--name %q: at most 32 letters and digits", c.Name)
	}
	if c.Shared == "" {
		c.Shared = c.Data
	}
	options.Evidence = filepath.Join(c.Shared, "evidence")
	db, err := store.Open(ctx, filepath.Join(c.Data, "flopwatch.db"), options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	usual := 1
	if c.Store != "" && c.BrokerURL != "" {
		usual = usualPartitions
	}
	if c.partitions, err = db.Divide(ctx, c.Partitions, usual); err != nil {
		return err
	}
	if c.partitions > 1 && c.Store != "" && c.Name == "" {
		return fmt.Errorf("the hosts are in %d partitions, which several collectors may share: give each a --name, or all hosts to one with --partitions 1", c.partitions)
	}
	key, err := attest.LoadOrCreateKey(filepath.Join(c.Shared, "collector.key"))
	if err != nil {
		return err
	}
	public := key.Public().(ed25519.PublicKey)
	members, err := openFleet(ctx, c.Data, c.Shared, c.fleetFlags, db, key, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, members.bus.Close()) }()
	packs := policy.InForce(policy.Shipped(), c.now())
	laws := lawbook{db, policy.Shipped(), c.now}
	library, err := openLibrary(ctx, c.Packs, log)
	if err != nil {
		return err
	}
	safe, err := vaultFlags{c.Shared, c.VaultKey}.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, safe.Close()) }()
	if err := logRotation(ctx, db, safe); err != nil {
		return err
	}
	deriver := store.NewDeriver(db, packs, c.now).Blinds(blinder{safe})
	shared := c.partitions > 1
	if shared {
		deriver.Shared()
	}
	watching := newWatcher(db, log, c.now()).shares(shared)
	telling := newTeller(db, key, func(host string, envelope []byte) error {
		return broker.TellSettings(members.bus.Conn(), host, envelope) // another one after a restart of the broker
	}, log)
	telling.shared = shared
	intake := ingest.Config{
		Store: db, Key: key, Collector: attest.HostID(public), Followers: []store.Follower{deriver, watching, telling}, Now: c.now, Log: log,
	}
	if demonstration {
		intake.MaxAhead = -1 // a trace may be of any time
	}
	if members.roster != nil {
		intake.Identify = members.roster.Identify
		intake.Limit, intake.MaxAge = true, ledger.OldestBatch
		if members.local != nil {
			intake.Flooded = func(host string) {
				if err := members.local.Bar(host); err != nil {
					log.LogAttrs(ctx, slog.LevelError, "a host that floods could not be cut off", slog.String("host", host), slog.String("error", err.Error()))
				}
			}
		}
	}
	intake.Owner = intake.Collector + "-" + rand.Text()
	counting, err := newCounting(members.bus, intake, c.partitions, c.Name)
	if err != nil {
		return err
	}
	lists, err := c.screening()
	if err != nil {
		return err
	}
	reader := store.NewReader(db, version.Version, demonstration).VerifyAudit(audit.Origin(attest.HostID(public)), public).WithAnchor(c.AuditAnchor).WithPacks(library).WithAccesses(seen(safe))
	jobs := newSimulator(db, library, log)
	mail, err := openMessenger(c.Notify, c.look, db, reader, c.now, log)
	if err != nil {
		return err
	}
	r := &running{tell: telling, jobs: jobs, mail: mail, store: db, deriver: deriver, ingest: counting, fleet: members, audit: &auditor{store: db, reader: reader, key: key, anchor: c.AuditAnchor, now: c.now, log: log}, watch: watching,
		keeper: &keeper{store: db, data: c.Data, folder: c.Backup, every: c.BackupEvery, retain: c.policy(), log: log},
		ahead:  &foreseer{store: db, reader: reader, laws: laws, log: log, links: reader}}
	r.parties = parties{store: db, reader: reader, vault: safe, changed: deriver.CustomersChanged, screen: lists, log: log, now: c.now}
	if err := r.parties.reapply(ctx); err != nil {
		return err
	}
	var hosts httpapi.Registrar
	if members.roster != nil {
		hosts = registrar{members.roster, members.server}
	}
	provider, err := openProvider(c.OIDC, c.now)
	if err != nil {
		return err
	}
	factorKey, err := safe.Key("second factors")
	if err != nil {
		return err
	}
	onceKey, err := safe.Key("answers that are given again")
	if err != nil {
		return err
	}
	r.http, err = httpd.New(httpd.Options{
		Once:      once{db, onceKey, c.now},
		Registrar: hosts,
		Parties:   r.parties, Webhooks: vendorhook{r.parties},
		Reader:      reader,
		Importer:    importer{r},
		Allocator:   importer{r},
		Metering:    metering{db, c.now},
		Users:       db,
		UserAdmin:   accounts{db, c.now, func(ctx context.Context, user, but string) (int, error) { return r.http.EndSessions(ctx, user, but) }},
		Factors:     db,
		FactorKey:   factorKey,
		Tokens:      db,
		Sessions:    db,
		TokenKeeper: tokens{db, c.now},

		AccountKeeper: ownAccount{tokens{db, c.now}, func() *httpd.Server { return r.http }},
		Provider:      provider,
		Outsiders:     outsiders{db, c.now},
		AuditLog:      r.audit,
		ExportLog:     db,
		Caseworker:    casework{db, reader, laws},
		Joiner:        joins{reader, db, deriver, c.now},
		Reporter:      reportwork{db, reader, laws, key, r.parties, c.now},
		Linker:        links{db, deriver},
		Storekeeper:   r.keeper,
		Foreseer:      r.ahead,
		Policymaker:   policies{db, reader, library, jobs},
		Revenues:      revenues{db},
		Listen:        c.Listen, Public: httpd.Public{Listen: c.Public, Name: c.PublicName, Certificate: c.TLSCert, Key: c.TLSKey},
		DataDir:   c.Data,
		Messenger: mail,
		Calendar:  mail,
		Version:   version.Version, Demonstration: demonstration, Now: c.now, Log: log,
	})
	if err != nil {
		return err
	}
	if err := members.tell(c.Data, public); err != nil {
		return errors.Join(err, r.http.Close())
	}
	r.manager = systemd.NewService(log)
	deriver.Derived = func() { r.manager.Alive(ctx) }
	if shared { // those that do not derive live too
		counting.beaten = deriver.Derived
	}
	if c.Monitor != "" {
		handler := monitor.Handler(monitor.Options{
			Source: reader, Connected: func() bool { return members.bus.Conn().IsConnected() }, DiskFree: func() (uint64, error) { return diskFree(c.Data) }, Version: version.Version,
		})
		r.monitor = func(ctx context.Context) error {
			return loopback.Serve(ctx, c.Monitor, handler, func(at net.Addr) { log.InfoContext(ctx, "monitor", slog.String("address", at.String())) })
		}
	}
	return r.run(ctx, then)
}

// diskFree returns the bytes that an unprivileged program may still write there.
func diskFree(path string) (uint64, error) {
	var at unix.Statfs_t
	if err := unix.Statfs(path, &at); err != nil {
		return 0, fmt.Errorf("ask how full the disk of %s is: %w", path, err)
	}
	return at.Bavail * uint64(at.Bsize), nil
}

// run joins the parts: an error of one ends all, and the deriver looks a last
// time after the last checkpoint.
func (r *running) run(ctx context.Context, then func(context.Context, *running) error) error {
	group, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	deriving, stopDeriving := context.WithCancel(context.WithoutCancel(ctx))
	group.Go(func() error {
		defer stopDeriving()
		return r.ingest.run(ctx)
	})
	group.Go(func() error { return r.http.Serve(ctx) })
	group.Go(func() error { return r.fleet.run(ctx) })
	group.Go(func() error { return r.jobs.run(ctx) })
	group.Go(func() error { return r.watch.tell(ctx) })
	group.Go(func() error { return r.lead(ctx, deriving) })
	if r.monitor != nil {
		group.Go(func() error { return r.monitor(ctx) })
	}
	r.manager.Ready(ctx)
	defer r.manager.Stopping(context.WithoutCancel(ctx))
	group.Go(func() error {
		defer stop()
		return then(ctx, r)
	})
	err := group.Wait()
	r.audit.sign(context.WithoutCancel(ctx)) // also what was derived last
	return err
}

// lead does what one collector alone does, while this one is it: it derives until
// deriving ends, and the rest until ctx does.
func (r *running) lead(ctx, deriving context.Context) error {
	for {
		err := r.store.Lead(deriving, func(leading context.Context) error {
			r.deriver.CustomersChanged() // what was derived under another leader is not known here
			group, leading := errgroup.WithContext(leading)
			rest, stop := context.WithCancel(leading)
			defer stop()
			defer context.AfterFunc(ctx, stop)()
			group.Go(func() error { return r.deriver.Run(leading, deriveEvery) })
			for _, part := range []func(context.Context) error{r.audit.run, r.watch.run, r.ahead.run, r.parties.run, r.keeper.run, r.tell.run, r.mail.run} {
				group.Go(func() error { return part(rest) })
			}
			return group.Wait()
		})
		if r.ingest.of == 1 || ctx.Err() != nil && !errors.Is(err, store.ErrNotLeader) {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			r.ingest.log.LogAttrs(ctx, slog.LevelError, "this collector does not lead any more", slog.Any("error", err))
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
		}
	}
}

// importer takes customers and allocations from the API.
type importer struct{ *running }

// ImportCustomers reads a file of customers and stores it whole or not at all.
func (i importer) ImportCustomers(ctx context.Context, name, format string, data []byte, dryRun bool) (apitypes.Diff, error) {
	read := party.ReadCSV
	if format == "json" {
		read = party.ReadJSON
	}
	next, err := read(name, data)
	if err != nil {
		return apitypes.Diff{}, err
	}
	diff, err := i.store.PutCustomers(ctx, next, dryRun)
	if err != nil {
		return apitypes.Diff{}, err
	}
	if !dryRun && len(diff.New)+len(diff.Changed) > 0 {
		i.deriver.CustomersChanged()
	}
	return apitypes.Diff{New: diff.New, Changed: diff.Changed, Unchanged: diff.Unchanged, DryRun: dryRun}, nil
}

// importTimeout is shorter than the server waits for an answer.
const importTimeout = 50 * time.Second

// ImportAllocations reads a file of allocations and records it whole or not at all.
func (i importer) ImportAllocations(ctx context.Context, name, format string, data []byte, dryRun bool) (apitypes.AllocationDiff, error) {
	read := allocation.ReadCSV
	if format == "ndjson" {
		read = allocation.ReadNDJSON
	}
	next, err := read(name, data)
	if err != nil {
		return apitypes.AllocationDiff{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, importTimeout)
	defer cancel()
	done, err := i.ingest.PutAllocations(ctx, next, dryRun)
	if err != nil {
		return apitypes.AllocationDiff{}, err
	}
	if !dryRun && done.Corrections > 0 {
		i.deriver.AllocationsChanged()
	}
	out := apitypes.AllocationDiff{
		New: done.Diff.New, Changed: done.Diff.Changed, Unchanged: done.Diff.Unchanged, DryRun: dryRun,
		Corrections: done.Corrections, Corrected: apitypes.Seconds(done.Corrected),
	}
	for _, c := range done.Conflicts {
		conflict := apitypes.AllocationConflict{Allocations: c.IDs, From: apitypes.Time(c.FromNS)}
		if c.ToNS != math.MaxInt64 {
			conflict.To = apitypes.Time(c.ToNS)
		}
		for _, tenant := range c.Tenants {
			conflict.Tenants = append(conflict.Tenants, string(tenant))
		}
		out.Conflicts = append(out.Conflicts, conflict)
	}
	return out, nil
}

// importFile imports the customers in a file, for a trial.
func (i importer) importFile(ctx context.Context, path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("import customers: %w", err)
	}
	_, err = i.ImportCustomers(ctx, filepath.Base(path), "csv", data, false)
	return err
}
