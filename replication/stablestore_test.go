package replication

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/checkpoint"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

var update = flag.Bool("update", false, "write the golden files anew")

func openStable(t testing.TB, d disk.Disk, lastTerm event.Term) *StableStore {
	t.Helper()
	s, err := OpenStableStore(d, testLog, lastTerm)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// vote is what Raft does when it votes.
func vote(s *StableStore, term uint64, candidate string) error {
	if err := s.SetUint64([]byte("LastVoteTerm"), term); err != nil {
		return err
	}
	return s.Set([]byte("LastVoteCand"), []byte(candidate))
}

// state reads what Raft reads.
func state(t testing.TB, s *StableStore) (term, voteTerm uint64, candidate string) {
	t.Helper()
	term, err1 := s.GetUint64([]byte("CurrentTerm"))
	voteTerm, err2 := s.GetUint64([]byte("LastVoteTerm"))
	b, err3 := s.Get([]byte("LastVoteCand"))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if len(b) == 0 && b != nil {
		t.Error("no candidate is empty, not nil: Raft takes it for a vote")
	}
	return term, voteTerm, string(b)
}

func TestTheStableStoreOfANewGroupMemberIsEmpty(t *testing.T) {
	t.Parallel()
	s := openStable(t, simdisk.New(1, simdisk.Options{}), 0)
	if term, voteTerm, candidate := state(t, s); term != 0 || voteTerm != 0 || candidate != "" {
		t.Errorf("term %d, vote in %d for %q", term, voteTerm, candidate)
	}
	if b, err := s.Get([]byte("other")); len(b) != 0 || err != nil {
		t.Errorf("an unknown key: %q, %v; Raft expects nothing", b, err)
	}
	if n, err := s.GetUint64([]byte("other")); n != 0 || err != nil {
		t.Errorf("an unknown key: %d, %v; Raft expects 0", n, err)
	}
	if err := s.Set([]byte("other"), nil); err == nil {
		t.Error("a value was stored for an unknown key")
	}
	if err := s.Set([]byte("LastVoteCand"), make([]byte, 4096)); err == nil {
		t.Error("a candidate was stored that could not be read back")
	}
	if err := s.SetUint64([]byte("LastVoteCand"), 1); err == nil {
		t.Error("a number was stored for an unknown key")
	}
}

func TestTheTermOfASingleNodesLogIsThatOfItsLastFrame(t *testing.T) {
	t.Parallel()
	s := openStable(t, simdisk.New(1, simdisk.Options{}), 7)
	if term, _, candidate := state(t, s); term != 7 || candidate != "" {
		t.Errorf("term %d, candidate %q", term, candidate)
	}
}

func TestRaftFindsItsKeysInTheStableStore(t *testing.T) {
	t.Parallel()
	s := openStable(t, simdisk.New(1, simdisk.Options{}), 0)
	logs, snapshots := raft.NewInmemStore(), raft.NewInmemSnapshotStore()
	address, transport := raft.NewInmemTransport("")
	defer transport.Close()
	if found, err := raft.HasExistingState(logs, s, snapshots); found || err != nil {
		t.Fatalf("an empty store has state: %v, %v", found, err)
	}
	c := raft.DefaultConfig()
	c.LocalID = "a"
	voters := raft.Configuration{Servers: []raft.Server{{ID: "a", Address: address}}}
	if err := raft.BootstrapCluster(c, logs, s, snapshots, transport, voters); err != nil {
		t.Fatal(err)
	}
	if term, _, _ := state(t, s); term != 1 {
		t.Errorf("Raft stored term 1, %d was read", term)
	}
}

func TestAVoteOfAnOlderTermDoesNotStandInANewOne(t *testing.T) {
	t.Parallel()
	s := openStable(t, simdisk.New(1, simdisk.Options{}), 0)
	if err := vote(s, 4, "a"); err != nil {
		t.Fatal(err)
	}
	if err := s.SetUint64([]byte("LastVoteTerm"), 4); err != nil {
		t.Fatal(err)
	}
	if _, _, candidate := state(t, s); candidate != "a" {
		t.Errorf("the vote in the same term was forgotten: %q", candidate)
	}
	if err := s.SetUint64([]byte("LastVoteTerm"), 5); err != nil {
		t.Fatal(err)
	}
	if _, voteTerm, candidate := state(t, s); voteTerm != 5 || candidate != "" {
		t.Errorf("a crash here leaves a vote for %q in term %d, that nobody gave", candidate, voteTerm)
	}
}

// TestTermAndVoteSurvivePowerCutsAtEveryStep cuts the power in each step of
// some elections, and again while the file is opened afterwards: what a Set has
// returned for is there, and no vote appears that was not given in that term.
func TestTermAndVoteSurvivePowerCutsAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, seed := range seedList() {
		for cut := uint64(1); electAndCut(t, seed, cut); cut++ {
		}
	}
}

