// Package rocketmq gets what measurements run beside Apogee: the jars of Apache
// RocketMQ's broker, nameserver and Java client, of one version, from Maven
// Central by the names in pom.xml.
package rocketmq
