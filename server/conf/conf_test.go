package conf_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/conf"
)

type configuration struct {
	name   string
	port   int
	wait   time.Duration
	secret string
}

var settings = []conf.Setting[configuration]{
	conf.Text("name", "nobody", "Who.", func(c *configuration) *string { return &c.name }),
	conf.Integer("port", "0", 0, 65535, "Where.", func(c *configuration) *int { return &c.port }),
	conf.Duration("wait", "20", time.Second, 1, 60, "How long.", func(c *configuration) *time.Duration { return &c.wait }),
	secret(),
}

func secret() conf.Setting[configuration] {
	s := conf.Optional("secret", "", "What.", func(c *configuration) *string { return &c.secret })
	s.Secret = true
	return s
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "some.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAPairWinsOverTheFileAndTheFileOverTheDefault(t *testing.T) {
	t.Parallel()
	values, err := conf.Read(write(t, "# a comment\nname = ${HOME}\nport=1\nother=2\n"), []string{"port=2", "port=3"})
	if err != nil {
		t.Fatal(err)
	}
	var c configuration
	if wrong := conf.Apply(&c, settings, values); len(wrong) > 0 {
		t.Fatal(errors.Join(wrong...))
	}
	if want := (configuration{name: "${HOME}", port: 3, wait: 20 * time.Second}); c != want {
		t.Errorf("got %+v, want %+v", c, want)
	}
	if got := conf.Unknown(settings, values); !slices.Equal(got, []string{"other"}) {
		t.Errorf("unknown are %q", got)
	}
}

func TestEachWrongValueIsNamedWithWhatIsAllowed(t *testing.T) {
	t.Parallel()
	var c configuration
	wrong := errors.Join(conf.Apply(&c, settings, map[string]string{"port": "65536", "wait": "2s", "name": ""})...)
	for _, part := range []string{"port=65536 is not allowed: use 0 to 65535", "wait=2s is not allowed: use 1 to 60 (seconds)", "name= is not allowed"} {
		if wrong == nil || !strings.Contains(wrong.Error(), part) {
			t.Errorf("%v lacks %q", wrong, part)
		}
	}
}

func TestASecretIsShownToNobody(t *testing.T) {
	t.Parallel()
	lines := strings.Join(conf.Lines(settings, map[string]string{"secret": "open sesame"}), "\n")
	wrong := errors.Join(conf.Apply(new(configuration), settings, map[string]string{"secret": "open\nsesame"})...)
	if strings.Contains(lines, "sesame") || wrong == nil || strings.Contains(wrong.Error(), "sesame") {
		t.Errorf("lines %q, error %v", lines, wrong)
	}
}

func TestAPairWithoutAKeyIsRefused(t *testing.T) {
	t.Parallel()
	for _, pair := range []string{"port", "=1", " =1"} {
		if _, err := conf.Read("", []string{pair}); err == nil || !strings.Contains(err.Error(), "key=value") {
			t.Errorf("%q: %v", pair, err)
		}
	}
}
