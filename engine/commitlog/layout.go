package commitlog

// laying is the question where frames stood that are known and whose place is
// damaged. Each began behind the one before or, if it is large, maybe at the next
// block boundary.
type laying struct {
	frames   [][]byte // whole frames
	from, to int64    // file offsets
	exact    bool     // a frame stands at to, which may be a large one
	block    int64
	old      []byte // what is there now, from file offset from on
}

// reached is a way to lay frames that ends at some file offset.
type reached struct {
	starts []int64
	alike  int // bytes that are there already
}

// find returns where each frame begins: of all ways that fit, the one that
// agrees with most of what is there. certain: the headers that are left say so.
func (y *laying) find() (starts []int64, certain bool) {
	ways := map[int64]reached{y.from: {}}
	for _, f := range y.frames {
		next := make(map[int64]reached, len(ways))
		for at, way := range ways {
			for _, start := range y.starts(at, len(f)) {
				end := start + int64(len(f))
				if end > y.to {
					continue
				}
				longer := reached{append(way.starts[:len(way.starts):len(way.starts)], start), way.alike + y.alike(f, start)}
				if best, known := next[end]; !known || longer.alike > best.alike {
					next[end] = longer
				}
			}
		}
		ways = next
	}
	best, fits := reached{}, 0
	for end, way := range ways {
		if y.exact && end != y.to && y.aligned(end) != y.to {
			continue
		}
		if fits++; fits == 1 || way.alike > best.alike {
			best = way
		}
	}
	return best.starts, fits > 0 && y.headersAgree(best.starts)
}

func (y *laying) aligned(at int64) int64 { return (at + y.block - 1) / y.block * y.block }

func (y *laying) starts(at int64, bytes int) []int64 {
	if aligned := y.aligned(at); aligned != at && bytes >= alignedStartBytes {
		return []int64{at, aligned}
	}
	return []int64{at}
}

func (y *laying) alike(frame []byte, start int64) (n int) {
	there := y.old[start-y.from:]
	for i := range min(len(frame), len(there)) {
		if frame[i] == there[i] {
			n++
		}
	}
	return n
}

// headersAgree reports whether each frame has its header where it is laid.
func (y *laying) headersAgree(starts []int64) bool {
	for i, f := range y.frames {
		if y.alike(f[:sharedHeaderBytes], starts[i]) != sharedHeaderBytes {
			return false
		}
	}
	return true
}
