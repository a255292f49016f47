package conf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Setting is one key of a configuration C: how its value is read, and all that
// people need to know.
type Setting[C any] struct {
	Name     string
	Fallback string // the default, as it would stand in a file
	Allowed  string // what may stand there, in words
	Doc      string
	Set      func(c *C, value string) error
	Secret   bool // its value is told to nobody
}

// Of is a setting that everybody may see.
func Of[C any](name, fallback, allowed, doc string, set func(c *C, value string) error) Setting[C] {
	return Setting[C]{Name: name, Fallback: fallback, Allowed: allowed, Doc: doc, Set: set}
}

// ErrNotAllowed: the value isn't one of those that Allowed describes.
var ErrNotAllowed = errors.New("not allowed")

// hidden stands for the value of a secret.
const hidden = "******"

// Shown is a value as others may see it.
func (s *Setting[C]) Shown(value string) string {
	if s.Secret && value != "" {
		return hidden
	}
	return value
}

// Apply sets what is given, and the defaults of everything else, in the order
// of the settings. It returns an error for each value that is wrong.
func Apply[C any](c *C, settings []Setting[C], values map[string]string) (wrong []error) {
	for i := range settings {
		s := &settings[i]
		value := s.value(values)
		if err := s.Set(c, strings.TrimSpace(value)); err != nil {
			wrong = append(wrong, fmt.Errorf("configuration: %s=%s is not allowed: use %s", s.Name, s.Shown(value), s.Allowed))
		}
	}
	return wrong
}

func (s *Setting[C]) value(values map[string]string) string {
	if value, given := values[s.Name]; given {
		return value
	}
	return s.Fallback
}

// Lines are the settings as they stand in a file, each as key=value.
func Lines[C any](settings []Setting[C], values map[string]string) []string {
	var lines []string
	for i := range settings {
		s := &settings[i]
		lines = append(lines, s.Name+"="+s.Shown(strings.TrimSpace(s.value(values))))
	}
	return lines
}

// Unknown lists the keys that are none of the settings, sorted.
func Unknown[C any](settings []Setting[C], values map[string]string) []string {
	var unknown []string
	for key := range values {
		if !slices.ContainsFunc(settings, func(s Setting[C]) bool { return s.Name == key }) {
			unknown = append(unknown, key)
		}
	}
	slices.Sort(unknown)
	return unknown
}

// Table is the settings as a table of Markdown, as documents have it.
func Table[C any](settings []Setting[C]) string {
	var b strings.Builder
	b.WriteString("| Key | Default | Allowed | Meaning |\n|---|---|---|---|\n")
	for i := range settings {
		s := &settings[i]
		fallback := ""
		if s.Fallback != "" {
			fallback = "`" + s.Fallback + "`"
		}
		b.WriteString("| `" + s.Name + "` | " + fallback + " | " + s.Allowed + " | " + s.Doc + " |\n")
	}
	return b.String()
}
