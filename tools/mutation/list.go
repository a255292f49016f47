package mutation

import "slices"

// Mutation is one way to break a promise.
type Mutation struct {
	Name string // what the code does wrong
	File string // below the module's root
	Old  string // stands in the file exactly once
	New  string
	Test string // package and -run pattern of the tests that must fail
	Run  string
}

const (
	commitlogTests = "./engine/commitlog"
	powerCuts      = "PowerCuts|Truncate|Trim|Reset|FullDisk"
)

// List holds every mutation that the tests must catch.
var List = slices.Concat(commitlogList, logStoreList, groupList, transactionList, trackList, judgeList, repairList, slaveList)

var commitlogList = []Mutation{
	{
		Name: "no sync at all",
		File: "engine/commitlog/flusher.go",
		Old:  "	f.queue.SyncData(file, syncTag)\n",
		New:  "	_ = file\n	f.syncing = false\n	f.log.durable.Store(uint64(f.covers))\n	f.log.moved()\n	f.queue.Wake()\n",
		Test: commitlogTests, Run: powerCuts,
	},
	{
		Name: "acknowledge before the sync is back",
		File: "engine/commitlog/flusher.go",
		Old:  "	f.queue.SyncData(file, syncTag)\n",
		New:  "	f.queue.SyncData(file, syncTag)\n	f.log.durable.Store(uint64(f.covers))\n	f.log.moved()\n",
		Test: commitlogTests, Run: powerCuts,
	},
	{
		Name: "an append is accepted that found no room in a log that failed",
		File: "engine/commitlog/log.go",
		Old:  "			return last, fmt.Errorf(\"append: %w\", l.usableLocked())\n",
		New:  "",
		Test: commitlogTests, Run: "TestAnAppendThatWaitsForRoom",
	},
	{
		Name: "a sync counts for writes that had not completed",
		File: "engine/commitlog/flusher.go",
		Old:  "	f.syncing, f.covers = true, m.Written\n",
		New:  "	f.syncing, f.covers = true, m.Appended\n",
		Test: commitlogTests, Run: powerCuts,
	},
	{
		Name: "two writes in flight on one block",
		File: "engine/commitlog/tail.go",
		Old:  "	if t.next > 0 && c.start > 0 && t.chunks[t.next-1].state == chunkWriting {\n		return nil\n	}\n",
		New:  "",
		Test: commitlogTests, Run: powerCuts,
	},
	{
		Name: "the block before a chunk is not repeated",
		File: "engine/commitlog/tail.go",
		Old:  "			copy(c.buf[:start], last.buf[len(last.buf)-start:])\n",
		New:  "			clear(c.buf[:start])\n",
		Test: commitlogTests, Run: powerCuts,
	},
	{
		Name: "memory of a chunk on its way to the disk is handed out again",
		File: "engine/commitlog/tail.go",
		Old:  "!t.wrappedLocked() && t.freeFromLocked(0, need) >= need",
		New:  "t.freeFromLocked(0, need) >= need",
		Test: commitlogTests, Run: powerCuts,
	},
	{
		Name: "frames need not continue the chain",
		File: "engine/commitlog/frame.go",
		Old:  "h.Chain != c.crc",
		New:  "false",
		Test: commitlogTests, Run: "Chain",
	},
	{
		Name: "checksums don't depend on the log's id",
		File: "engine/event/types.go",
		Old:  "return Seed(checksum(0, id[:]))",
		New:  "return 0",
		Test: commitlogTests, Run: "Format|AnotherLog|Header",
	},
	{
		Name: "Truncate doesn't sync",
		File: "engine/commitlog/truncate.go",
		Old:  "	return file.Sync()\n",
		New:  "	return nil\n",
		Test: commitlogTests, Run: powerCuts,
	},
	{
		Name: "Truncate leaves no record while it is under way",
		File: "engine/commitlog/truncate.go",
		Old:  "	if err := writeCut(l.disk, l.seed, last.Index); err != nil {\n		return false, err\n	}\n",
		New:  "	if err := writeCut(l.disk, l.seed, last.Index); err != nil {\n		return false, err\n	}\n	if err := l.disk.Remove(cutName); err != nil {\n		return false, err\n	}\n	if err := writeCut(l.disk, 0, last.Index); err != nil {\n		return false, err\n	}\n",
		Test: commitlogTests, Run: powerCuts,
	},
	{
		Name: "the old Durable mark stays after Truncate",
		File: "engine/commitlog/truncate.go",
		Old:  "	if err := l.disk.Remove(markName); err != nil && !errors.Is(err, disk.ErrNotFound) {\n		return err\n	}\n",
		New:  "	_ = errors.Is\n	_ = disk.ErrNotFound\n",
		Test: commitlogTests, Run: powerCuts + "|Mark",
	},
	{
		Name: "the directory isn't synced when a segment gets its name",
		File: "engine/commitlog/keeper.go",
		Old:  "	if err := k.log.disk.SyncDir(\".\"); err != nil {\n		return err\n	}\n	to := sp.fill.progress()\n",
		New:  "	to := sp.fill.progress()\n",
		Test: commitlogTests, Run: powerCuts,
	},
	{
		Name: "a segment begins before the one before is durable",
		File: "engine/commitlog/flusher.go",
		Old:  "	if f.writes > 0 || f.syncing || m.Durable < m.Written {\n",
		New:  "	if f.writes > 0 || f.syncing {\n",
		Test: commitlogTests, Run: powerCuts,
	},
	{
		Name: "a torn tail isn't written over",
		File: "engine/commitlog/hole.go",
		Old:  "	if err := l.zero(w.segment.file, w.at, to); err != nil {\n",
		New:  "	if err := w.segment.file.Sync(); err != nil {\n",
		Test: commitlogTests, Run: powerCuts + "|Torn|Hole",
	},
	{
		Name: "recovery doesn't sync what it accepted",
		File: "engine/commitlog/open.go",
		Old:  "	if err := s.file.SyncData(); err != nil {\n",
		New:  "	if err := error(nil); err != nil {\n",
		Test: commitlogTests, Run: powerCuts + "|RecoveryAccepts",
	},
	{
		Name: "durable frames that are gone count as a torn tail",
		File: "engine/commitlog/recovery.go",
		Old:  "	case f.evidence > last:\n		return verdictCorrupt\n",
		New:  "",
		Test: commitlogTests, Run: "Recovery|Durable|Refuses",
	},
	{
		Name: "zero-fill goes over the log",
		File: "engine/commitlog/filler.go",
		Old:  "	for f.claimEnd > 0 && end > f.claim {\n		f.ended.Wait()\n	}\n	if end > f.to {\n",
		New:  "	if end < 0 {\n",
		Test: commitlogTests, Run: powerCuts + "|Appended",
	},
	{
		Name: "a segment is trimmed before the next one is on the disk",
		File: "engine/commitlog/trim.go",
		Old:  "	if _, err := all[1].openFile(); err != nil {\n		return nil\n	}\n",
		New:  "",
		Test: commitlogTests, Run: "TrimWaits",
	},
	{
		Name: "a trimmed segment is reused under its readers",
		File: "engine/commitlog/segment.go",
		Old:  "	s.reading.Lock()\n	defer s.reading.Unlock()\n	s.mu.Lock()\n	defer s.mu.Unlock()\n	file := s.file\n",
		New:  "	s.mu.Lock()\n	defer s.mu.Unlock()\n	file := s.file\n",
		Test: commitlogTests, Run: "Trim|Leave",
	},
	{
		Name: "readers note frames that were truncated meanwhile",
		File: "engine/commitlog/segment.go",
		Old:  "	if s.cuts.Load() == cuts {\n",
		New:  "	if true {\n",
		Test: commitlogTests, Run: "Truncated",
	},
	{
		Name: "what waits may reach over two ends of segments, with a file for one",
		File: "engine/commitlog/options.go",
		Old:  "	case int64(o.TailBytes)+int64(frameBytes(o.dataBytesMax()))+block > o.SegmentBytes:\n",
		New:  "	case block < 0:\n",
		Test: commitlogTests, Run: "SizesThatDont",
	},
	{
		Name: "a failed or short write is ignored",
		File: "engine/commitlog/flusher.go",
		Old:  "		if e.Err != nil {\n",
		New:  "		if e.Err != nil && e.Tag == syncTag {\n",
		Test: commitlogTests, Run: "ShortWrite|FailedWrite",
	},
	{
		Name: "a failed sync is ignored",
		File: "engine/commitlog/flusher.go",
		Old:  "		if e.Err != nil {\n",
		New:  "		if e.Err != nil && e.Tag != syncTag {\n",
		Test: commitlogTests, Run: "FailedSync",
	},
	{
		Name: "the ring takes a short write for a whole one",
		File: "iouring/complete.go",
		Old:  "	reached := s.doneBytes + int(max(result, 0))\n	if reached == len(s.buffer) {\n",
		New:  "	reached := s.doneBytes + int(max(result, 0))\n	if result >= 0 {\n		s.doneBytes = len(s.buffer) - int(result)\n		return false\n	}\n	if reached == len(s.buffer) {\n",
		Test: "./iouring", Run: "Whole|Short",
	},
	{
		Name: "a segment is used again before its trim is durable",
		File: "engine/commitlog/keeper.go",
		Old:  "	if err := k.log.disk.SyncDir(\".\"); err != nil {\n		return false, err\n	}\n	k.spare = &spare{",
		New:  "	k.spare = &spare{",
		Test: commitlogTests, Run: powerCuts + "|ADeathAtAnyStep",
	},
	{
		Name: "the directory isn't synced after a Truncate",
		File: "engine/commitlog/truncate.go",
		Old:  "	if err := l.disk.Remove(cutName); err != nil {\n		return err\n	}\n	return l.disk.SyncDir(\".\")\n",
		New:  "	return l.disk.Remove(cutName)\n",
		Test: commitlogTests, Run: powerCuts + "|ADeathAtAnyStep",
	},
	{
		Name: "Truncate overwrites less than there was",
		File: "engine/commitlog/truncate.go",
		Old:  "	to = (to + block - 1) / block * block\n",
		New:  "	to = (at + block) / block * block\n",
		Test: commitlogTests, Run: powerCuts + "|ADeathAtAnyStep",
	},
	{
		Name: "a log without a meta file is taken for a creation that was cut short",
		File: "engine/commitlog/leftover.go",
		Old:  "	return s.zerosFrom(zerosFrom)\n",
		New:  "	return true\n",
		Test: commitlogTests, Run: "Creation|MetaFile",
	},
	{
		Name: "trimmed frames are served from memory",
		File: "engine/commitlog/reader.go",
		Old:  "c.next < first {",
		New:  "c.next < first && first == 0 {",
		Test: commitlogTests, Run: "TrimmedFrames",
	},
	{
		Name: "frames skip to a block of their own without limit",
		File: "engine/commitlog/log.go",
		Old:  " || skip > l.mayskip {",
		New:  " || skip < 0 {",
		Test: commitlogTests, Run: "StoredBytes",
	},
	{
		Name: "a base checkpoint isn't synced",
		File: "engine/disk/whole.go",
		Old:  "		err = f.Sync()\n",
		New:  "		err = nil\n",
		Test: commitlogTests, Run: powerCuts + "|ADeathAtAnyStep",
	},
}
