package tenancy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const jobLine = `{"job":"7","account":"physics","user":"1001","start":"2026-01-01T00:00:00Z"}` + "\n"

func TestDecodeJobs(t *testing.T) {
	text := jobLine + "\n" + `{"start":"2026-01-02T00:00:00Z","account":"a \"b\"","job":"7"}` + "\n" + `{"job":"8","acc`
	jobs, err := DecodeJobs("j", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	first, second := Job{"7", "physics", "1001", day}, Job{"7", `a "b"`, "", day + 24*3600*1e9}
	tests := []struct {
		name, id string
		at       int64
		want     Job
		ok       bool
	}{
		{"before", "7", day - 1, Job{}, false},
		{"first", "7", day, first, true},
		{"until the number is used again", "7", second.StartNS - 1, first, true},
		{"second", "7", second.StartNS, second, true},
		{"being written", "8", second.StartNS, Job{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := jobs.Of(tt.id, tt.at)
			if diff := cmp.Diff(tt.want, got); diff != "" || ok != tt.ok {
				t.Errorf("%t (-want +got):\n%s", ok, diff)
			}
		})
	}
	if jobs.Len() != 2 {
		t.Errorf("%d jobs", jobs.Len())
	}
	var none *Jobs
	if _, ok := none.Of("7", day); ok || none.Len() != 0 {
		t.Error("the nil table knows a job")
	}
}

// One bad line is told and does not take the others with it.
func TestDecodeJobsFaults(t *testing.T) {
	line := strings.TrimSuffix(jobLine, "\n")
	with := func(old, fresh string) string { return strings.Replace(line, old, fresh, 1) }
	tests := []struct{ name, text, want string }{
		{"unknown field", with(`"user"`, `"name"`), `"name": unknown field`},
		{"given twice", with(`"user":"1001"`, `"job":"7"`), "job: given twice"},
		{"not a job", with(`"7"`, `"7;rm"`), `job: "7;rm" is not a job number`},
		{"a number", with(`"7"`, "7"), "job: not a string"},
		{"no account", with(`"physics"`, `""`), "account: must have 1 to 256"},
		{"missing account", with(`"account":"physics",`, ""), "account: missing"},
		{"user by name", with("1001", "root"), `user: "root" is not a user number`},
		{"bad start", with("2026-01-01T00:00:00Z", "now"), `start: "now" is not an RFC 3339 time`},
		{"two objects", line + line, "more text after the object"},
		{"not UTF-8", with("physics", "\xff"), "not valid UTF-8"},
		{"long", with("physics", strings.Repeat("p", maxLine)), "longer than"},
		{"not an object", "[]", "not a JSON object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			jobs, err := DecodeJobs("j", []byte(tt.text+"\n"+jobLine))
			if err == nil || !strings.HasPrefix(err.Error(), "j:1: "+tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if jobs.Len() != 1 {
				t.Errorf("%d jobs, want the good one", jobs.Len())
			}
		})
	}
	if jobs, err := DecodeJobs("j", make([]byte, maxFile+1)); err == nil || jobs != nil {
		t.Errorf("a file that is too long: %v, %v", jobs, err)
	}
	if jobs, err := DecodeJobs("j", []byte(strings.Repeat(jobLine, maxJobs+1))); err == nil || jobs.Len() != maxJobs {
		t.Errorf("too many jobs: %d, %v", jobs.Len(), err)
	}
}

func FuzzDecodeJobs(f *testing.F) {
	f.Add([]byte(jobLine))
	f.Add([]byte("{}\n\n[1,2]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		jobs, _ := DecodeJobs("j", data)
		if jobs == nil {
			t.Fatal("no table")
		}
		for id, same := range jobs.byID {
			for i, j := range same {
				if j.ID != id || !digits(id) || j.Account == "" || j.StartNS <= 0 || i > 0 && j.StartNS < same[i-1].StartNS {
					t.Fatalf("accepted %+v", j)
				}
			}
		}
	})
}

func TestJobWatcher(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.ndjson")
	now := time.Now().Add(time.Hour) // every file is settled
	at := now.UnixNano()
	w := NewJobWatcher(path)
	expect := func(step string, changed bool, jobs int, fault string) {
		t.Helper()
		if got := w.Poll(now); got != changed {
			t.Errorf("%s: changed %t, want %t", step, got, changed)
		}
		if got := w.Jobs().Len(); got != jobs {
			t.Errorf("%s: %d jobs, want %d", step, got, jobs)
		}
		if err := w.Err(); (err != nil) != (fault != "") || err != nil && !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: error %v, want %q", step, err, fault)
		}
	}
	appendText := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	expect("no file", true, 0, "no such file")
	expect("still none", false, 0, "no such file")
	appendText(jobLine)
	expect("first", true, 1, "")
	if j, ok := w.Jobs().Of("7", at); !ok || j.Account != "physics" {
		t.Errorf("job 7: %+v, %t", j, ok)
	}
	expect("unchanged", false, 1, "")
	appendText("{}\n")
	expect("bad line", true, 1, path+":2: job: missing")
	appendText(strings.Replace(jobLine, "7", "8", 1))
	expect("after the bad line", true, 2, path+":2: job: missing")
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	expect("anyone may write", true, 2, "must be a file that not everybody may write")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect("removed", true, 2, "no such file")
	if NewJobWatcher("").Poll(now) {
		t.Error("a watcher without a file changed")
	}
}
