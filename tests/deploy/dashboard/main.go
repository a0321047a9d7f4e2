// Reads a dashboard as strictly as Grafana's published schema is: no field is missing, none unknown.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	if err := read(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	plugins.RegisterDefaultPlugins()
	var read dashboard.Dashboard
	err = read.UnmarshalJSONStrict(raw)
	var found cog.BuildErrors
	if errors.As(err, &found) && len(found) == 0 {
		err = nil // it returns an empty list where nothing is wrong
	}
	return errors.Join(err, read.Validate())
}
