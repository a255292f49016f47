package nameserver

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestTheProtocolPageHasWhatIsAnswered: each code that has an answer is
// called answered in docs/PROTOCOL.md, and no other.
func TestTheProtocolPageHasWhatIsAnswered(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../../docs/PROTOCOL.md", "<!-- nameserver codes: begin -->", "<!-- nameserver codes: end -->"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok1 := strings.Cut(string(page), begin)
	table, _, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no part between %q and %q", path, begin, end)
	}
	listed := map[int32]string{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \| \w+ \| (\w+) \|`).FindAllStringSubmatch(table, -1) {
		code, err := strconv.ParseInt(row[1], 10, 32)
		if err != nil || listed[int32(code)] != "" || row[2] != "yes" && row[2] != "no" {
			t.Errorf("row %q: a code has one row, with yes or no", row[0])
		}
		listed[int32(code)] = row[2]
	}
	answered := answers
	for code := range answered {
		if listed[code] != "yes" {
			t.Errorf("%s: code %d is answered; its row says %q, it must say \"yes\"", path, code, listed[code])
		}
	}
	for code, state := range listed {
		if _, known := answered[code]; state == "yes" && !known {
			t.Errorf("%s: code %d is not answered; its row must say \"no\"", path, code)
		}
	}
}
