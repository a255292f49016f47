package lint

import "regexp"

// leftover matches the marks by which people tell themselves that something is
// unfinished. What is missing belongs in an issue.
var leftover = regexp.MustCompile(`\b(` + "TO" + `DO|FIX` + `ME|XX` + `X|HA` + `CK)\b`)

// CheckLeftovers finds marks of unfinished work in comments.
func CheckLeftovers(files []*File) []Finding {
	var findings []Finding
	for _, f := range files {
		for _, group := range f.Tree.Comments {
			for _, comment := range group.List {
				if mark := leftover.FindString(comment.Text); mark != "" {
					findings = append(findings, f.finding(comment.Pos(), "%s: finish it or write an issue", mark))
				}
			}
		}
	}
	return findings
}
