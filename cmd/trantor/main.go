// Command trantor runs and drives the system: it sets systems up (init, keygen),
// runs one replica (node) or several on one machine (cluster), asks them how they
// are (status), loads them and checks their answers (load), and shows recordings
// of real and simulated runs (trace).
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }
