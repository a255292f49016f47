package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestASheetIsWellFormedAndHasADotPerPoint(t *testing.T) {
	t.Parallel()
	p := Plot{Legend: []Name{{Text: "a & b", Color: "#123456"}}, Note: "<note>"}
	for range 4 {
		p.Panels = append(p.Panels, Panel{Title: "t", Latency: "p99 ms", Curves: []Curve{
			{Color: "#123456", Points: []Point{{Rate: 10, Latency: 0.5, Title: "<1>"}, {Rate: 2000, Latency: 80}}},
			{Color: "#654321", Dashed: true, Points: []Point{{Rate: 0, Latency: 0}}},
			{},
		}})
	}
	var out bytes.Buffer
	if err := p.Write(&out); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for decoder := xml.NewDecoder(&out); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(text, "<circle "); n != 12 {
		t.Errorf("%d dots, want 12", n)
	}
	if strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error("a place is no number")
	}
}

func TestDecadesHoldAllValues(t *testing.T) {
	t.Parallel()
	a := newAxis([]float64{0, 3, 450}, 100, 300)
	if a.low != 0 || a.high != 3 || a.at(1) != 100 || a.at(1000) != 400 || a.at(0) != 100 {
		t.Errorf("%+v: 1 at %v, 1000 at %v, 0 at %v", a, a.at(1), a.at(1000), a.at(0))
	}
	if a := newAxis(nil, 0, 1); a.low != 0 || a.high != 1 {
		t.Errorf("without values: %+v", a)
	}
}
