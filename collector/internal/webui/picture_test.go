package webui_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/collector/internal/webui"
)

// picture is the first picture of a class on a page.
func picture(t *testing.T, html, class string) string {
	t.Helper()
	m := regexp.MustCompile(`(?s)<svg class="` + class + `".*?</svg>`).FindString(html)
	if m == "" {
		t.Fatalf("no picture %s", class)
	}
	return m
}

// What a picture shows is beside it as a table, and what it leaves out is said.
func TestPicturesHaveTables(t *testing.T) {
	h := webui.New(deps(busy(), ""))
	run := ask(t, h, "/runs/run_4kq2").Body.String()
	heat := picture(t, run, "heatmap")
	for _, want := range []string{"Hosts of the run over time: 1,024 hosts, 26 in a row", `class="heat h3"`, `class="heat unseen"`, "gpu-0001 to gpu-0026", "half of it or more was not seen", "Share of peak"} {
		if !strings.Contains(run, want) {
			t.Errorf("the run lacks %q", want)
		}
	}
	if n := strings.Count(heat, "row-name"); n != 40 || strings.Count(run, `data-label="Held"`) != n {
		t.Errorf("%d rows, %d in the table", n, strings.Count(run, `data-label="Held"`))
	}
	customer := ask(t, h, "/customers/cus_orion").Body.String()
	graph := picture(t, customer, "graph")
	for _, want := range []string{"pty_boss", "not named", "node marked", "tie owns", "tie waiting", "arrow"} {
		if !strings.Contains(graph, want) && !strings.Contains(customer, want) {
			t.Errorf("the customer's picture lacks %q", want)
		}
	}
	if strings.Contains(graph, "pty_kilo") {
		t.Error("a link that was rejected is drawn")
	}
	for _, want := range []string{"owns 51 % to 68 %, controls", "Operations of its own tenants over time", `class="fan"`, "foreseen <time", "T1 is 1.00e26 operations, One run, us-iaas-2024-01"} {
		if !strings.Contains(customer, want) {
			t.Errorf("the customer lacks %q", want)
		}
	}
	coverage := ask(t, h, "/coverage").Body.String()
	if !strings.Contains(coverage, "A square is one host") || !strings.Contains(coverage, "80 to 95 %: 8") || !strings.Contains(coverage, "less than 80 %: 16") {
		t.Error("the map of coverage does not say what it shows")
	}
}

// Many links of one party are folded, and so are too many parties; the table has
// all of them.
func TestLargeGraphsAreFolded(t *testing.T) {
	r := desktest.New()
	link := r.LinkList[2]
	r.LinkList = nil
	for i := range 90 {
		link.ID, link.A, link.B = fmt.Sprintf("lnk_%04d", i), "pty_hub", resolve.ID(fmt.Sprintf("pty_%04d", i))
		r.LinkList = append(r.LinkList, link)
	}
	html := ask(t, webui.New(webui.Deps{Reader: r}), "/links").Body.String()
	graph := picture(t, html, "graph")
	if n := strings.Count(graph, "<rect"); n != 7 || !strings.Contains(graph, "and 85 more") || !strings.Contains(html, "85 ties are not drawn") || strings.Count(html, `data-label="What">`) != 90 {
		t.Errorf("%d nodes, %d rows", n, strings.Count(html, `data-label="What">`))
	}
	// A customer with 301 parties above each other: 200 are drawn.
	r = desktest.New()
	r.UltimateView.Owners, r.UltimateView.Links = nil, nil
	for i := range 300 {
		r.UltimateView.Owners = append(r.UltimateView.Owners, desk.Ownership{Owner: resolve.ID(fmt.Sprintf("pty_%03d", i+1)), Subject: resolve.ID(fmt.Sprintf("pty_%03d", i/2))})
	}
	html = ask(t, webui.New(webui.Deps{Reader: r}), "/customers/cus_orion").Body.String()
	if n := strings.Count(picture(t, html, "graph"), "<rect"); n != 200 || !strings.Contains(html, "not drawn; the table has all of them") {
		t.Errorf("%d nodes", n)
	}
}

// Text from outside stays text in pictures too, and is no part of an attribute that
// draws.
func TestHostileTextInPictures(t *testing.T) {
	h := webui.New(deps(desktest.NewHostile(), desktest.Hostile))
	for path, class := range map[string]string{"/runs/run_4kq2": "heatmap", "/links": "graph"} {
		svg := picture(t, ask(t, h, path).Body.String(), class)
		if strings.Contains(svg, "<script") || !strings.Contains(svg, "&lt;script&gt;") {
			t.Errorf("%s: %.300s", path, svg)
		}
		for _, m := range regexp.MustCompile(` (?:d|x|y|width|height|viewBox)="([^"]*)"`).FindAllStringSubmatch(svg, -1) {
			if strings.Trim(m[1], "MLCHVZhvzl0123456789 .-") != "" {
				t.Errorf("%s: an attribute holds %q", path, m[1])
			}
		}
	}
}

// Lines and boxes stay within their picture, whatever is linked.
func TestGraphStaysInItsPicture(t *testing.T) {
	r := desktest.New()
	var links []desk.Link
	for i := range 60 {
		link := r.LinkList[2]
		link.ID, link.A, link.B, link.Directed = fmt.Sprintf("lnk_%d", i), resolve.ID(fmt.Sprintf("p%d", i%17)), resolve.ID(fmt.Sprintf("p%d", (i*7+3)%17)), i%2 == 0
		links = append(links, link)
	}
	r.LinkList = links
	w := ask(t, webui.New(webui.Deps{Reader: r}), "/links")
	graph := picture(t, w.Body.String(), "graph")
	size := regexp.MustCompile(`viewBox="0 0 ([0-9.]+) ([0-9.]+)"`).FindStringSubmatch(graph)
	width, err := strconv.ParseFloat(size[1], 64)
	height, err2 := strconv.ParseFloat(size[2], 64)
	if err != nil || err2 != nil || w.Code != http.StatusOK {
		t.Fatal(size, err, err2)
	}
	for _, m := range regexp.MustCompile(`(-?[0-9.]+) (-?[0-9.]+)`).FindAllStringSubmatch(strings.Join(regexp.MustCompile(` d="[^"]*"`).FindAllString(graph, -1), " "), -1) {
		x, _ := strconv.ParseFloat(m[1], 64)
		y, _ := strconv.ParseFloat(m[2], 64)
		if x < 0 || y < 0 || x > width || y > height {
			t.Errorf("%v lies outside %v", m[0], size[1:])
		}
	}
}
