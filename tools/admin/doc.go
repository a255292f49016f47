// Package admin is `apogee admin`: it shows and changes what brokers have, over
// RocketMQ's protocol, so that it works with Apogee and with Apache RocketMQ.
//
//	cluster      brokers, versions, rates                    106, 28, 20010, 20030
//	add-peer, remove-peer, transfer                          20011, 20012, 20013
//	add-group, drain-group, remove-group                     20030, 20031
//	topics       list, show, create, delete                  206, 105, 202, 351, 17, 215, 216
//	groups       list, show, create, delete                  201, 352, 203, 200, 207
//	lag          how far groups are behind                   208, 201
//	message      by id, key, unique key, queue and offset    33, 12, 11
//	resetoffset  moves a group in time                       222; 29 and 15
//
// Each command has a file. It gathers what it shows in one value, which --json
// prints as it is and which otherwise becomes a table. What is asked of several
// brokers is asked of all masters, and the answers are put together.
//
// Changes go to every master, or with --broker to one. A change that fails on
// some brokers names them; it is safe to repeat.
package admin
