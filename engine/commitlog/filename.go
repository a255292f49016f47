package commitlog

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/apogeemq/apogee/engine/event"
)

// Names in the log's folder. They are built and parsed here only.
const (
	metaName     = "meta"
	markName     = "mark"
	lockName     = "lock"
	cutName      = "cut"
	resetName    = "reset"
	runningName  = "running"
	lostName     = "lost"
	spareName    = "spare.tmp"
	tornDir      = "torn"
	damagedDir   = "damaged"
	segmentEnd   = ".seg"
	segmentDigit = 20
)

// segmentName is the base position in 20 digits, as RocketMQ names its files.
func segmentName(base event.Position) string {
	return fmt.Sprintf("%0*d%s", segmentDigit, uint64(base), segmentEnd)
}

// parseSegmentName refuses everything that segmentName doesn't build.
func parseSegmentName(name string) (event.Position, bool) {
	digits, ok := strings.CutSuffix(name, segmentEnd)
	if !ok || len(digits) != segmentDigit {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || segmentName(event.Position(n)) != name {
		return 0, false
	}
	return event.Position(n), true
}

// damagedName names the bytes put aside when damaged frames were replaced.
func damagedName(base event.Position, offset int64) string {
	return fmt.Sprintf("%s/%0*d-%d.bin", damagedDir, segmentDigit, uint64(base), offset)
}

// tornName names the bytes put aside when a torn tail was cut.
func tornName(base event.Position, offset int64) string {
	return fmt.Sprintf("%s/%0*d-%d.bin", tornDir, segmentDigit, uint64(base), offset)
}
