package checkpoint_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/checkpoint"
	"github.com/apogeemq/apogee/engine/event"
)

const prefixBytes = 28

// record is one record of a file without its checksum.
type record struct {
	kind byte
	data []byte
}

// seal puts records into a file whose checksums are all right, whatever the
// records say.
func seal(prefix []byte, records ...record) []byte {
	le := binary.LittleEndian
	file := slices.Clone(prefix)
	crc := event.Checksum(testLog.Seed(), file)
	for _, r := range records {
		b := append(le.AppendUint32([]byte{r.kind}, uint32(len(r.data))), r.data...)
		crc = event.Checksum(event.Seed(crc), b)
		file = append(file, le.AppendUint32(b, crc)...)
	}
	return file
}

// open takes a file apart.
func open(file []byte) (prefix []byte, records []record) {
	prefix, file = file[:prefixBytes], file[prefixBytes:]
	for len(file) > 0 {
		n := 5 + binary.LittleEndian.Uint32(file[1:])
		records = append(records, record{file[0], file[5:n]})
		file = file[n+4:]
	}
	return prefix, records
}

func TestRecordsThatDoNotBelongTogetherAreCorruptThoughTheirChecksumsFit(t *testing.T) {
	t.Parallel()
	file := write(t, testHeader(), section{"a", []byte("bytes"), 5})
	prefix, r := open(file)
	if again := seal(prefix, r...); !bytes.Equal(again, file) || len(r) != 5 {
		t.Fatalf("%x taken apart and put together is %x", file, again)
	}
	header, begin, data, end, trailer := r[0], r[1], r[2], r[3], r[4]
	number := func(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
	for name, c := range map[string]struct {
		records []record
		text    string
	}{
		"no header":                {[]record{begin, data, end, trailer}, "where the header belongs"},
		"short header":             {[]record{{1, header.data[:35]}, begin, data, end, trailer}, "where the header belongs"},
		"two headers":              {[]record{header, header, begin, data, end, trailer}, "where a new section or the trailer belongs"},
		"bytes before the section": {[]record{header, data, begin, end, trailer}, "where a new section or the trailer belongs"},
		"a section without a name": {[]record{header, {2, nil}, data, end, trailer}, "where a new section or the trailer belongs"},
		"a name twice":             {[]record{header, begin, data, end, begin, data, end, trailer}, "where a new section or the trailer belongs"},
		"a section in a section":   {[]record{header, begin, begin, data, end, trailer}, "within a section"},
		"no bytes in a record":     {[]record{header, begin, {3, nil}, data, end, trailer}, "within a section"},
		"a short end":              {[]record{header, begin, data, {4, end.data[:7]}, trailer}, "within a section"},
		"no end":                   {[]record{header, begin, data, trailer}, "within a section"},
		"another length":           {[]record{header, begin, data, {4, number(4)}, trailer}, "the section has 5 bytes, expected 4"},
		"a short trailer":          {[]record{header, begin, data, end, {5, trailer.data[:11]}}, "trailer of 11 bytes"},
		"fewer sections":           {[]record{header, trailer}, "0 sections with 0 bytes, expected 1 with 5"},
		"fewer bytes":              {[]record{header, begin, {4, number(0)}, trailer}, "1 sections with 0 bytes, expected 1 with 5"},
		"unknown type":             {[]record{header, {6, nil}, trailer}, "record of type 6 with 0 bytes"},
		"type 0":                   {[]record{header, {0, nil}, trailer}, "record of type 0 with 0 bytes"},
		"a long name":              {[]record{header, {2, pattern(65)}, data, end, trailer}, "record of type 2 with 65 bytes"},
	} {
		_, err := checkpoint.Verify(bytes.NewReader(seal(prefix, c.records...)), testLog)
		if !errors.Is(err, checkpoint.ErrCorrupt) || !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), "byte ") {
			t.Errorf("%s: got %v, expected ErrCorrupt with %q", name, err, c.text)
		}
	}
}
