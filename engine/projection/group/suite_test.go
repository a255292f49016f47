package group_test

import (
	"testing"

	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/group"
	"github.com/apogeemq/apogee/engine/projection/projectiontest"
)

func create() projection.Projection { return group.New() }

func TestTheProjectionPassesTheSuite(t *testing.T) {
	t.Parallel()
	projectiontest.Run(t, create)
}

func FuzzRestore(f *testing.F) { projectiontest.FuzzRestore(f, create) }
