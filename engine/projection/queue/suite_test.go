package queue_test

import (
	"testing"

	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/projectiontest"
	"github.com/apogeemq/apogee/engine/projection/queue"
)

func create() projection.Projection { return queue.New(queue.DefaultRunBytes) }

func TestTheProjectionPassesTheSuite(t *testing.T) {
	t.Parallel()
	projectiontest.Run(t, create)
}

func FuzzRestore(f *testing.F) { projectiontest.FuzzRestore(f, create) }
