// Package pgtest runs a private PostgreSQL server for the tests of one program.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is one running server.
type Server struct {
	folder string
	life   io.WriteCloser // of its keeper, which ends with it; a line starts the server again
	keeper *exec.Cmd
}

// server is the one that the tests of this program share. It ends with the program, also
// when that is killed: its keeper reads from a pipe that closes then.
var server struct {
	once    sync.Once
	missing string // why there is none
	err     error
	*Server
}

// templates are prepared databases of which others are copies.
var templates struct {
	sync.Mutex
	made map[string]error
	next atomic.Int64
}

// Start starts the server if it does not run yet. It skips the test where the
// server's programs are not installed.
func Start(t testing.TB) {
	t.Helper()
	server.once.Do(func() { server.Server, server.missing, server.err = start() })
	if server.missing != "" {
		t.Skip(server.missing)
	}
	if server.err != nil {
		t.Fatal(server.err)
	}
}

// Binaries returns the folder of the server's programs, "" if there is none.
func Binaries() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // no error: the pattern is good
	if path, err := exec.LookPath("initdb"); err == nil {
		found = append(found, path)
	}
	if len(found) == 0 {
		return ""
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1])
}

func start() (s *Server, missing string, err error) {
	bin := Binaries()
	if bin == "" {
		return nil, "no PostgreSQL server is installed (apt-get install postgresql)", nil
	}
	owner := &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		// The server refuses to run as root.
		name := "nobody"
		if _, err := user.Lookup("postgres"); err == nil {
			name = "postgres"
		}
		u, err := user.Lookup(name)
		if err != nil {
			return nil, "PostgreSQL cannot run as root, and there is no user nobody", nil
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err := errors.Join(err1, err2); err != nil {
			return nil, "", fmt.Errorf("user %s: %w", name, err)
		}
		owner.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	// In memory where there is room: each database of a test is some megabytes.
	folder, err := os.MkdirTemp("/dev/shm", "flopwatch-pg-")
	if err != nil {
		if folder, err = os.MkdirTemp("", "flopwatch-pg-"); err != nil {
			return nil, "", fmt.Errorf("make folder for PostgreSQL: %w", err)
		}
	}
	if c := owner.Credential; c != nil {
		if err := os.Chown(folder, int(c.Uid), int(c.Gid)); err != nil {
			return nil, "", fmt.Errorf("give folder to the server's user: %w", err)
		}
	}
	data := filepath.Join(folder, "data")
	init := exec.Command(filepath.Join(bin, "initdb"), "--no-sync", "--data-checksums", "-E", "UTF8", "--locale=C", "-A", "trust", "-U", "owner", "-D", data)
	init.SysProcAttr, init.Dir = owner, folder
	if out, err := init.CombinedOutput(); err != nil {
		return nil, "", errors.Join(fmt.Errorf("initdb: %w\n%s", err, out), os.RemoveAll(folder))
	}
	keeper := exec.Command("sh", "-c", `run() { "$0" -D "$1" -k "$2" -c listen_addresses= -c max_connections=300 -c shared_buffers=64MB -c autovacuum=off -c log_min_messages=fatal >>"$2/log" 2>&1 </dev/null & pid=$!; }
		run "$1" "$2"; while read -r again; do run "$1" "$2"; done; kill -INT $pid; wait $pid; rm -rf "$2"`, filepath.Join(bin, "postgres"), data, folder)
	keeper.SysProcAttr, keeper.Dir = owner, folder
	s = &Server{folder: folder, keeper: keeper}
	if s.life, err = keeper.StdinPipe(); err != nil {
		return nil, "", fmt.Errorf("start PostgreSQL: %w", err)
	}
	if err := keeper.Start(); err != nil {
		return nil, "", fmt.Errorf("start PostgreSQL: %w", err)
	}
	return s, "", s.answers()
}

// answers waits until the server does.
func (s *Server) answers() error {
	deadline := time.Now().Add(2 * time.Minute)
	for {
		err := s.admin(context.Background(), "SELECT 1")
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(s.folder, "log")) // says nothing if it is not there
			return fmt.Errorf("PostgreSQL did not start within 2 min: %w\n%s", err, log)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// New starts a server for one test alone, which may kill it, with an empty database of
// the given name. It skips the test where the server's programs are not installed.
func New(t testing.TB, database string) *Server {
	t.Helper()
	s, missing, err := start()
	if missing != "" {
		t.Skip(missing)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(s.life.Close(), s.keeper.Wait()); err != nil {
			t.Errorf("stop PostgreSQL: %v", err)
		}
	})
	if err := s.admin(context.Background(), "CREATE DATABASE "+database+" TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	return s
}

// Kill kills every process of the server at once, and returns when they are gone.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.folder, "data", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	children, err := os.ReadFile(fmt.Sprintf("/proc/%s/task/%s/children", first, first))
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, text := range append([]string{first}, strings.Fields(string(children))...) {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pid)
	}
	for _, pid := range all {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatalf("kill PostgreSQL: %v", err)
		}
	}
	for end := time.Now().Add(time.Minute); slices.ContainsFunc(all, runs); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("PostgreSQL runs a minute after it was killed")
		}
	}
}

// runs says whether a process is there and did not end.
func runs(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, after, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(after, "Z") && !strings.HasPrefix(after, "X")
}

// Again starts a server that was killed, and returns when it answers.
func (s *Server) Again(t testing.TB) {
	t.Helper()
	if _, err := io.WriteString(s.life, "\n"); err != nil {
		t.Fatalf("start PostgreSQL again: %v", err)
	}
	if err := s.answers(); err != nil {
		t.Fatal(err)
	}
}

// URL returns the address of a database of the server.
func (s *Server) URL(database string) string {
	return "postgres://owner@/" + database + "?host=" + s.folder
}

func (s *Server) admin(ctx context.Context, statement string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// URL returns the address of a database of the server that tests share.
func URL(database string) string { return server.URL(database) }

func admin(ctx context.Context, statement string) error { return server.admin(ctx, statement) }

// Database makes a database for the test and returns its address. It is a copy of
// one that prepare, if not nil, filled once for all tests that name the template.
func Database(t testing.TB, template string, prepare func(url string) error) string {
	t.Helper()
	Start(t)
	from := "template0"
	if prepare != nil {
		from = "prepared_" + template
		if err := prepared(from, prepare); err != nil {
			t.Fatal(err)
		}
	}
	name := fmt.Sprintf("test_%d", templates.next.Add(1))
	if err := admin(context.Background(), "CREATE DATABASE "+name+" TEMPLATE "+from); err != nil {
		t.Fatalf("make database %s of %s: %v", name, from, err)
	}
	t.Cleanup(func() {
		if err := admin(context.Background(), "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil && !strings.Contains(err.Error(), "does not exist") {
			t.Errorf("drop database %s: %v", name, err)
		}
	})
	return URL(name)
}

func prepared(name string, prepare func(url string) error) error {
	templates.Lock()
	defer templates.Unlock()
	if err, done := templates.made[name]; done {
		return err
	}
	err := admin(context.Background(), "CREATE DATABASE "+name+" TEMPLATE template0")
	if err == nil {
		err = prepare(URL(name))
	}
	if templates.made == nil {
		templates.made = map[string]error{}
	}
	templates.made[name] = err
	return err
}
