package bench

import (
	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/bench/baseline"
	"github.com/apogeemq/apogee/bench/due"
	"github.com/apogeemq/apogee/bench/e2e"
	"github.com/apogeemq/apogee/bench/floor"
	"github.com/apogeemq/apogee/bench/load"
	"github.com/apogeemq/apogee/bench/log"
	"github.com/apogeemq/apogee/bench/outbox"
)

// Command is `apogee bench`: load generators, the floor server and the
// comparison with RocketMQ. Its commands end when the command's context is
// canceled, and release what they hold.
func Command() *cobra.Command {
	cmd := &cobra.Command{Use: "bench", Short: "Measure a broker, a disk path and Apache RocketMQ"}
	cmd.AddCommand(load.SendCommand(), load.PullCommand(), e2e.Command(), floor.Command(), due.Command(), baseline.Command(), log.Command(), outbox.Command())
	return cmd
}
