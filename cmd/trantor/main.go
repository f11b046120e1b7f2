// Command trantor runs the system under test by hand. So far it has one command,
// trace, which records a simulated cluster and shows recordings of real and
// simulated ones.
package main

import "os"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }
