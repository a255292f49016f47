package iouring

import (
	"errors"
	"runtime"
	"strings"
	"testing"
)

func TestAReportSaysWhatIsInUseAndWhatIsNot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		report Report
		want   string
	}{
		{Report{Kernel: "6.18", Flags: SingleIssuer | DeferTaskRun | SubmitAll},
			"io_uring of Linux 6.18 with SINGLE_ISSUER, DEFER_TASKRUN, SUBMIT_ALL"},
		{Report{Kernel: "5.19", Flags: CooperativeTaskRun | SubmitAll, Buffers: "too little"},
			"io_uring of Linux 5.19 with COOP_TASKRUN, SUBMIT_ALL, " +
				"without SINGLE_ISSUER, DEFER_TASKRUN (refused by the kernel), " +
				"without registered buffers (too little)"},
		{Report{Kernel: "6.18", Owner: OwnerGoroutine, Flags: SubmitAll}, "io_uring of Linux 6.18 with SUBMIT_ALL"},
		{Report{Kernel: "5.11"},
			"io_uring of Linux 5.11, without SINGLE_ISSUER, DEFER_TASKRUN, SUBMIT_ALL (refused by the kernel)"},
	} {
		if got := c.report.String(); got != c.want {
			t.Errorf("report is\n%s, want\n%s", got, c.want)
		}
	}
}

func TestOtherSystemsSayThatTheyHaveNone(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "linux" {
		t.Skip("this is Linux")
	}
	_, err := Probe(OwnerThread)
	if !errors.Is(err, ErrUnavailable) || !errors.Is(err, errors.ErrUnsupported) ||
		!strings.Contains(err.Error(), runtime.GOOS) {
		t.Errorf("error %v", err)
	}
}
