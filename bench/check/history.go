package check

import "io"

// History is a history that can be read, more than once.
type History interface {
	// Each visits all events in their order, up to the first error. The event
	// is valid until visit returns.
	Each(visit func(*Event) error) error
}

// Events is a history in memory.
type Events []Event

// Each implements History.
func (list Events) Each(visit func(*Event) error) error {
	for i := range list {
		if err := visit(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

// Open is a history that a Recorder wrote: it opens it from its beginning.
type Open func() (io.ReadCloser, error)

// Each implements History.
func (open Open) Each(visit func(*Event) error) error {
	in, err := open()
	if err != nil {
		return err
	}
	defer in.Close()
	r, err := NewReader(in)
	if err != nil {
		return err
	}
	for {
		var e Event
		if err := r.Next(&e); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := visit(&e); err != nil {
			return err
		}
	}
}
