package flopwatch_test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/pkg/pgtest"
)

// docBlock returns the block of a file in which a text stands.
func docBlock(t *testing.T, file, text string) string {
	t.Helper()
	all, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?ms)^```[a-z]*\n(.*?)^```").FindAllSubmatch(all, -1) {
		if strings.Contains(string(m[1]), text) {
			return string(m[1])
		}
	}
	t.Fatalf("%s has no block with %q", file, text)
	return ""
}

// The database is made as docs/postgresql.md says, line by line with PostgreSQL's
// own programs, and a collector works on it as the role that has the least rights.
func TestDocumentedDatabaseSetup(t *testing.T) {
	for _, program := range []string{"psql", "createdb", "dropdb"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed (apt-get install postgresql)", program)
		}
	}
	pgtest.Start(t)
	address, err := url.Parse(pgtest.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	host := address.Query().Get("host")
	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("not asked for on the socket\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	words := strings.NewReplacer("@db.example/flopwatch", "@/flopwatch?host="+host, "owner.password", password, "/run/credentials/flopwatch/db", password, "deploy/postgres", filepath.Join(root, "deploy/postgres"))
	shell := func(user, line string) {
		t.Helper()
		cmd := exec.Command("sh", "-c", line)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PGHOST="+host, "PGUSER="+user, "PATH="+programs+string(os.PathListSeparator)+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "ERROR") {
			t.Fatalf("%s as %s: %v\n%s", line, user, err, out)
		}
	}
	t.Cleanup(func() {
		shell("owner", "dropdb --force flopwatch && for r in flopwatch flopwatch_reader flopwatch_owner; do psql -q -d postgres -c \"DROP ROLE $r\"; done")
	})
	served := false
	for line := range strings.Lines(docBlock(t, "docs/postgresql.md", "createdb ")) {
		line = words.Replace(strings.TrimSpace(line))
		args, serve := strings.CutPrefix(line, "flopwatch-collector serve ")
		switch {
		case serve:
			served = true
			start(t, dir, "flopwatch-collector", append([]string{"serve", "--data", data}, strings.Fields(args)...)...)
			waitReady(t, data)
		case strings.Contains(line, "as the owner"):
			shell("flopwatch_owner", line)
		default:
			shell("owner", line)
		}
	}
	if !served {
		t.Fatal("the block ends without a collector")
	}
	// docs/scale-out.md asks it for the partitions, which any reader may.
	query := filepath.Join(dir, "query.sql")
	if err := os.WriteFile(query, []byte(docBlock(t, "docs/scale-out.md", "SELECT ")), 0o600); err != nil {
		t.Fatal(err)
	}
	shell("flopwatch_reader", "psql -v ON_ERROR_STOP=1 -d flopwatch -f "+query)
}

// Sums that are signed as packaging/release signs them are checked by the command
// that docs/install.md names, and changed ones are refused.
func TestReleaseIsCheckedAsDocumented(t *testing.T) {
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("ssh-keygen is not installed (apt-get install openssh-client)")
	}
	release, err := os.ReadFile("packaging/release")
	if err != nil {
		t.Fatal(err)
	}
	sign := regexp.MustCompile(`(?m)^\s*ssh-keygen -q -Y sign .*$`).FindString(string(release))
	check := strings.TrimSpace(docBlock(t, "docs/install.md", "ssh-keygen "))
	if sign == "" || !strings.Contains(string(release), check) {
		t.Fatalf("packaging/release signs by %q, and does not name what docs/install.md checks by", sign)
	}
	dir := t.TempDir()
	script := `set -e
mkdir dist && echo package > dist/flopwatch.deb && (cd dist && sha256sum flopwatch.deb > SHA256SUMS)
ssh-keygen -q -t ed25519 -N '' -C '' -f key
RELEASE_KEY=key
` + sign + `
cd dist
echo "release namespaces=\"flopwatch-release\" $(cat ../key.pub)" > allowed_signers
` + check + `
echo "checked as it is"
echo other > flopwatch.deb
if ` + check + `; then echo "another package was taken"; exit 1; fi
sha256sum flopwatch.deb > SHA256SUMS
if ` + check + `; then echo "other sums were taken"; exit 1; fi
`
	cmd := exec.Command("bash", "-c", script)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "checked as it is") {
		t.Fatalf("%v\n%s", err, out)
	}
}

// The settings that docs/install.md shows are read by the program that they are for,
// and the allocations of docs/allocations.md by the collector.
func TestDocumentedFilesAreRead(t *testing.T) {
	dir := t.TempDir()
	settings, allocations := filepath.Join(dir, "agent.yaml"), filepath.Join(dir, "allocations.csv")
	for path, text := range map[string]string{
		settings: docBlock(t, "docs/install.md", "leases: "), allocations: docBlock(t, "docs/allocations.md", "allocation_id,"),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(filepath.Join(programs, "flopwatch-agent"), "version", "--config", settings).CombinedOutput(); err != nil {
		t.Errorf("docs/install.md: %v\n%s", err, out)
	}
	data := filepath.Join(dir, "data")
	start(t, dir, "flopwatch-collector", "serve", "--data", data)
	waitReady(t, data)
	if out, err := exec.Command(filepath.Join(programs, "flopwatchctl"), "--data", data, "allocations", "import", allocations).CombinedOutput(); err != nil || !strings.Contains(string(out), "3") {
		t.Errorf("docs/allocations.md: %v\n%s", err, out)
	}
}
