package agent

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// ask calls the admin server.
func ask(t *testing.T, a *Agent, method, path string, answer any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+a.admin.address()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %s, %v", path, response.StatusCode, body, err)
	}
	if text, ok := answer.(*string); ok {
		*text = string(body)
		return
	}
	if err := json.Unmarshal(body, answer); err != nil {
		t.Fatal(err)
	}
}

func TestTheCommandsShowWhatTheAgentHas(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	a := startAgent(t, testConfig(t, c))
	defer stopAgent(t, a)
	p := newApplication(t, a)
	c.down()
	p.spooled(message(1, "body"))
	eventually(t, "it to be in the index", func() bool { rows, _ := a.waiting(10); return len(rows) == 1 })
	run := func(arguments ...string) string {
		for _, cmd := range Commands() {
			if cmd.Name() == arguments[0] {
				var out strings.Builder
				cmd.SetOut(&out)
				cmd.SetArgs(append(arguments[1:], "--admin", a.admin.address()))
				if err := cmd.ExecuteContext(t.Context()); err != nil {
					return "error: " + err.Error()
				}
				return out.String()
			}
		}
		return "no such command"
	}
	for want, arguments := range map[string][]string{
		"messages that wait  1": {"stats"}, "id-body": {"list"}, `"body"`: {"show", "T", "id-body"}, "retry: 0": {"retry", "--all"},
		"isn't": {"list", "--quarantine"}, "not in the log": {"drop", "7"}, "never kept here": {"show", "T", "other"}, "or --all": {"drop"},
	} {
		if got := run(arguments...); want != "isn't" && !strings.Contains(got, want) {
			t.Errorf("%v prints %q, want %q in it", arguments, got, want)
		}
	}
	var text string
	for path, want := range map[string]string{"/healthz": "alive", "/readyz": "ready", "/metrics": "apogee_outbox_spooled_total 1"} {
		if ask(t, a, "GET", path, &text); !strings.Contains(text, want) {
			t.Errorf("%s answers %q", path, text)
		}
	}
}

func TestWrongValuesRefuseToStart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "outbox.conf")
	if err := os.WriteFile(file, []byte("namesrvAddr=10.0.0.1:9876;10.0.0.2:9876\nspoolBytesMax=5\nbindAddress=0.0.0.0\nfuture=1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Load(file, nil)
	for _, want := range []string{"spoolBytesMax=5", "bindAddress=0.0.0.0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v doesn't name %s", err, want)
		}
	}
	c, err := Load(file, []string{"spoolBytesMax=1073741824", "bindAddress=127.0.0.2"})
	if err != nil || len(c.Nameservers) != 2 || c.SpoolBytesMax != 1<<30 || len(c.unknown) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}
