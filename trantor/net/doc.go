// Package net carries messages between the processes of replicas.
package net
