package resolve

import (
	"cmp"
	"slices"

	"github.com/flopwatch/flopwatch/pkg/compute"
)

// Level is how far accounts are taken together.
type Level string

// The levels, A0 to A4, and resellers beside them. The first three always count
// towards a threshold, Controlled where a pack says so, Coordinated never.
const (
	ByAccount   Level = "account"      // A0
	ByCustomer  Level = "customer"     // A1
	ByIdentity  Level = "identity"     // A2: one legal person
	ByControl   Level = "control"      // A3: one owner or controller
	ByMeans     Level = "coordination" // A4: shared means, and what waits for a person
	ByReseller  Level = "reseller"
	clusterText       = "clu_"
)

// Levels are all of them, the narrowest first.
var Levels = []Level{ByAccount, ByCustomer, ByIdentity, ByControl, ByMeans, ByReseller}

// Owner says whose an account is.
type Owner struct {
	Account  string
	Customer string
	Party    ID     // that contracts as the customer
	Reseller string // through which; "" for none
}

// Set is accounts that are taken together at a level.
type Set struct {
	// ID is that of the account, customer or reseller; of several customers it is
	// clu_…, which follows from the level and the link that stands longest, so it
	// stays when the set grows.
	ID        string
	Level     Level
	Accounts  []string
	Customers []string
	Parties   []ID
	Root      ID       // the highest owner, of a control set that has one
	Links     []string // those that hold it together, in the order in which they came
}

// Many reports whether it takes several customers together.
func (s *Set) Many() bool { return len(s.Customers) > 1 }

// Grouping takes accounts together at every level, by links as they stood at
// some moment (see At). It is not changed after NewGrouping and may be read by
// many.
type Grouping struct {
	owners []Owner
	links  map[string]*Link
	sets   map[Level][]Set
	of     map[Level]map[string][]int // account → sets
}

// NewGrouping groups the accounts. Links are in the order that At gives.
func NewGrouping(owners []Owner, links []Link) *Grouping {
	g := &Grouping{owners: owners, links: make(map[string]*Link, len(links)), sets: map[Level][]Set{}, of: map[Level]map[string][]int{}}
	for i := range links {
		g.links[links[i].ID] = &links[i]
	}
	for _, level := range Levels {
		g.sets[level] = group(owners, links, level)
		g.of[level] = map[string][]int{}
		for i, s := range g.sets[level] {
			for _, account := range s.Accounts {
				g.of[level][account] = append(g.of[level][account], i)
			}
		}
	}
	return g
}

// Sets returns the sets of a level, by id. A joint venture may be in several.
func (g *Grouping) Sets(level Level) []Set { return g.sets[level] }

// Of returns the sets that an account is in at a level.
func (g *Grouping) Of(account string, level Level) []Set {
	var out []Set
	for _, i := range g.of[level][account] {
		out = append(out, g.sets[level][i])
	}
	return out
}

// Link returns a link with its evidence.
func (g *Grouping) Link(id string) (Link, bool) {
	l, ok := g.links[id]
	if !ok {
		return Link{}, false
	}
	return *l, true
}

// uses reports whether a link joins at a level.
func (l *Link) uses(level Level) bool {
	switch level {
	case ByIdentity:
		return l.Class == Identity && l.State.Counts()
	case ByControl:
		return l.Class != Coordination && l.State.Counts()
	case ByMeans:
		// What waits for a person is reviewed with the rest; that two are called
		// alike is not enough for that.
		return l.State.Counts() || (l.State == Proposed || l.State == Pending) && (l.Class != Identity || l.Needs == NeedsBridge || l.Needs == NeedsRule || l.State == Pending)
	}
	return false
}

