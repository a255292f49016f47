// Package conf reads RocketMQ's .conf files: Java properties whose keys are
// settings. Each setting has a name, a default, words for what is allowed and
// words for what it means; documents print the table of them.
package conf