// electAndCut reports whether the power went during the elections.
func electAndCut(t *testing.T, seed, cut uint64) bool {
	t.Helper()
	d := simdisk.New(seed, simdisk.Options{TornSectors: true})
	s := openStable(t, d, 0)
	d.CrashAfter(cut)
	votes := map[uint64]string{0: ""}
	var term, voteTerm uint64
	for next := uint64(1); next <= 4; next++ {
		if s.SetUint64([]byte("CurrentTerm"), next) != nil {
			break
		}
		term = next
		candidate := fmt.Sprint("node ", next%3)
		votes[next] = candidate
		if vote(s, next, candidate) != nil {
			break
		}
		voteTerm = next
	}
	crashed := d.Crashed()
	left := d.Crash()
	left.CrashAfter(1 + seed%6)
	if _, err := OpenStableStore(left, testLog, 0); err != nil && !left.Crashed() {
		t.Fatal(err)
	}
	s = openStable(t, left.Crash(), 0)
	gotTerm, gotVoteTerm, candidate := state(t, s)
	given := votes[gotVoteTerm]
	if gotTerm < term || gotTerm > term+1 || gotVoteTerm < voteTerm || candidate != given && (candidate != "" || gotVoteTerm == voteTerm) {
		t.Fatalf("term %d was stored, a vote in term %d; after the cut in step %d: term %d, vote in %d for %q\nreplay: %s",
			term, voteTerm, cut, gotTerm, gotVoteTerm, candidate, replay("TestTermAndVoteSurvivePowerCutsAtEveryStep")(seed))
	}
	return crashed
}

func TestADamagedStableFileIsRefused(t *testing.T) {
	t.Parallel()
	v := stableValues{term: 9, voteTerm: 8, candidate: []byte("node")}
	whole := v.encode(testLog.Seed())
	damaged := map[string][]byte{
		"shortened": whole[:len(whole)-1], "lengthened": append(bytes.Clone(whole), 0), "empty": {}, "foreign": v.encode(7),
	}
	for bit := range len(whole) * 8 {
		b := bytes.Clone(whole)
		b[bit/8] ^= 1 << (bit % 8)
		damaged[fmt.Sprint("bit ", bit)] = b
	}
	for name, b := range damaged {
		for form, b := range map[string][]byte{"of version 1": b, "both copies": append(padded(b), padded(b)...)} {
			if name == "lengthened" && form == "both copies" {
				continue // by a zero of many
			}
			if _, err := OpenStableStore(diskWith(t, b), testLog, 0); !errors.Is(err, checkpoint.ErrCorrupt) {
				t.Errorf("%s, %s: %v", form, name, err)
			}
		}
		for form, b := range map[string][]byte{"the first copy": append(padded(b), padded(whole)...), "the second copy": append(padded(whole), padded(b)...)} {
			d := diskWith(t, b)
			if term, voteTerm, candidate := state(t, openStable(t, d, 0)); term != 9 || voteTerm != 8 || candidate != "node" {
				t.Errorf("%s, %s: term %d, vote in %d for %q", form, name, term, voteTerm, candidate)
			}
			if mended, err := disk.ReadWhole(d, stableName, 1<<20); err != nil || !bytes.Equal(mended, append(padded(whole), padded(whole)...)) {
				t.Errorf("%s, %s: it isn't mended, %v", form, name, err)
			}
		}
	}
}

