package app

import (
	"context"
	"fmt"
	"net"
)

// bindAddress refuses what nobody can listen at. Neither "" nor "0" is
// listened at.
func bindAddress(flag, address string) error {
	if address == "" || address == "0" {
		return nil
	}
	known := func(port string) bool {
		_, err := net.DefaultResolver.LookupPort(context.Background(), "tcp", port)
		return err == nil
	}
	switch _, port, err := net.SplitHostPort(address); {
	case err == nil && known(port):
		return nil
	case err != nil && known(address):
		return fmt.Errorf("--%s is %q; write :%s, with a colon before the port, or 0 to turn it off", flag, address, address)
	}
	return fmt.Errorf("--%s is %q; write HOST:PORT or :PORT, with a port from 1 to 65535, or 0 to turn it off", flag, address)
}
