package screening

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

type yenteQuery struct {
	Schema     string              `json:"schema"`
	Properties map[string][]string `json:"properties"`
}

type yenteAnswer struct {
	Responses map[string]struct {
		Status  int `json:"status"`
		Results []struct {
			ID         string             `json:"id"`
			Score      float64            `json:"score"`
			Datasets   []string           `json:"datasets"`
			LastChange string             `json:"last_change"`
			Features   map[string]float64 `json:"features"` // up to yente 4
			// Explanations have the compared values too, which are not read.
			Explanations map[string]struct {
				Score float64 `json:"score"`
			} `json:"explanations"` // from yente 5 on
		} `json:"results"`
	} `json:"responses"`
}

func (c *Client) yente(ctx context.Context, s Subject) ([]Hit, error) {
	q := yenteQuery{Schema: "Organization", Properties: map[string][]string{"name": s.Names}}
	if s.Person {
		q.Schema = "Person"
		if s.BirthDate != "" {
			q.Properties["birthDate"] = []string{s.BirthDate}
		}
	}
	if len(s.Countries) > 0 {
		q.Properties["country"] = s.Countries
	}
	body, err := json.Marshal(map[string]any{"queries": map[string]yenteQuery{"q": q}})
	if err != nil {
		return nil, errors.New("screening: the request could not be made")
	}
	var a yenteAnswer
	if err := c.ask(ctx, http.MethodPost, "/match/"+url.PathEscape(c.o.Dataset), url.Values{"limit": {strconv.Itoa(maxHits)}, "threshold": {strconv.FormatFloat(c.o.Least, 'f', -1, 64)}}, body, &a); err != nil {
		return nil, err
	}
	r, ok := a.Responses["q"]
	if !ok || r.Status != 0 && r.Status != http.StatusOK {
		return nil, errors.New("screening: the server did not answer the question")
	}
	var hits []Hit
	for _, m := range r.Results {
		if m.Score < c.o.Least || len(hits) == maxHits {
			continue
		}
		scores := m.Features
		for feature, e := range m.Explanations {
			if scores == nil {
				scores = map[string]float64{}
			}
			scores[feature] = e.Score
		}
		hits = append(hits, Hit{List: strings.Join(m.Datasets, " "), Version: m.LastChange, Entry: m.ID, Score: m.Score, Explanation: features(scores)})
	}
	return hits, nil
}
