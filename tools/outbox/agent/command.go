package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

const (
	adminUsual  = "127.0.0.1:9877"
	commandTime = time.Minute
	answerMax   = 256 << 20
)

// remote asks a running agent.
type remote struct {
	address string
	json    bool
}

// Commands are what people ask a running agent.
func Commands() []*cobra.Command {
	r := &remote{}
	all := []*cobra.Command{r.stats(), r.list(), r.show(), r.resolve("retry", "Send messages of the quarantine again, at the end of their streams"),
		r.resolve("drop", "Give up messages of the quarantine")}
	for _, c := range all {
		c.Flags().StringVar(&r.address, "admin", adminUsual, "`host:port` of the agent's adminListenPort")
		c.Flags().BoolVar(&r.json, "json", false, "print JSON")
	}
	return all
}

func (r *remote) stats() *cobra.Command {
	return &cobra.Command{Use: "stats", Short: "Show how much waits, and what has become of sends", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var s Stats
			return r.ask(cmd, http.MethodGet, "/outbox/stats", nil, &s, func(w io.Writer) { printStats(w, s) })
		}}
}

func printStats(w io.Writer, s Stats) {
	rows := [][2]string{
		{"messages that wait", fmt.Sprint(s.Entries)}, {"bytes that wait", fmt.Sprint(s.Bytes)}, {"streams", fmt.Sprint(s.Streams)},
		{"oldest", fmt.Sprintf("%.1f s", s.OldestSeconds)}, {"quarantined", fmt.Sprint(s.Quarantined)},
		{"log", fmt.Sprintf("%d of %d bytes", s.LogBytes, s.LogBytesMax)}, {"refused, full", fmt.Sprint(s.Refused)},
		{"damaged places", fmt.Sprint(s.Damaged)}, {"damaged folders", fmt.Sprint(s.Folders)}, {"forwarded", fmt.Sprint(s.Forwarded)},
		{"spooled", fmt.Sprint(s.Spooled)}, {"delivered", fmt.Sprint(s.Delivered)}, {"in doubt", fmt.Sprint(s.InDoubt)},
		{"brokers in reach", fmt.Sprint(s.Brokers)},
	}
	for _, row := range rows {
		fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
}

func (r *remote) list() *cobra.Command {
	quarantine, most := false, listUsual
	cmd := &cobra.Command{Use: "list", Short: "List messages that wait, or those of the quarantine", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := "/outbox/waiting"
			if quarantine {
				path = "/outbox/quarantine"
			}
			var rows []Listed
			return r.ask(cmd, http.MethodGet, path, url.Values{"max": {strconv.Itoa(most)}}, &rows, func(w io.Writer) { printList(w, rows) })
		}}
	cmd.Flags().BoolVarP(&quarantine, "quarantine", "q", false, "list the quarantine")
	cmd.Flags().IntVar(&most, "max", most, fmt.Sprintf("how many at most, 1 to %d", listMax))
	return cmd
}

func printList(w io.Writer, rows []Listed) {
	fmt.Fprintln(w, "NUMBER\tTOPIC\tBROKER\tQUEUE\tID\tBORN\tSINCE\tREASON")
	for _, m := range rows {
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", m.Number, m.Topic, m.Broker, m.Queue, m.ID, clock(m.Born), clock(m.Since), m.Reason)
	}
}

func clock(millis int64) string {
	if millis == 0 {
		return "-"
	}
	return time.UnixMilli(millis).Format("2006-01-02T15:04:05.000")
}

func (r *remote) show() *cobra.Command {
	return &cobra.Command{Use: "show TOPIC ID", Short: "Show a message that waits, by its unique id or a key", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var rows []Listed
			return r.ask(cmd, http.MethodGet, "/outbox/message", url.Values{"topic": {args[0]}, "id": {args[1]}}, &rows, func(w io.Writer) {
				for _, m := range rows {
					fmt.Fprintf(w, "id\t%s\ntopic\t%s\nbroker\t%s\nqueue\t%d\nsharding key\t%s\nborn\t%s\nspooled\t%s\npossible duplicate\t%v\nproperties\t%s\nbody\t%q\n",
						m.ID, m.Topic, m.Broker, m.Queue, m.Key, clock(m.Born), clock(m.Since), m.Duplicate,
						strings.NewReplacer("\x01", "=", "\x02", " ").Replace(m.Properties), m.Body)
				}
			})
		}}
}

// resolve makes retry and drop.
func (r *remote) resolve(verb, short string) *cobra.Command {
	all := false
	cmd := &cobra.Command{Use: verb + " NUMBER | --all", Short: short, Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) == 1) {
				return errors.New("give one number of `apogee outbox list --quarantine`, or --all")
			}
			form := url.Values{"all": {strconv.FormatBool(all)}}
			if len(args) == 1 {
				form.Set("number", args[0])
			}
			var done resolved
			return r.ask(cmd, http.MethodPost, "/outbox/"+verb, form, &done, func(w io.Writer) { fmt.Fprintf(w, "%s: %d\n", verb, done.Done) })
		}}
	cmd.Flags().BoolVar(&all, "all", false, "all of the quarantine")
	return cmd
}

// ask calls the agent and prints what it answers.
func (r *remote) ask(cmd *cobra.Command, method, path string, form url.Values, answer any, print func(io.Writer)) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), commandTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+r.address+path+"?"+form.Encode(), nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask the agent: %w; --admin names its admin port", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, answerMax))
	if err != nil {
		return fmt.Errorf("ask the agent at %s: %w", r.address, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the agent at %s answers: %s", r.address, strings.TrimSpace(string(body)))
	}
	if r.json {
		_, err := cmd.OutOrStdout().Write(body)
		return err
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("read the answer of the agent at %s: %w", r.address, err)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	print(w)
	return w.Flush()
}