func group(owners []Owner, links []Link, level Level) []Set {
	switch level {
	case ByAccount, ByCustomer, ByReseller:
		return plain(owners, level)
	}
	sets := newSets()
	var used []*Link
	for i := range links {
		if l := &links[i]; l.uses(level) {
			used = append(used, l)
			if !l.Directed || level != ByControl {
				sets.join(l.A, l.B)
			}
		}
	}
	at := map[ID][]int{} // used links, by the root of the set they start in
	for i, l := range used {
		root := sets.find(l.A)
		at[root] = append(at[root], i)
	}
	parties := map[ID][]Owner{} // by the root of their set
	for _, o := range owners {
		root := sets.find(o.Party)
		parties[root] = append(parties[root], o)
	}
	below := map[ID]map[ID]bool{} // root of the owners' set → roots of what they control
	above := map[ID][]ID{}
	if level == ByControl {
		for _, l := range used {
			if a, b := sets.find(l.A), sets.find(l.B); l.Directed && a != b {
				if below[a] == nil {
					below[a] = map[ID]bool{}
				}
				below[a][b] = true
				above[b] = append(above[b], a)
			}
		}
	}
	var out []Set
	for _, root := range tops(sets, parties, below, above) {
		reach := reached(root, below)
		s := Set{Level: level}
		var members []Owner
		for _, n := range reach {
			members = append(members, parties[n]...)
			s.Parties = append(s.Parties, sets.members(n)...)
		}
		if len(members) == 0 {
			continue
		}
		slices.Sort(s.Parties)
		if len(below[root]) > 0 {
			s.Root = slices.Min(sets.members(root))
		}
		s.name(members)
		var inside []int
		for _, n := range reach {
			for _, i := range at[n] {
				if _, in := slices.BinarySearch(reach, sets.find(used[i].B)); in {
					inside = append(inside, i)
				}
			}
		}
		slices.Sort(inside)
		s.hold(used, inside)
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Set) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// tops returns the sets that nothing controls, and of those that control each
// other the least.
func tops(sets *sets, parties map[ID][]Owner, below map[ID]map[ID]bool, above map[ID][]ID) []ID {
	all := map[ID]bool{}
	for root := range parties {
		all[root] = true
	}
	for root := range below {
		all[root] = true
	}
	covered := map[ID]bool{}
	var out, rest []ID
	for _, root := range sortedIDs(all) {
		if len(above[root]) > 0 {
			rest = append(rest, root)
			continue
		}
		out = append(out, root)
		for _, n := range reached(root, below) {
			covered[n] = true
		}
	}
	for _, root := range rest {
		if covered[root] {
			continue
		}
		out = append(out, root)
		for _, n := range reached(root, below) {
			covered[n] = true
		}
	}
	return out
}

func sortedIDs(all map[ID]bool) []ID {
	out := make([]ID, 0, len(all))
	for id := range all {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

func reached(root ID, below map[ID]map[ID]bool) []ID {
	if len(below[root]) == 0 {
		return []ID{root}
	}
	seen := map[ID]bool{root: true}
	queue := []ID{root}
	for i := 0; i < len(queue); i++ {
		for n := range below[queue[i]] {
			if !seen[n] {
				seen[n] = true
				queue = append(queue, n)
			}
		}
	}
	slices.Sort(queue)
	return queue
}

// name sets accounts and customers, and the id of a set of one customer.
func (s *Set) name(members []Owner) {
	for _, o := range members {
		s.Accounts = append(s.Accounts, o.Account)
		s.Customers = append(s.Customers, o.Customer)
	}
	slices.Sort(s.Accounts)
	s.Accounts = slices.Compact(s.Accounts)
	slices.Sort(s.Customers)
	s.Customers = slices.Compact(s.Customers)
	s.ID = s.Customers[0]
}

// hold sets the links that hold the set together, by their places among those
// used, and the id of a set of several customers. Sets that share a joint
// venture are named after a link from their own owner, not after one that both
// have.
func (s *Set) hold(used []*Link, inside []int) {
	founding := ""
	for _, i := range inside {
		s.Links = append(s.Links, used[i].ID)
		if founding == "" && (s.Root == "" || used[i].Directed && used[i].A == s.Root) {
			founding = used[i].ID
		}
	}
	if s.Many() {
		if founding == "" && len(s.Links) > 0 {
			founding = s.Links[0]
		}
		founding = cmp.Or(founding, string(s.Parties[0])) // one party that is several customers
		s.ID = digestID(clusterText, string(s.Level), founding)
	}
}

// plain groups without links.
func plain(owners []Owner, level Level) []Set {
	by := map[string]*Set{}
	for _, o := range owners {
		id := o.Account
		switch level {
		case ByCustomer:
			id = o.Customer
		case ByReseller:
			id = o.Reseller
		}
		if id == "" {
			continue
		}
		s := by[id]
		if s == nil {
			s = &Set{ID: id, Level: level}
			by[id] = s
		}
		s.Accounts = append(s.Accounts, o.Account)
		s.Customers = append(s.Customers, o.Customer)
		s.Parties = append(s.Parties, o.Party)
	}
	out := make([]Set, 0, len(by))
	for _, s := range by {
		slices.Sort(s.Accounts)
		slices.Sort(s.Customers)
		slices.Sort(s.Parties)
		s.Accounts, s.Customers, s.Parties = slices.Compact(s.Accounts), slices.Compact(s.Customers), slices.Compact(s.Parties)
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b Set) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Sum adds up what the accounts of a set did.
func (s *Set) Sum(totals map[string]compute.Bounds) (sum compute.Bounds) {
	for _, account := range s.Accounts {
		sum = sum.Add(totals[account])
	}
	return sum
}
