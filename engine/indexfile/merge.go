package indexfile

import (
	"errors"
	"fmt"
)

// Merge writes the file that covers the spans of all files, which follow each
// other within one segment, oldest first. Its bytes follow from those of the files.
func (h *Shelf) Merge(files []*File) (*File, error) {
	last := files[len(files)-1]
	span, keys := last.Span, 0
	span.First, span.Base, span.FirstTime = files[0].First, files[0].Base, files[0].FirstTime
	for i, f := range files {
		if f.Segment != span.Segment || i > 0 && f.First != files[i-1].Last+1 {
			panic(fmt.Sprintf("BUG: index file %s does not follow %s", f.name, files[max(i-1, 0)].name))
		}
		keys += f.Keys()
	}
	b, err := h.Create(span, keys)
	if err != nil {
		return nil, err
	}
	m := merger{files: files, out: b}
	if err := errors.Join(m.queues(last), m.samples(), m.keys()); err != nil {
		return nil, errors.Join(fmt.Errorf("merge %d index files: %w", len(files), err), b.Abort())
	}
	return b.Finish()
}

type merger struct {
	files []*File
	out   *Builder
}

// queues merges tables and entries: of each queue that is alive at the end,
// the entries since it began.
func (m *merger) queues(last *File) error {
	tables := make([]*rowScan, len(m.files))
	entries := make([]*scanner, len(m.files))
	for i, f := range m.files {
		var err error
		if tables[i], err = f.rowScan(); err != nil {
			return err
		}
		entries[i] = f.scan(0, f.counts.entries, entryBytes)
	}
	for row, err := range last.Table() {
		if err != nil {
			return err
		}
		m.out.Queue(row.Queue, row.Next, row.Born)
		for i, t := range tables {
			for t.has && t.row.Queue.Number() < row.Queue.Number() {
				if err := t.advance(); err != nil {
					return err
				}
			}
			if !t.has || t.row.Queue != row.Queue || t.row.Born != row.Born {
				continue
			}
			if err := m.copySlots(entries[i], t.row); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *merger) copySlots(s *scanner, r Row) error {
	s.seek(r.Start)
	for range r.Count {
		b, err := s.item()
		if err != nil {
			return err
		}
		if b == nil {
			return fmt.Errorf("merge index file %s: %w: queue %v has more entries than the file", s.file.name, ErrDamaged, r.Queue)
		}
		m.out.Slots(decodeSlot(b))
	}
	return nil
}

func (m *merger) samples() error {
	for _, f := range m.files {
		s := f.scan(f.at.samples, f.counts.samples, sampleBytes)
		for {
			b, err := s.item()
			if err != nil {
				return err
			}
			if b == nil {
				break
			}
			m.out.Sample(decodeSample(b))
		}
	}
	return nil
}

// keys merges sorted lists. There are few files, so the smallest head is
// looked for one by one.
func (m *merger) keys() error {
	heads := make([]*keyScan, len(m.files))
	for i, f := range m.files {
		var err error
		if heads[i], err = f.keyScan(); err != nil {
			return err
		}
	}
	for {
		var least *keyScan
		for _, s := range heads {
			if s.has && (least == nil || s.key.before(least.key)) {
				least = s
			}
		}
		if least == nil {
			return nil
		}
		m.out.Key(least.key)
		if err := least.advance(); err != nil {
			return err
		}
	}
}
