package main

import (
	"fmt"
	"os"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
)

// runCoreDNS serves what the named Corefile says, with the plugins imported above, until SIGTERM.
//
// CoreDNS' own package coremain is not imported: it adds flags of its own to every program here.
func runCoreDNS() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: coredns COREFILE")
		os.Exit(2)
	}
	contents, err := os.ReadFile(os.Args[1])
	exitOn(err)
	caddy.Quiet = true
	dnsserver.Port = dnsserver.DefaultPort
	caddy.TrapSignals()
	instance, err := caddy.Start(caddy.CaddyfileInput{
		Contents:       contents,
		Filepath:       os.Args[1],
		ServerTypeName: "dns",
	})
	exitOn(err)
	instance.Wait()
}

// exitOn ends the process with an error's text, if there is an error.
func exitOn(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
