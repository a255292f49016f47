package node

import "strings"

// SettingsTable is all settings of a role as a table of Markdown.
// docs/OPERATIONS.md repeats those of a server and of a nameserver.
func SettingsTable(role Role) string {
	var b strings.Builder
	b.WriteString("| Key | Default | Allowed | Meaning |\n|---|---|---|---|\n")
	for _, s := range role.settings() {
		fallback := ""
		if s.fallback != "" {
			fallback = "`" + s.fallback + "`"
		}
		b.WriteString("| `" + s.name + "` | " + fallback + " | " + s.allowed + " | " + s.doc + " |\n")
	}
	return b.String()
}
