package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/ipc"
	"golang.zx2c4.com/wireguard/tun"
)

// runWireGuard makes the named interface and serves /var/run/wireguard/<interface>.sock.
//
// It stays in the foreground until SIGTERM, SIGINT, or the interface's removal; then the interface
// and the socket are gone. LOG_LEVEL is "verbose", "silent", or anything else for errors only.
func runWireGuard() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: wireguard-go INTERFACE")
		os.Exit(2)
	}
	link, err := tun.CreateTUN(os.Args[1], device.DefaultMTU)
	exitOn(err)
	name, err := link.Name() // the kernel's choice where a pattern such as wg%d was given
	exitOn(err)
	socket, err := ipc.UAPIOpen(name)
	exitOn(err)
	logger := device.NewLogger(logLevel(), fmt.Sprintf("(%s) ", name))
	tunnel := device.NewDevice(link, conn.NewDefaultBind(), logger)
	listener, err := ipc.UAPIListen(name, socket)
	exitOn(err)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	failed := make(chan error, 1)
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				failed <- err // among others: somebody removed the socket's file
				return
			}
			go tunnel.IpcHandle(client)
		}
	}()
	select {
	case <-ended:
	case <-failed:
	case <-tunnel.Wait():
	}
	_ = listener.Close()
	tunnel.Close()
}

func logLevel() int {
	switch os.Getenv("LOG_LEVEL") {
	case "verbose":
		return device.LogLevelVerbose
	case "silent":
		return device.LogLevelSilent
	}
	return device.LogLevelError
}
