package desktest

import (
	"context"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// Links returns LinkList.
func (r *Reader) Links(context.Context, time.Time, time.Time) ([]desk.Link, error) {
	return r.LinkList, r.Err
}

// LinkHistory returns the states of a link in LinkList.
func (r *Reader) LinkHistory(_ context.Context, id string) (out []desk.Link, err error) {
	for _, l := range r.LinkList {
		if l.ID == id {
			out = append(out, l)
		}
	}
	return out, r.Err
}

// Clusters returns the clusters of UltimateView at a level.
func (r *Reader) Clusters(_ context.Context, level resolve.Level, _, _ time.Time) (out []desk.Cluster, err error) {
	for _, l := range r.UltimateView.Levels {
		if l.Level == level {
			out = append(out, l.Cluster)
		}
	}
	return out, r.Err
}

// UltimateCustomer returns UltimateView for the ids in it.
func (r *Reader) UltimateCustomer(_ context.Context, id string, _, _ time.Time) (desk.Ultimate, bool, error) {
	for _, l := range r.UltimateView.Levels {
		if l.ID == id {
			return r.UltimateView, true, r.Err
		}
	}
	return desk.Ultimate{}, false, r.Err
}

// cannedLinks are a control link that waits for a person, a bridge that waits for
// a second one, an identity link that the rules decided and one that was
// rejected.
func cannedLinks() []desk.Link {
	link := func(id string, class resolve.Class, state resolve.State, a, b resolve.ID, needs string, evidence ...resolve.Evidence) desk.Link {
		l := desk.Link{Link: resolve.Link{Found: resolve.Found{ID: id, A: a, B: b, Class: class, Needs: needs, Evidence: evidence}, State: state, RecordedNS: at(-30), Weights: "party-links 1 308306c684fc40be"}}
		for _, e := range evidence {
			l.Bits += e.Bits
		}
		return l
	}
	card := resolve.Evidence{Name: "card", Key: "5fe0c3a1b2d4e697", Bits: 13.9, Holders: 2, SinceNS: at(-900), Sources: []string{"idf_17", "idf_22"}, Detail: "the same card, held by 2"}
	network := resolve.Evidence{Name: "ip", Key: "77aa01c2b3d4e5f6", Bits: 0.3, Holders: 19, Detail: "the same ip, held by 19"}
	number := resolve.Evidence{Name: "tax_id", Key: "0a1b2c3d4e5f6071", Bits: 19.8, Holders: 2, Verified: true, Detail: "the same tax id, held by 2"}
	other := resolve.Evidence{Name: "name", Bits: -8, Detail: "another name"}
	bridge := link("lnk_0002", resolve.Control, resolve.Pending, "pty_delta", "pty_orion", "it is the only link between two groups", card)
	bridge.By, bridge.Reason, bridge.Bridge, bridge.Digest = "usr_ana", "one director signs for both", true, "b7d5e9a04c1f2e3d4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4"
	rejected := link("lnk_0004", resolve.Control, resolve.Rejected, "pty_kilo", "pty_orion", "", network, other)
	rejected.By, rejected.Reason = "usr_ana", "a shared office"
	return []desk.Link{
		link("lnk_0003", resolve.Identity, resolve.Automatic, "pty_orion", "pty_orion2", "", number, resolve.Evidence{Name: "name", Bits: 9, Detail: "names alike by 91 %"}),
		bridge,
		link("lnk_0001", resolve.Control, resolve.Proposed, "pty_orion", "pty_shell", "shared means show no control by themselves", card),
		rejected,
	}
}

// cannedUltimate is Orion: one customer, two under control and three for review.
func cannedUltimate() desk.Ultimate {
	customers := []desk.ClusterCustomer{{ID: "cus_orion", Name: "Orion Labs (demonstration)", Status: "foreign"}, {ID: "cus_shell", Name: "Shell Eleven (demonstration)", Status: "undetermined"}, {ID: "cus_delta", Name: "Delta Compute (demonstration)", Status: "us"}}
	accounts := []desk.ClusterAccount{{ID: "acc_a17", Operations: bounds("8.4e25", "9.1e25", "9.9e25")}, {ID: "acc_s1", Operations: bounds("1.0e25", "1.1e25", "1.4e25")}, {ID: "acc_d4", Operations: bounds("5.1e25", "7.5e25", "1.02e26")}}
	level := func(l resolve.Level, id string, n int) desk.LevelView {
		var total compute.Bounds
		for _, a := range accounts[:n] {
			total = total.Add(a.Operations)
		}
		return desk.LevelView{Cluster: desk.Cluster{ID: id, Level: l, Status: "foreign", Customers: customers[:n], Accounts: accounts[:n], Parties: []resolve.ID{"pty_orion", "pty_shell", "pty_delta"}[:n], Operations: total}}
	}
	together := level(resolve.ByControl, "clu_0001", 2)
	together.Root, together.Links = "pty_boss", []string{"lnk_0001"}
	together.Merges = []desk.Merge{{Link: "lnk_0001", AtNS: at(-30), A: []resolve.ID{"pty_orion"}, B: []resolve.ID{"pty_shell"}}}
	together.Without = []desk.Counterfactual{{Link: "lnk_0001", Links: []string{"lnk_0001"}, Left: accounts[0].Operations, Parts: []desk.Part{
		{Customers: []string{"cus_orion"}, Accounts: []string{"acc_a17"}, Operations: accounts[0].Operations}, {Customers: []string{"cus_shell"}, Accounts: []string{"acc_s1"}, Operations: accounts[1].Operations}}}}
	review := level(resolve.ByMeans, "clu_0002", 3)
	review.Links = []string{"lnk_0001", "lnk_0002"}
	review.Without = []desk.Counterfactual{{Evidence: "card 5fe0c3a1b2d4e697", Links: review.Links, Left: accounts[0].Operations}}
	return desk.Ultimate{ID: "cus_orion", Levels: []desk.LevelView{level(resolve.ByAccount, "acc_a17", 1), level(resolve.ByCustomer, "cus_orion", 1), level(resolve.ByIdentity, "cus_orion", 1), together, review},
		Links: cannedLinks(), Owners: []desk.Ownership{
			{Subject: "pty_orion", Owner: "pty_boss", Effective: control.Interval{Low: 0.51, High: 0.68}, Together: control.Interval{Low: 0.51, High: 0.68}, Controls: control.Yes, Beneficial: control.Yes, Ultimate: true},
			{Subject: "pty_orion", Effective: control.Interval{High: 0.17}, Controls: control.Unknown, Beneficial: control.Unknown},
		}}
}
