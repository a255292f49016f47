package simdisk

import "math/rand/v2"

// fate draws what a power cut does to one file.
type fate struct {
	draws   *rand.Rand
	torn    bool
	garbage [][]byte
}

// profile is the character of one cut: how likely the sectors of a change are
// to land. Cuts that keep all, lose all, or stop in the middle of an ordered
// stream are as common as wild ones, since that is where programs go wrong.
type profile struct {
	kind profileKind
	stop int // for profileOrdered: the change that tears
}

type profileKind uint8

const (
	profileLost    profileKind = iota // nothing lands
	profileLanded                     // everything lands
	profileWhole                      // each change as a whole, or not at all
	profileMixed                      // each change whole, not at all, or torn
	profileHalf                       // half of the sectors
	profileMost                       // most sectors
	profileFew                        // few sectors
	profileOrdered                    // changes in order, up to one that tears
	profileKinds
)

func newProfile(draws *rand.Rand, changes int) profile {
	return profile{kind: profileKind(draws.IntN(int(profileKinds))), stop: draws.IntN(changes + 1)}
}

// of256 returns how many of 256 sectors of a change land on average.
func (p profile) of256(index int, draws *rand.Rand) int {
	const none, few, half, most, all = 0, 16, 128, 240, 256
	switch p.kind {
	case profileLost:
		return none
	case profileLanded:
		return all
	case profileWhole:
		return [...]int{none, all}[draws.IntN(2)]
	case profileMixed:
		return [...]int{none, half, all}[draws.IntN(3)]
	case profileHalf:
		return half
	case profileMost:
		return most
	case profileFew:
		return few
	case profileOrdered:
		switch {
		case index < p.stop:
			return all
		case index == p.stop:
			return half
		}
		return none
	}
	panic("BUG: unknown profile of a power cut")
}

// losePower turns the file into what a power cut leaves of it.
func (n *inode) losePower(f *fate) {
	n.losePendingSizes(f)
	n.losePendingData(f)
	n.changes = nil
	n.current = n.durable.share()
	n.size, n.reserved = n.durableSize, n.durableReserved
}

// losePendingSizes lands the first few changes of the size, and takes away the
// data that can't be seen without the others.
func (n *inode) losePendingSizes(f *fate) {
	var sizes []uint64
	for _, c := range n.changes {
		if c.resizes {
			sizes = append(sizes, c.sequence)
		}
	}
	landed := 0
	switch f.draws.IntN(4) {
	case 0:
	case 1:
		landed = len(sizes)
	default:
		landed = f.draws.IntN(len(sizes) + 1)
	}
	if landed > 0 {
		n.landSizes(sizes[landed-1])
	}
	limit := n.durableSize
	for i := range n.changes {
		// After a shrinking that got lost the old bytes past it are back, and
		// what was written there since went to space that nothing points to.
		// Only the sector at the cut stayed where it was.
		limit = min(limit, sectorEnd(n.changes[i].lowers(limit)))
		n.changes[i].clip(limit)
	}
}

// version is what a sector holds after the cut: the changes up to index, with
// the last of them only in the bytes of keep if torn.
type version struct {
	index int
	keep  span // within the sector
}

// losePendingData gives every changed sector one of its versions.
func (n *inode) losePendingData(f *fate) {
	if len(n.changes) == 0 {
		return
	}
	p := newProfile(f.draws, len(n.changes))
	versions := map[int64]version{}
	for i := range n.changes {
		c := &n.changes[i]
		lands := p.of256(i, f.draws)
		for sector := c.at / SectorBytes; sector*SectorBytes < c.end(); sector++ {
			if f.draws.IntN(256) < lands {
				versions[sector] = version{index: i, keep: f.keep()}
			}
		}
	}
	n.showGarbage(f, versions)
	n.applyVersions(versions)
}

// keep draws the bytes of a sector that the last version reaches.
func (f *fate) keep() span {
	whole := span{0, SectorBytes}
	if !f.torn || f.draws.IntN(4) > 0 {
		return whole
	}
	middle := 1 + f.draws.Int64N(SectorBytes-1)
	if f.draws.IntN(2) == 0 {
		return span{0, middle}
	}
	return span{middle, SectorBytes}
}

func (n *inode) applyVersions(versions map[int64]version) {
	for i := range n.changes {
		c := &n.changes[i]
		for sector := c.at / SectorBytes; sector*SectorBytes < c.end(); sector++ {
			v, changed := versions[sector]
			if !changed || i > v.index {
				continue
			}
			start := sector * SectorBytes
			from, to := max(c.at, start), min(c.end(), start+SectorBytes)
			if i == v.index {
				from, to = max(from, start+v.keep.from), min(to, start+v.keep.to)
			}
			if from < to {
				n.durable.writeAt(c.data[from-c.at:to-c.at], from)
			}
		}
	}
}

// showGarbage fills sectors whose data was lost with bytes of removed files,
// in pages that only the lost write itself had allocated.
func (n *inode) showGarbage(f *fate, versions map[int64]version) {
	if len(f.garbage) == 0 || f.draws.IntN(2) == 0 {
		return
	}
	var pages []int64
	for i := range n.changes {
		c := &n.changes[i]
		for number := c.at / pageBytes; number*pageBytes < c.end(); number++ {
			if number >= n.durableReserved && n.durable.lookup(number) == nil {
				pages = append(pages, number)
			}
		}
	}
	for _, number := range pages {
		for at := number * pageBytes; at < min(n.durableSize, (number+1)*pageBytes); at += SectorBytes {
			if _, landed := versions[at/SectorBytes]; !landed {
				garbage := f.garbage[f.draws.IntN(len(f.garbage))]
				n.durable.writeAt(garbage[:min(SectorBytes, n.durableSize-at)], at)
			}
		}
	}
}
