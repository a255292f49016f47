package agent

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

func TestTheGuideNamesEverySettingAndMetric(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/OUTBOX.md")
	if err != nil {
		t.Fatal(err)
	}
	guide := string(text)
	if !strings.Contains(guide, SettingsTable()) {
		t.Error("docs/OUTBOX.md lacks the table of settings: put in what `apogee config --role outbox` prints")
	}
	c := startCluster(t)
	a := startAgent(t, testConfig(t, c))
	defer stopAgent(t, a)
	var metrics string
	ask(t, a, "GET", "/metrics", &metrics)
	names := regexp.MustCompile(`(?m)^apogee_outbox_\w+`).FindAllString(metrics, -1)
	if len(names) < 20 {
		t.Errorf("only %d metrics", len(names))
	}
	for _, name := range names {
		if !strings.Contains(guide, "`"+name+"`") {
			t.Errorf("docs/OUTBOX.md doesn't name %s", name)
		}
	}
}
