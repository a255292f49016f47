package message

import (
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/apogeemq/apogee/server/broker/record"
)

// Bits 8 to 10 of the system flag name the compression, as in RocketMQ's
// MessageSysFlag and CompressionType. Without them it is zlib.
const (
	compressionMask int32 = 0x700
	compressionLZ4  int32 = 0x100
	compressionZSTD int32 = 0x200
	compressionZLIB int32 = 0x300
)

// inflatedBytesMax bounds a decompressed body, and with it what a small body
// made for that can take of memory.
const inflatedBytesMax = 16 << 20

// compressionOf names the compression of a body, "" for none.
func compressionOf(systemFlag int32) string {
	if systemFlag&record.FlagCompressed == 0 {
		return ""
	}
	switch systemFlag & compressionMask {
	case 0, compressionZLIB:
		return "zlib"
	case compressionLZ4:
		return "lz4"
	case compressionZSTD:
		return "zstd"
	}
	return fmt.Sprintf("compression %d", systemFlag&compressionMask>>8)
}

// inflate decompresses a body, limit bytes at most.
func inflate(body []byte, compression string, limit int) ([]byte, error) {
	r, done, err := inflater(bytes.NewReader(body), compression)
	if err != nil {
		return nil, fmt.Errorf("decompress body: %w", err)
	}
	defer done()
	out, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("decompress body with %s: %w", compression, err)
	case len(out) > limit:
		return nil, fmt.Errorf("decompress body with %s: more than %d bytes come of %d", compression, limit, len(body))
	}
	return out, nil
}

func inflater(body io.Reader, compression string) (r io.Reader, done func(), err error) {
	done = func() {}
	switch compression {
	case "zlib":
		r, err = zlib.NewReader(body)
	case "lz4":
		r = lz4.NewReader(body)
	case "zstd":
		d, bad := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(inflatedBytesMax), zstd.WithDecoderLowmem(true))
		if bad != nil {
			return nil, done, bad
		}
		r, done = d, d.Close
	default:
		err = fmt.Errorf("%s is unknown", compression)
	}
	return r, done, err
}
