// Package access decides which requests a broker or nameserver serves: access
// control as RocketMQ's clients sign it (aclEnable, AclClientRPCHook) and as
// plain_acl.yml describes it.
//
// # Signature
//
// A client that has credentials adds two header fields to each request,
// AccessKey and Signature, and may add SecurityToken, which counts like any
// other field:
//
//	Signature = Base64(HMAC-SHA1(secretKey, content))
//	content   = the values of all header fields but Signature, in the order of
//	            their names' bytes, then the body
//
// Clients up to 4.9.3 don't sign the field _UNIQUE_KEY_QUERY; from them both
// forms are accepted. A field that stands there twice counts once: Java's
// clients with binary headers send such. With two values it is refused, so that
// nothing can be slipped in. As in RocketMQ a signature has no time: whoever can
// read a request can send it again, and TLS is what keeps others from reading.
//
// # Decision
//
// The first line that fits decides:
//
//	sender's address is in globalWhiteRemoteAddresses   served, whatever it is
//	no AccessKey, or one that the file doesn't have     refused
//	sender's address fits the account's                 served, whatever it is
//	whiteRemoteAddress
//	Signature isn't the one that the secret key gives   refused
//	account is an admin without topicPerms, groupPerms  served
//	request is an administrator's, account no admin     refused
//	a topic or group of the request isn't permitted     refused
//	                                                    served
//
// Permissions are PUB, SUB, PUB|SUB and DENY. A topic that topicPerms doesn't
// name has defaultTopicPerm, a group that groupPerms doesn't name
// defaultGroupPerm; both are DENY where they are missing. A retry topic is its
// group. What each request needs stands in requirements; a request that isn't
// there is an administrator's, so that a new one is never open by accident.
//
// Refused requests are answered with NO_PERMISSION (16) and the reason, as
// RocketMQ 5 does; RocketMQ 4 answers with SYSTEM_ERROR (1).
//
// # File
//
// The file is looked at once a second and read again when it has changed. One
// that can't be read, or says what isn't allowed, changes nothing and is
// reported once.
package access