// padded is a copy as it stands in the file.
func padded(b []byte) []byte { return append(bytes.Clone(b), make([]byte, stableBytesMax-len(b))...) }

func diskWith(t *testing.T, stable []byte) disk.Disk {
	t.Helper()
	d := simdisk.New(1, simdisk.Options{})
	if err := disk.WriteWhole(d, stableName, stable); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestTermAndVoteAreStoredOnADiskThatIsFull(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{})
	s := openStable(t, d, 3)
	d.SetCapacity(0)
	if f, err := d.Open("other", disk.Create); err == nil {
		if _, err = f.WriteAt([]byte{1}, 0); !errors.Is(err, disk.ErrNoSpace) {
			t.Fatalf("the disk isn't full: %v", err)
		}
	}
	for term := uint64(4); term < 8; term++ {
		if err := errors.Join(s.SetUint64([]byte(keyTerm), term), vote(s, term, "someone")); err != nil {
			t.Fatal(err)
		}
	}
	if term, voteTerm, candidate := state(t, openStable(t, d.Crash(), 3)); term != 7 || voteTerm != 7 || candidate != "someone" {
		t.Errorf("term %d, vote in %d for %q", term, voteTerm, candidate)
	}
}

func TestAStableFileOfANewerVersionIsRefusedAsSuch(t *testing.T) {
	t.Parallel()
	b := stableValues{term: 9}.encode(testLog.Seed())
	binary.LittleEndian.PutUint32(b[8:], 3)
	binary.LittleEndian.PutUint32(b[4:], event.Checksum(testLog.Seed(), b[8:]))
	if _, err := decodeStable(b, testLog.Seed()); !errors.Is(err, checkpoint.ErrVersion) {
		t.Error(err)
	}
}

func TestAStableFileThatIsBehindTheLogIsRefused(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{})
	if err := openStable(t, d, 0).SetUint64([]byte("CurrentTerm"), 5); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenStableStore(d, testLog, 6); !errors.Is(err, checkpoint.ErrCorrupt) {
		t.Errorf("the log has frames of term 6: %v", err)
	}
	openStable(t, d, 5)
}

func TestAStableFileOfVersion1IsReadAndReplaced(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join("testdata", "stable-v1"))
	if err != nil {
		t.Fatal(err)
	}
	d := diskWith(t, b)
	if term, voteTerm, candidate := state(t, openStable(t, d, 0)); term != 3 || voteTerm != 4 || candidate != "0123456789abcdef" {
		t.Errorf("term %d, vote in %d for %q", term, voteTerm, candidate)
	}
	if b, err := disk.ReadWhole(d, stableName, 1<<20); err != nil || len(b) != 2*stableBytesMax {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func TestTheStableFileIsThatOfVersion2(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{})
	s := openStable(t, d, 3)
	if err := vote(s, 4, "0123456789abcdef"); err != nil {
		t.Fatal(err)
	}
	got, err := disk.ReadWhole(d, stableName, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join("testdata", "stable-v2")
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the file is\n%x\nversion 2 is\n%x", got, want)
	}
	v, whole, err := decodeCopies(want, testLog.Seed())
	if err != nil || !whole || v.term != 3 || v.voteTerm != 4 || string(v.candidate) != "0123456789abcdef" {
		t.Errorf("%+v, %v", v, err)
	}
}

func FuzzDecodeStable(f *testing.F) {
	v := stableValues{term: 9, voteTerm: 8, candidate: []byte("node")}
	f.Add(v.encode(testLog.Seed()))
	f.Add([]byte{})
	f.Add(make([]byte, stableBytes))
	f.Add(append(padded(v.encode(testLog.Seed())), padded(nil)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, _, err := decodeCopies(b, testLog.Seed())
		if err != nil {
			return
		}
		again, whole, err := decodeCopies(append(padded(v.encode(testLog.Seed())), padded(nil)...), testLog.Seed())
		if err != nil || whole || again.term != v.term || again.voteTerm != v.voteTerm || !bytes.Equal(again.candidate, v.candidate) {
			t.Errorf("%x is read as %+v, which is written and read as %+v, %v", b, v, again, err)
		}
	})
}
