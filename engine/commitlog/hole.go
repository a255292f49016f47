package commitlog

import (
	"errors"
	"fmt"
	"io"

	"github.com/apogeemq/apogee/engine/event"
)

// Damaged are frames that were durable and that Open could not read, with good
// ones behind them. They are read from other copies when they are asked for.
type Damaged struct {
	First, Last event.Index
}

// passDamage goes on behind frames that are damaged, at the next good one, if
// they all were durable: the frame behind them then says what they were. What
// was in flight behind the Durable mark is no damage.
func (s *scan) passDamage(durable event.Index) (d Damaged, passed bool, err error) {
	h, at, found, err := s.nextGood(s.segment.bytes, durable+1)
	if err != nil || !found {
		return d, false, err
	}
	d = Damaged{First: s.end.index + 1, Last: h.Index - 1}
	s.end = chain{index: d.Last, term: s.end.term, position: h.Position, timestamp: s.end.timestamp, crc: h.Chain}
	s.at = at
	return d, true, nil
}

// walkOn walks to the end of the segment's frames, past damage where there are
// other copies of the log.
func (s *scan) walkOn(r *Recovery) (found finding, nonZeroTo int64, err error) {
	for {
		reason, err := s.walk()
		if err != nil {
			return found, 0, err
		}
		r.Reason = reason.Error()
		if s.log.cutAfter > 0 {
			return found, 0, nil
		}
		if found, nonZeroTo, err = s.lookAhead(); err != nil {
			return found, 0, err
		}
		if s.log.opts.Copies == nil || decide(found, s.end.index) != verdictCorrupt {
			return found, nonZeroTo, nil
		}
		d, passed, err := s.passDamage(found.evidence)
		if !passed || err != nil {
			return found, s.segment.bytes, err
		}
		r.Damaged = append(r.Damaged, d)
		s.log.opts.Log.Warn("durable frames are damaged; they are fetched from another replica when they are read",
			"segment", s.segment.name(), "first", d.First, "last", d.Last, "cause", r.Reason)
	}
}

// keptBytesMax bounds what is put aside of a torn or damaged end: a segment may
// have gigabytes.
const keptBytesMax = 64 << 20

// cut puts the bytes of a torn tail aside and overwrites them with zeros, so
// that no later look takes them for part of the log.
func (l *Log) cut(w *scan, to int64) (string, error) {
	name := tornName(w.segment.base(), w.at)
	block := int64(l.block)
	from := w.at / block * block
	size := (min(to, w.at+keptBytesMax) - from + block - 1) / block * block
	b := l.scratch(int(size))
	if _, err := w.segment.file.ReadAt(b, from); err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read torn tail of segment %s: %w", w.segment.name(), err)
	}
	if err := l.keepAside(name, b[w.at-from:min(to-from, size)]); err != nil {
		return "", err
	}
	if err := l.zero(w.segment.file, w.at, to); err != nil {
		return "", fmt.Errorf("cut torn tail of segment %s: %w", w.segment.name(), err)
	}
	return name, nil
}
