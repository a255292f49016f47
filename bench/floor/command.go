package floor

import (
	"fmt"
	"net"

	"github.com/spf13/cobra"
)

// Command is `bench floor`.
func Command() *cobra.Command {
	var o Options
	var listen string
	cmd := &cobra.Command{
		Use: "floor", Short: "Answer sends as fast as the machine can: the opponent of a broker", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := net.Listen("tcp", listen)
			if err != nil {
				return fmt.Errorf("run floor: %w", err)
			}
			return Serve(cmd.Context(), l, o, func() {
				fmt.Fprintf(cmd.OutOrStdout(), "floor %s listens on %s\n", o.Mode, l.Addr())
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&listen, "listen", "127.0.0.1:10921", "address to listen on")
	f.StringVar((*string)(&o.Mode), "mode", string(Sync), "echo, write (group commit without sync) or sync")
	f.StringVar((*string)(&o.Answers), "answers", string(Each), "each (a write per answer) or gathered (one write per connection for all that are ready)")
	f.StringVar(&o.Dir, "dir", "", "directory for the file of modes write and sync")
	f.Int64Var(&o.FileBytes, "file-bytes", 256<<20, "size of that file; it is written around")
	return cmd
}
