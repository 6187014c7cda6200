package controlplane

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Version is the Kubernetes version whose control plane tests and demo use.
// hack/controlplane/go.mod says the same; a test compares them.
const Version = "1.36.3"

// assetsEnv names a folder with kube-apiserver and etcd, as for everything else
// that is built on envtest.
const assetsEnv = "KUBEBUILDER_ASSETS"

// FindAssets returns the folder that holds kube-apiserver and etcd: the one that
// the environment variable KUBEBUILDER_ASSETS names, or else
// bin/controlplane/<Version> of the working copy that contains the working
// folder or this program's own file. The error says how to get them.
func FindAssets() (string, error) {
	if dir := os.Getenv(assetsEnv); dir != "" {
		if err := checkAssets(dir); err != nil {
			return "", fmt.Errorf("%s: %w", assetsEnv, err)
		}
		return dir, nil
	}
	var starts []string
	if wd, err := os.Getwd(); err == nil {
		starts = append(starts, wd)
	}
	if exe, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(exe))
	}
	return searchUp(starts)
}

// searchUp looks for the assets in each of the starting folders and above it.
func searchUp(starts []string) (string, error) {
	below := filepath.Join("bin", "controlplane", Version)
	for _, dir := range starts {
		for {
			if assets := filepath.Join(dir, below); checkAssets(assets) == nil {
				return assets, nil
			}
			parent := filepath.Dir(dir)
			if parent == dir {
				break
			}
			dir = parent
		}
	}
	return "", fmt.Errorf("kube-apiserver and etcd %s are not in %s: run `make controlplane`, or name the folder that holds them in %s", Version, below, assetsEnv)
}

// checkAssets tells whether both servers are in dir and may be executed.
func checkAssets(dir string) error {
	for _, name := range []string{"etcd", "kube-apiserver"} {
		info, err := os.Stat(filepath.Join(dir, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s lacks %s: run `make controlplane`", dir, name)
		case err != nil:
			return err
		case info.IsDir() || info.Mode().Perm()&0o111 == 0:
			return fmt.Errorf("%s in %s is not an executable file", name, dir)
		}
	}
	return nil
}
