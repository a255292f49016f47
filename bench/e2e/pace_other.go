//go:build !linux

package e2e

import "time"

func pace() func() { return func() {} }

func sleep(d time.Duration) { time.Sleep(d) }
