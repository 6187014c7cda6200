package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/fakeaws"
)

const (
	accountID = fakeaws.DefaultAccountID
	region    = "us-east-1"
	// adminUser is the IAM user that the demo's own key belongs to. No rule
	// matches it.
	adminUser = "demo-admin"
	// eksCluster is the name of the demo's cluster in the emulated EKS.
	eksCluster = "demo"
)

// emulator is AWS on a loopback address.
type emulator struct {
	url         string
	aws         *fakeaws.Server
	keyID       string
	secret      string
	server      *http.Server
	listener    net.Listener
	movedFrom   string // the address that was taken, "" if none was
	serveResult chan error
}

// listen opens the address; where it is taken and anyPort is set, another port.
func listen(ctx context.Context, address string, anyPort bool) (l net.Listener, moved bool, err error) {
	var config net.ListenConfig
	l, err = config.Listen(ctx, "tcp", address)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, false, err
	}
	if !anyPort {
		return nil, false, fmt.Errorf("%s is taken by another program: "+
			"end that one, or give another address (port 0: any free one)", address)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, false, err
	}
	l, err = config.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	return l, true, err
}

// startEmulator serves an AWS with one account, and one key made just now.
func startEmulator(ctx context.Context, address string, anyPort bool) (*emulator, error) {
	l, moved, err := listen(ctx, address, anyPort)
	if err != nil {
		return nil, fmt.Errorf("--emulator-address: %w", err)
	}
	e := &emulator{
		url:      "http://" + l.Addr().String(),
		keyID:    "AKIA" + rand.Text()[:16],
		secret:   rand.Text() + rand.Text()[:14],
		listener: l, serveResult: make(chan error, 1),
	}
	if moved {
		e.movedFrom = address
	}
	e.aws = fakeaws.New(fakeaws.Config{
		AccountID: accountID, AccessKeyID: e.keyID, SecretAccessKey: e.secret, AdminUser: adminUser,
	})
	if err := e.aws.AddCluster(eksCluster, fakeaws.ModeAPIConfigMap); err != nil {
		return nil, errors.Join(fmt.Errorf("emulating EKS: %w", err), l.Close())
	}
	e.server = &http.Server{Handler: e.aws, ReadHeaderTimeout: 10 * time.Second}
	go func() { e.serveResult <- e.server.Serve(l) }()
	return e, nil
}

func (e *emulator) stop() error {
	err := e.server.Close()
	if served := <-e.serveResult; !errors.Is(served, http.ErrServerClosed) {
		return errors.Join(served, err)
	}
	return err
}

// config is what the SDK needs to reach the emulator with the demo's own key.
// Nothing of this machine's AWS configuration is in it.
func (e *emulator) config() aws.Config { return e.configWith(e.keyID, e.secret) }

func (e *emulator) configWith(keyID, secret string) aws.Config {
	return aws.Config{
		Region:       region,
		BaseEndpoint: aws.String(e.url),
		Credentials:  credentials.NewStaticCredentialsProvider(keyID, secret, ""),
	}
}
