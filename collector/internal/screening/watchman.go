package screening

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

type watchmanAnswer struct {
	Entities []struct {
		SourceList string  `json:"sourceList"`
		SourceID   string  `json:"sourceID"`
		Match      float64 `json:"match"`
	} `json:"entities"`
}

// watchmanLists says which version of each list the server has.
type watchmanLists struct {
	Hashes map[string]string `json:"listHashes"`
}

// watchman asks one question for each type of entries that the subject may be:
// the server compares with entries of the type it is asked for alone, and lists
// tell businesses and other organisations apart, which a name does not.
func (c *Client) watchman(ctx context.Context, s Subject) ([]Hit, error) {
	types := []string{"business", "organization"}
	if s.Person {
		types = []string{"person"}
	}
	versions, err := c.watchmanVersions(ctx)
	if err != nil {
		return nil, err
	}
	var hits []Hit
	for _, kind := range types {
		// A parameter that the type does not have is refused.
		query := url.Values{"name": s.Names[:1], "type": {kind}, "minMatch": {strconv.FormatFloat(c.o.Least, 'f', -1, 64)}, "limit": {strconv.Itoa(maxHits)}}
		if len(s.Names) > 1 {
			query["altNames"] = s.Names[1:]
		}
		if s.BirthDate != "" && s.Person {
			query.Set("birthDate", s.BirthDate)
		}
		var a watchmanAnswer
		if err := c.ask(ctx, http.MethodGet, "/v2/search", query, nil, &a); err != nil {
			return nil, err
		}
		for _, e := range a.Entities {
			if e.Match >= c.o.Least {
				hits = append(hits, Hit{List: e.SourceList, Version: versions[e.SourceList], Entry: e.SourceID, Score: e.Match, Explanation: "match " + strconv.FormatFloat(e.Match, 'f', 2, 64)})
			}
		}
	}
	slices.SortStableFunc(hits, func(a, b Hit) int { return cmp.Compare(b.Score, a.Score) })
	return hits[:min(len(hits), maxHits)], nil
}

// watchmanVersions returns the hash of each list. A server that does not tell
// has none: what people decide of its hits then holds until they look again.
func (c *Client) watchmanVersions(ctx context.Context) (map[string]string, error) {
	var lists watchmanLists
	err := c.ask(ctx, http.MethodGet, "/v2/listinfo", nil, nil, &lists)
	if errors.Is(err, errNotFound) {
		return nil, nil
	}
	for list, hash := range lists.Hashes {
		lists.Hashes[list] = hash[:min(len(hash), 16)]
	}
	return lists.Hashes, err
}
