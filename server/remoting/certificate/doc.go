// Package certificate makes the TLS configurations of servers and clients from
// PEM files, and follows the files while the process runs.
//
// # What a server shows
//
// With a certificate file, that certificate. Without one and with SelfSigned
// set, a certificate that the process makes when the first TLS client comes:
// it encrypts, but proves nothing, which is RocketMQ's default (its
// tls.test.mode.enable). A certificate file wins over SelfSigned.
//
// # Whom it lets in
//
//	ClientAuth   VerifyPeer  a client without certificate   with one
//	none         either      is let in                      is not asked for it
//	optional     false       is let in                      is let in with any
//	optional     true        is let in                      is verified
//	require      false       is refused                     is let in with any
//	require      true        is refused                     is verified
//
// Verified means signed by one of TrustPath's certificates, or by one of the
// system's where TrustPath is empty. The words are RocketMQ's.
//
// # Change while running
//
// Watch reads the files every second. When their content has changed and makes
// a whole configuration, connections that begin from then on use it; those that
// are open are not touched. A certificate that does not fit its key, or a file
// that cannot be read, leaves the configuration as it was, is logged once, and
// is tried again with the next change.
package certificate
