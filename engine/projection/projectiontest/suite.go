package projectiontest

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"pgregory.net/rapid"
)

// Run runs the suite on the projection that create returns new and empty.
func Run(t *testing.T, create func() projection.Projection) {
	for name, check := range map[string]func(*rapid.T, func() projection.Projection){
		"ARebuiltProjectionEqualsTheOneThatGrew":  rebuild,
		"CheckpointAndRestGiveTheSameAsAllAtOnce": restoreAndGoOn,
		"RestoreReplacesWhateverWasThere":         restoreOver,
		"ADamagedCheckpointChangesNothing":        restoreDamaged,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { check(t, create) })
		})
	}
	t.Run("ReadAndWriteErrorsComeBack", func(t *testing.T) {
		t.Parallel()
		passErrorsOn(t, create())
	})
	t.Run("TheCheckpointIsThatOfFormat1", func(t *testing.T) {
		t.Parallel()
		golden(t, create())
	})
}

// FuzzRestore feeds arbitrary bytes to Restore. What it accepts is canonical:
// the restored projection's checkpoint is the very same bytes.
func FuzzRestore(f *testing.F, create func() projection.Projection) {
	f.Add(checkpoint(f, create()))
	for seed := range 5 {
		p, steps := create(), Logs().Example(seed)
		Apply(p, steps[:min(len(steps), 40)]) // short seeds make a quick search
		b := checkpoint(f, p)
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkRestore(t, create(), b) })
}

// Apply applies the steps, each from a buffer that is overwritten afterwards.
func Apply(p projection.Projection, steps []Step) {
	var buffer []byte
	for _, s := range steps {
		buffer = append(buffer[:0], s.Event...)
		p.Apply(s.At, event.Event(buffer))
		for i := range buffer {
			buffer[i] = 0xdb
		}
	}
}

// failer is what the suite needs of *testing.T, *testing.F and *rapid.T.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func checkpoint(t failer, p projection.Projection) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.Checkpoint(&b); err != nil {
		t.Fatalf("checkpoint %s: %v", p.Name(), err)
	}
	return b.Bytes()
}

func restore(t failer, p projection.Projection, b []byte) {
	t.Helper()
	// One byte at a time, as a reader may return less than it is asked for.
	if err := p.Restore(oneByteReader{bytes.NewReader(b)}); err != nil {
		t.Fatalf("%v", err)
	}
}

type oneByteReader struct{ r io.Reader }

func (o oneByteReader) Read(b []byte) (int, error) { return o.r.Read(b[:min(1, len(b))]) }

func compare(t failer, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("%s:\n got %x\nwant %x", what, got, want)
	}
}

func rebuild(t *rapid.T, create func() projection.Projection) {
	steps := Logs().Draw(t, "log")
	grown := create()
	for _, s := range steps {
		Apply(grown, []Step{s})
		if s.At.Index%7 == 0 {
			first := checkpoint(t, grown)
			compare(t, "checkpointed twice", checkpoint(t, grown), first)
		}
	}
	rebuilt := create()
	Apply(rebuilt, steps)
	compare(t, "rebuilt", checkpoint(t, rebuilt), checkpoint(t, grown))
}

func restoreAndGoOn(t *rapid.T, create func() projection.Projection) {
	steps := Logs().Draw(t, "log")
	whole := create()
	Apply(whole, steps)
	before, restored := create(), create()
	cut := rapid.IntRange(0, len(steps)).Draw(t, "cut")
	Apply(before, steps[:cut])
	restore(t, restored, checkpoint(t, before))
	compare(t, "restored", checkpoint(t, restored), checkpoint(t, before))
	Apply(restored, steps[cut:])
	compare(t, "restored and gone on", checkpoint(t, restored), checkpoint(t, whole))
}

func restoreOver(t *rapid.T, create func() projection.Projection) {
	want, over := create(), create()
	Apply(want, Logs().Draw(t, "log"))
	Apply(over, Logs().Draw(t, "other log"))
	restore(t, over, checkpoint(t, want))
	compare(t, "restored over another state", checkpoint(t, over), checkpoint(t, want))
}

func restoreDamaged(t *rapid.T, create func() projection.Projection) {
	other, p := create(), create()
	Apply(other, Logs().Draw(t, "log"))
	Apply(p, Logs().Draw(t, "other log"))
	good := checkpoint(t, other)

	if err := checkRestore(t, p, good[:rapid.IntRange(0, len(good)-1).Draw(t, "length")]); err == nil {
		t.Fatalf("restored from a checkpoint that is cut off")
	}
	if err := checkRestore(t, p, append(slices.Clone(good), 0)); err == nil {
		t.Fatalf("restored from a checkpoint with a byte too many")
	}
	damaged := slices.Clone(good)
	bit := rapid.IntRange(0, 8*len(good)-1).Draw(t, "bit")
	damaged[bit/8] ^= 1 << (bit % 8)
	_ = checkRestore(t, p, damaged) // may be another state's checkpoint
}

// checkRestore restores p from any bytes and returns the error. The state is
// then that of the bytes, or what it was.
func checkRestore(t failer, p projection.Projection, b []byte) error {
	t.Helper()
	before := checkpoint(t, p)
	err := p.Restore(bytes.NewReader(b))
	if err == nil {
		compare(t, "checkpoint of what was restored", checkpoint(t, p), b)
		return nil
	}
	if !errors.Is(err, projection.ErrCorrupt) {
		t.Fatalf("%v is no ErrCorrupt", err)
	}
	compare(t, "state after a failed restore", checkpoint(t, p), before)
	return err
}

var errDevice = errors.New("the device is gone")

// brokenDevice fails every read and write.
type brokenDevice struct{}

func (brokenDevice) Read([]byte) (int, error)  { return 0, errDevice }
func (brokenDevice) Write([]byte) (int, error) { return 0, errDevice }

func passErrorsOn(t *testing.T, p projection.Projection) {
	if err := p.Checkpoint(brokenDevice{}); !errors.Is(err, errDevice) {
		t.Fatalf("checkpoint to a broken device: %v", err)
	}
	good := checkpoint(t, p)
	for _, n := range []int{0, len(good)} {
		err := p.Restore(io.MultiReader(bytes.NewReader(good[:n]), brokenDevice{}))
		if !errors.Is(err, errDevice) || errors.Is(err, projection.ErrCorrupt) {
			t.Fatalf("restore from a device that breaks after %d bytes: %v", n, err)
		}
	}
}
