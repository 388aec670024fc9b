package flopwatch_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A line is moved on the desk by two people: each enrols a second factor at the first
// sign-in, one simulates and proposes, the other signs in again and approves. By key
// presses alone; once with the desk's script, once without any.
func TestAPolicyByTwoPeopleOnTheDesk(t *testing.T) {
	b := openBrowser(t)
	for name, person := range map[string]func() *page{"without script": b.person, "with script": b.scripted} {
		t.Run(name, func(t *testing.T) { policyByTwo(t, person) })
	}
}

func policyByTwo(t *testing.T, person func() *page) {
	d := startDesk(t)
	const password = "a long password"
	for login, role := range map[string]string{"ana": "policy-author", "ben": "policy-approver"} {
		d.ctl(password+"\n", "users", "add", login, "--role", role)
	}

	// The author enrols, drafts a text, simulates it and proposes it.
	ana := person()
	ana.T = t
	ana.signIn(d, "ana", password)
	ana.says("Policy lab")
	ana.follow("the policy lab", link("Policy lab"))
	ana.reach("the form of a draft", func(f focused) bool { return f.Tag == "SUMMARY" && f.Text == "Draft a text" })
	ana.key("Enter", 13, "\r")
	lines, err := os.ReadFile(filepath.Join("testdata", "scenarios", "lines.pack.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	ana.fill("/policies", "text", string(lines))
	ana.follow("the button that keeps it", button("Keep as a draft"))
	var at string
	ana.see("location.pathname", &at)
	policy := strings.TrimPrefix(at, "/policies/")
	if !strings.HasPrefix(policy, "pol_") {
		t.Fatalf("no policy was drafted; at %s the page says: %.2000s", at, ana.text())
	}
	ana.follow("the simulation", button("Simulate"))
	for deadline := time.Now().Add(5 * time.Minute); !strings.Contains(ana.text(), "Simulated over"); time.Sleep(200 * time.Millisecond) {
		if ana.open(d.url + "/policies/" + policy); time.Now().After(deadline) {
			t.Fatalf("the simulation does not end: %.2000s", ana.text())
		}
	}
	ana.fill("/policies/"+policy+"/propose", "reason", "our contract says so")
	ana.follow("the proposal", button("Propose"))
	ana.says("our contract says so")

	// The second person enrols, signs in again from the page of the account, comes back
	// to it, and approves exactly what is there.
	ben := person()
	ben.T = t
	ben.signIn(d, "ben", password)
	ben.says("Policy lab")
	ben.open(d.url + "/account")
	ben.follow("the fresh sign-in", link("Sign in again"))
	ben.says("You are signed in")
	ben.signInHere(d, "ben", password)
	ben.says("Your account")
	ben.follow("the policy lab", link("Policy lab"))
	ben.follow("the policy", link(policy))
	ben.follow("the approval", button("Approve exactly this"))
	ben.says("Approved by")
	if out := d.ctl("", "policy"); !regexp.MustCompile(policy + `.*(approved|scheduled|in force)`).MatchString(out) {
		t.Errorf("the policy is not approved:\n%s", out)
	}
	// What she proposed the author cannot approve: the form is not even there, and a
	// token approves nothing.
	ana.open(d.url + "/policies/" + policy)
	if strings.Contains(ana.text(), "Approve exactly this") {
		t.Error("the author is offered the approval")
	}
	t.Logf("%d keys pressed by the author, %d by the approver", ana.pressed, ben.pressed)
}
