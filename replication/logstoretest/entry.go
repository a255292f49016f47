package logstoretest

import (
	"bytes"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// epoch is when entry 0 would have been appended, in Unix milliseconds.
const epoch = 1_700_000_000_000

func entry(index, term uint64, kind raft.LogType, data []byte) *raft.Log {
	return &raft.Log{Index: index, Term: term, Type: kind, Data: data, AppendedAt: time.UnixMilli(epoch + int64(index))}
}

// compare reads an entry and says how it differs from what was stored.
func compare(s raft.LogStore, want *raft.Log) error {
	got := raft.Log{Index: 1 << 40, Data: []byte("left over"), Extensions: []byte("left over")}
	if err := s.GetLog(want.Index, &got); err != nil {
		return fmt.Errorf("entry %d: %w", want.Index, err)
	}
	return difference(&got, want)
}

func difference(got, want *raft.Log) error {
	switch {
	case got.Index != want.Index || got.Term != want.Term || got.Type != want.Type:
		return fmt.Errorf("entry %d of term %d, %v, was read as entry %d of term %d, %v",
			want.Index, want.Term, want.Type, got.Index, got.Term, got.Type)
	case !bytes.Equal(got.Data, want.Data) || len(got.Extensions) > 0:
		return fmt.Errorf("entry %d: %d bytes and %d of extensions were read, %d stored, or different ones",
			want.Index, len(got.Data), len(got.Extensions), len(want.Data))
	case got.AppendedAt.UnixMilli() != want.AppendedAt.UnixMilli():
		return fmt.Errorf("entry %d: appended at %v, read as %v", want.Index, want.AppendedAt, got.AppendedAt)
	}
	return nil
}
