package table

// statements are what a table asks of its database, in its dialect.
type statements struct {
	enqueue, waiting, claim, renew, release, pause, read, remove, quarantine string
	quarantined, retry, drop, backlog, oldest                                string
}

func newStatements(d Dialect, name string) statements {
	s := func(text string) string { return d.statement(text, name) }
	return statements{
		enqueue: s(`INSERT INTO {outbox} (stream, message_id, topic, attributes, body, born, enqueued)
VALUES (?, ?, ?, ?, ?, ?, {now})`),
		waiting: s(`SELECT 1 FROM {outbox} WHERE quarantined IS NULL LIMIT 1`),

		// The names of the streams are walked through the index, from one to the
		// next, as far as it takes to find enough that are free.
		claim: s(`WITH RECURSIVE streams (stream) AS (
	SELECT min(stream) FROM {outbox} WHERE quarantined IS NULL AND stream > ?
	UNION ALL
	SELECT (SELECT min(o.stream) FROM {outbox} o WHERE o.quarantined IS NULL AND o.stream > streams.stream)
	FROM streams WHERE streams.stream IS NOT NULL
)
INSERT INTO {outbox}_streams (stream, owner, until)
SELECT streams.stream, CAST(? AS TEXT), {now} + CAST(? AS BIGINT) FROM streams
WHERE streams.stream IS NOT NULL
	AND COALESCE((SELECT c.until FROM {outbox}_streams c WHERE c.stream = streams.stream), 0) <= {now}
LIMIT ?
ON CONFLICT (stream) DO UPDATE SET owner = excluded.owner, until = excluded.until
WHERE {outbox}_streams.until <= {now}
RETURNING stream, failures`),
		renew:   s(`UPDATE {outbox}_streams SET until = {now} + CAST(? AS BIGINT) WHERE stream = ? AND owner = ?`),
		release: s(`DELETE FROM {outbox}_streams WHERE stream = ? AND owner = ?`),
		pause: s(`UPDATE {outbox}_streams SET owner = '', until = {now} + CAST(? AS BIGINT), failures = ?
WHERE stream = ? AND owner = ?`),

		// The oldest rows of a stream, as many as have so many bytes, and always
		// the first.
		read: s(`SELECT id, message_id, topic, attributes, body, born FROM (
	SELECT b.*, sum(length(b.body)) OVER (ORDER BY b.id) - length(b.body) AS before FROM (
		SELECT id, message_id, topic, attributes, body, born FROM {outbox}
		WHERE stream = ? AND quarantined IS NULL ORDER BY id LIMIT ?
	) b
) c WHERE before < ? ORDER BY id`),
		remove:     `DELETE FROM ` + name + ` WHERE id IN `,
		quarantine: s(`UPDATE {outbox} SET quarantined = {now}, reason = ? WHERE id = ?`),

		quarantined: s(`SELECT id, message_id, topic, attributes, body, born, quarantined, reason FROM {outbox}
WHERE quarantined IS NOT NULL AND id > ? ORDER BY id LIMIT ?`),
		retry:   s(`UPDATE {outbox} SET quarantined = NULL, reason = NULL WHERE id = ? AND quarantined IS NOT NULL`),
		drop:    s(`DELETE FROM {outbox} WHERE id = ? AND quarantined IS NOT NULL`),
		backlog: s(`SELECT count(*), count(quarantined) FROM {outbox}`),
		oldest:  s(`SELECT {now} - enqueued FROM {outbox} WHERE quarantined IS NULL ORDER BY id LIMIT 1`),
	}
}
