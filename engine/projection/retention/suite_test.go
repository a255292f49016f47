package retention_test

import (
	"testing"

	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/projectiontest"
	"github.com/apogeemq/apogee/engine/projection/retention"
)

func create() projection.Projection { return retention.New() }

func TestTheProjectionPassesTheSuite(t *testing.T) {
	t.Parallel()
	projectiontest.Run(t, create)
}

func FuzzRestore(f *testing.F) { projectiontest.FuzzRestore(f, create) }
