// Command heliograph-controlplane is the control plane of a Kubernetes cluster in one binary, and
// what else the laboratory's networks need: cluster DNS, and WireGuard where the kernel has none.
//
// The first argument selects the program, the others are that program's own:
//
//	heliograph-controlplane kube-apiserver --etcd-servers=...
//
// Every program ends with the process that started it, if that gave it a lifeline. Who wants one to
// outlive it, as tunnels outlive the agent that configures them, gives it none.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	etcdversion "go.etcd.io/etcd/api/v3/version"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // registers the metrics of API clients
	_ "k8s.io/component-base/metrics/prometheus/version"  // registers kubernetes_build_info
	"k8s.io/component-base/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
)

// programs maps the first argument to what it runs. A program is constructed only once it has
// been selected: constructing one registers its flags and metrics for the whole process.
var programs = map[string]func(){
	"etcd":                    func() { etcdmain.Main(os.Args) },
	"coredns":                 runCoreDNS,
	"kube-apiserver":          component(apiserver.NewAPIServerCommand),
	"kube-controller-manager": component(controllermanager.NewControllerManagerCommand),
	"kube-proxy":              component(proxy.NewProxyCommand),
	"kubectl":                 runKubectl,
	"version":                 printVersions,
	"wireguard-go":            runWireGuard,
}

func main() {
	if len(os.Args) < 2 || programs[os.Args[1]] == nil {
		names := slices.Sorted(maps.Keys(programs))
		fmt.Fprintf(os.Stderr, "usage: %s {%s} [flags]\n", os.Args[0], strings.Join(names, "|"))
		os.Exit(2)
	}
	watchLifeline()
	os.Args = os.Args[1:] // each program reads its own name and flags there
	programs[os.Args[0]]()
}

// component adapts the command of one of Kubernetes' own programs.
func component(construct func() *cobra.Command) func() {
	return func() { os.Exit(cli.Run(construct())) }
}

func runKubectl() {
	// Its construction logs already, so the flag for that is read first. The value needs no
	// check: the command itself complains of a bad one.
	_, _ = logs.GlogSetter(kubectl.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
}

func printVersions() {
	versions := map[string]string{
		"etcd":       etcdversion.Version,
		"go":         runtime.Version(),
		"kubernetes": version.Get().GitVersion,
	}
	if err := json.NewEncoder(os.Stdout).Encode(versions); err != nil {
		os.Exit(1)
	}
}

// lifelineVariable names the descriptor of a pipe whose other end only the starting process has.
const lifelineVariable = "CONTROLPLANE_LIFELINE"

// watchLifeline ends this process when the one that started it is gone, however that ended.
//
// A parent-death signal (prctl(2)) would follow the thread that started us, not the process.
func watchLifeline() {
	descriptor, err := strconv.Atoi(os.Getenv(lifelineVariable))
	if err != nil {
		return // started by hand
	}
	_ = os.Unsetenv(lifelineVariable)
	syscall.CloseOnExec(descriptor)
	go func() {
		pipe := os.NewFile(uintptr(descriptor), "lifeline")
		_, _ = pipe.Read(make([]byte, 1)) // nothing is ever written: this returns at the end of file
		os.Exit(1)
	}()
}
