package node

import "strings"

// SettingsTable is all settings as a table of Markdown. docs/OPERATIONS.md
// repeats it.
func SettingsTable() string {
	var b strings.Builder
	b.WriteString("| Key | Default | Allowed | Meaning |\n|---|---|---|---|\n")
	for _, s := range settings {
		fallback := ""
		if s.fallback != "" {
			fallback = "`" + s.fallback + "`"
		}
		b.WriteString("| `" + s.name + "` | " + fallback + " | " + s.allowed + " | " + s.doc + " |\n")
	}
	return b.String()
}
