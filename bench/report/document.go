package report

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Block is a part of a Markdown document that a command writes. It stands
// between two comments with its name.
type Block string

func (b Block) begin() string { return "<!-- " + string(b) + ":begin -->" }
func (b Block) end() string   { return "<!-- " + string(b) + ":end -->" }

// ErrMarks says that a document has no place for a block.
var ErrMarks = errors.New("the document has no place for the block")

// replace puts text between the marks of a document.
func (b Block) replace(document []byte, text string) ([]byte, error) {
	begin, end := bytes.Index(document, []byte(b.begin())), bytes.Index(document, []byte(b.end()))
	if begin < 0 || end < begin || bytes.Count(document, []byte(b.begin())) != 1 || bytes.Count(document, []byte(b.end())) != 1 {
		return nil, fmt.Errorf("%w: it needs one %s and after it one %s", ErrMarks, b.begin(), b.end())
	}
	var out bytes.Buffer
	out.Write(document[:begin+len(b.begin())])
	out.WriteString("\n\n" + text + "\n")
	out.Write(document[end:])
	return out.Bytes(), nil
}

// Check finds out before a long run whether its result can be written.
func (b Block) Check(path string) error {
	_, err := b.updated(path, "")
	return err
}

func (b Block) updated(path, text string) ([]byte, error) {
	document, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		document, err = []byte("# Benchmarks\n\n"+b.begin()+"\n"+b.end()+"\n"), nil
	}
	if err == nil {
		document, err = b.replace(document, text)
	}
	if err != nil {
		return nil, fmt.Errorf("write the %s into %s: %w", b, path, err)
	}
	return document, nil
}

// Update writes the block into a document, which is created when there is none.
func (b Block) Update(path, text string) error {
	document, err := b.updated(path, text)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, document, 0o644); err != nil {
		return fmt.Errorf("write the %s: %w", b, err)
	}
	return nil
}
