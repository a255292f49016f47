// Package plot draws latency against throughput as an SVG: panels side by side,
// in each a line per contender with a dot per measurement, on logarithmic
// scales over whole decades. It needs no library and no script.
package plot
