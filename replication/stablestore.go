package replication

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/checkpoint"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// StableStore keeps Raft's term and vote in one small file. Every Set is
// durable when it returns, in ASYNC modes too: a node that votes twice in one
// term breaks Raft.
//
// The file, named stable, has two copies of the pairs that Raft sets, at 0 and at
// 4096. Version 2:
//
//	off  size  field
//	  0     4  magic 0x53475041
//	  4     4  checksum of what follows, seeded with the log's id
//	  8     4  version 2
//	 12     4  length of the candidate, 0 for no vote
//	 16     8  CurrentTerm
//	 24     8  LastVoteTerm
//	 32     …  LastVoteCand; then zeros to 4096
//
// A Set writes the first copy, syncs it, and does the same with the second; so it
// needs no space on a disk that is full, where Raft could do nothing but panic. A
// power cut in a write leaves the other copy whole. The first one counts if it is
// whole, as it is never older than the second. Version 1 was one copy and nothing
// else.
//
// A node that leads alone, without Raft, has voted in its term for "alone " and
// its id. Whoever leads a log after it does so in a later term, and that term's
// vote, or the lack of one, takes the place of this.
type StableStore struct {
	disk disk.Disk
	seed event.Seed

	mu     sync.Mutex
	placed bool // the file is there, both copies are whole and the same
	values stableValues
}

type stableValues struct {
	term, voteTerm uint64
	candidate      []byte
}

var _ raft.StableStore = (*StableStore)(nil)

const (
	stableName     = "stable"
	stableMagic    = 0x53475041
	stableVersion  = 2
	stableBytes    = 32
	stableBytesMax = 4096 // of a copy

	keyTerm      = "CurrentTerm"
	keyVoteTerm  = "LastVoteTerm"
	keyCandidate = "LastVoteCand"
)

// OpenStableStore opens the file in the log's folder, and makes it where there is
// none: a log that was never in a group has the term of its last frame.
func OpenStableStore(d disk.Disk, id event.LogID, lastTerm event.Term) (*StableStore, error) {
	s, _, err := readStableStore(d, id, lastTerm)
	if err == nil && !s.placed {
		err = s.store(func(*stableValues) {})
	}
	return s, err
}

