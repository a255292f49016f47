package lock_test

import (
	"testing"

	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/lock"
	"github.com/apogeemq/apogee/engine/projection/projectiontest"
)

func create() projection.Projection { return lock.New() }

func TestTheProjectionPassesTheSuite(t *testing.T) {
	t.Parallel()
	projectiontest.Run(t, create)
}

func FuzzRestore(f *testing.F) { projectiontest.FuzzRestore(f, create) }
