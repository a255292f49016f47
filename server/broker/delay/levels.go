package delay

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// DefaultLevels are RocketMQ's.
const DefaultLevels = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h"

// LevelsMax bounds how many levels a configuration may have.
const LevelsMax = 64

// LevelsAllowed says what ParseLevels takes.
var LevelsAllowed = fmt.Sprintf("1 to %d durations such as 10s, with blanks between", LevelsMax)

// Levels are the durations of the delay levels 1, 2 and so on.
type Levels []time.Duration

var unitsOfLevels = map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour}

// longestLevel keeps sums of times far from overflowing.
const longestLevel = 10 * 365 * 24 * time.Hour

// ParseLevels reads messageDelayLevel: numbers with the unit s, m, h or d,
// separated by blanks. An error is the caller's fault.
func ParseLevels(text string) (Levels, error) {
	words := strings.Fields(text)
	if len(words) == 0 || len(words) > LevelsMax {
		return nil, fmt.Errorf("read delay levels: %d of them, 1 to %d are allowed", len(words), LevelsMax)
	}
	levels := make(Levels, len(words))
	for i, word := range words {
		unit, known := unitsOfLevels[word[len(word)-1]]
		n, err := strconv.ParseInt(word[:len(word)-1], 10, 64)
		if !known || err != nil || n < 0 || n > int64(longestLevel/unit) {
			return nil, fmt.Errorf("read delay levels: level %d is %.20q: write a number and s, m, h or d", i+1, word)
		}
		levels[i] = time.Duration(n) * unit
	}
	return levels, nil
}

// MustParseLevels is ParseLevels for constants.
func MustParseLevels(text string) Levels {
	levels, err := ParseLevels(text)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return levels
}

// Of returns the level that counts, as levels over the last one are that one,
// and its duration. The level is 1 or more.
func (l Levels) Of(level int) (int, time.Duration) {
	level = min(level, len(l))
	return level, l[level-1]
}

// ErrNotAllowed marks times that a message can't wait for.
var ErrNotAllowed = errors.New("this delay is not allowed")