func readStableStore(d disk.Disk, id event.LogID, lastTerm event.Term) (s *StableStore, found bool, err error) {
	s = &StableStore{disk: d, seed: id.Seed(), values: stableValues{term: uint64(lastTerm)}}
	b, err := disk.ReadWhole(d, stableName, 2*stableBytesMax)
	if errors.Is(err, disk.ErrNotFound) {
		return s, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if s.values, s.placed, err = decodeCopies(b, s.seed); err != nil {
		return nil, true, fmt.Errorf("read %s/%s: %w; the node must not vote without it: remove the node from its group and add it again", d.Path(), stableName, err)
	}
	if s.values.term < uint64(lastTerm) {
		return nil, true, fmt.Errorf("read %s/%s: %w: term %d, the log has frames of term %d", d.Path(), stableName, checkpoint.ErrCorrupt, s.values.term, lastTerm)
	}
	return s, true, nil
}

// ledAlone reports whether nobody but this node, alone, has led since it last
// did so.
func (s *StableStore) ledAlone(node [16]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values.voteTerm == s.values.term && bytes.Equal(s.values.candidate, alone(node))
}

// leadAlone begins a term in which this node has voted for itself.
func (s *StableStore) leadAlone(node [16]byte) (event.Term, error) {
	err := s.store(func(v *stableValues) {
		term := v.term + 1
		*v = stableValues{term: term, voteTerm: term, candidate: alone(node)}
	})
	return event.Term(s.values.term), err
}

func alone(node [16]byte) []byte { return fmt.Appendf(nil, "alone %x", node) }

func (v stableValues) encode(seed event.Seed) []byte {
	le := binary.LittleEndian
	b := make([]byte, stableBytes, stableBytes+len(v.candidate))
	le.PutUint32(b[0:], stableMagic)
	le.PutUint32(b[8:], stableVersion)
	le.PutUint32(b[12:], uint32(len(v.candidate)))
	le.PutUint64(b[16:], v.term)
	le.PutUint64(b[24:], v.voteTerm)
	b = append(b, v.candidate...)
	le.PutUint32(b[4:], event.Checksum(seed, b[8:]))
	return b
}

// decodeCopies reads the file. whole: both copies are good and the same.
func decodeCopies(b []byte, seed event.Seed) (v stableValues, whole bool, err error) {
	if len(b) != 2*stableBytesMax {
		v, err = decodeStable(b, seed)
		return v, false, err
	}
	first, second := b[:stableBytesMax], b[stableBytesMax:]
	whole = bytes.Equal(first, second)
	if v, err = decodeCopy(first, seed); err != nil {
		v, err = decodeCopy(second, seed)
	}
	return v, whole && err == nil, err
}

func decodeCopy(b []byte, seed event.Seed) (stableValues, error) {
	length := min(stableBytes+uint64(binary.LittleEndian.Uint32(b[12:])), uint64(len(b)))
	return decodeStable(b[:length], seed)
}

func decodeStable(b []byte, seed event.Seed) (stableValues, error) {
	le := binary.LittleEndian
	if len(b) < stableBytes || len(b) > stableBytesMax || le.Uint32(b) != stableMagic {
		return stableValues{}, fmt.Errorf("%w: not a term and vote file", checkpoint.ErrCorrupt)
	}
	if sum := event.Checksum(seed, b[8:]); sum != le.Uint32(b[4:]) {
		return stableValues{}, fmt.Errorf("%w: checksum %08x, expected %08x", checkpoint.ErrCorrupt, sum, le.Uint32(b[4:]))
	}
	if v := le.Uint32(b[8:]); v == 0 || v > stableVersion {
		return stableValues{}, fmt.Errorf("%w: version %d, this program reads %d", checkpoint.ErrVersion, v, stableVersion)
	}
	candidate := b[stableBytes:]
	if n := le.Uint32(b[12:]); int64(n) != int64(len(candidate)) {
		return stableValues{}, fmt.Errorf("%w: a candidate of %d bytes in %d", checkpoint.ErrCorrupt, n, len(candidate))
	}
	return stableValues{term: le.Uint64(b[16:]), voteTerm: le.Uint64(b[24:]), candidate: append([]byte(nil), candidate...)}, nil
}

func (s *StableStore) store(change func(*stableValues)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.values
	change(&next)
	if err := s.write(next.encode(s.seed)); err != nil {
		return fmt.Errorf("store term and vote: %w", err)
	}
	s.values, s.placed = next, true
	return nil
}

// write replaces the copies in their place. A file that isn't as it should be, or
// isn't there at all, is made anew.
func (s *StableStore) write(record []byte) error {
	var block [stableBytesMax]byte
	copy(block[:], record)
	if !s.placed {
		return disk.WriteWhole(s.disk, stableName, append(block[:], block[:]...))
	}
	f, err := s.disk.Open(stableName, disk.ReadWrite)
	if err != nil {
		return err
	}
	for _, at := range []int64{0, stableBytesMax} {
		if err == nil {
			_, err = f.WriteAt(block[:], at)
		}
		if err == nil {
			err = f.SyncData()
		}
	}
	return errors.Join(err, f.Close())
}

// votedIn is the candidate that was voted for in a term, nil for none. Raft
// stores the term of a vote first and the candidate after it. A crash between
// the two must not leave the vote of an older term standing in the new one:
// Raft repeats a vote without looking at the candidate's log again.
func (v *stableValues) votedIn(term uint64) []byte {
	if v.voteTerm != term {
		return nil
	}
	return v.candidate
}

// Set stores the candidate voted for, the one value that isn't a number.
func (s *StableStore) Set(key, value []byte) error {
	if string(key) != keyCandidate {
		return fmt.Errorf("store %q: only %s is kept as bytes", key, keyCandidate)
	}
	if len(value) > stableBytesMax-stableBytes {
		return fmt.Errorf("store %q: %d bytes, at most %d are allowed", key, len(value), stableBytesMax-stableBytes)
	}
	return s.store(func(v *stableValues) { v.candidate = append([]byte(nil), value...) })
}

// Get returns the candidate voted for, nothing for any other key.
func (s *StableStore) Get(key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(key) != keyCandidate {
		return nil, nil
	}
	return append([]byte(nil), s.values.candidate...), nil
}

// SetUint64 stores a term.
func (s *StableStore) SetUint64(key []byte, value uint64) error {
	switch string(key) {
	case keyTerm:
		return s.store(func(v *stableValues) { v.term = value })
	case keyVoteTerm:
		return s.store(func(v *stableValues) { *v = stableValues{term: v.term, voteTerm: value, candidate: v.votedIn(value)} })
	}
	return fmt.Errorf("store %q: only %s and %s are kept as numbers", key, keyTerm, keyVoteTerm)
}

// GetUint64 returns a term, 0 for any other key.
func (s *StableStore) GetUint64(key []byte) (uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch string(key) {
	case keyTerm:
		return s.values.term, nil
	case keyVoteTerm:
		return s.values.voteTerm, nil
	}
	return 0, nil
}
