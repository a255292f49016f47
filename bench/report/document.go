package baseline

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

const (
	beginMark = "<!-- baseline:begin -->"
	endMark   = "<!-- baseline:end -->"
)

// ErrMarks says that a document has no place for the table.
var ErrMarks = errors.New("the document needs one " + beginMark + " and after it one " + endMark)

// replaceBlock puts block between the marks of a document.
func replaceBlock(document []byte, block string) ([]byte, error) {
	begin, end := bytes.Index(document, []byte(beginMark)), bytes.Index(document, []byte(endMark))
	if begin < 0 || end < begin || bytes.Count(document, []byte(beginMark)) != 1 || bytes.Count(document, []byte(endMark)) != 1 {
		return nil, ErrMarks
	}
	var b bytes.Buffer
	b.Write(document[:begin+len(beginMark)])
	b.WriteString("\n\n" + block + "\n")
	b.Write(document[end:])
	return b.Bytes(), nil
}

// checkDocument finds out before a long run whether its result can be written.
func checkDocument(path string) error {
	_, err := updated(path, "")
	return err
}

func updated(path, block string) ([]byte, error) {
	document, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		document, err = []byte("# Benchmarks\n\n"+beginMark+"\n"+endMark+"\n"), nil
	}
	if err == nil {
		document, err = replaceBlock(document, block)
	}
	if err != nil {
		return nil, fmt.Errorf("write the table into %s: %w", path, err)
	}
	return document, nil
}

// updateDocument writes the block into the document, which is created when
// there is none.
func updateDocument(path, block string) error {
	document, err := updated(path, block)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, document, 0o644); err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}
