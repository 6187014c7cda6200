package execplugin

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

// Config is what Token works with.
type Config struct {
	Options Options
	// In answers when a profile asks for an MFA code. Required.
	In io.Reader
	// Out gets the token, Err warnings and the question for an MFA code. Required.
	Out, Err io.Writer
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Token prints one token as c.Options ask for it. Everything else that shapes it
// comes from where the AWS SDK looks: the environment and the files it names.
func Token(ctx context.Context, c Config) error {
	if c.Now == nil {
		c.Now = time.Now
	}
	options, err := c.Options.complete()
	if err != nil {
		return err
	}
	c.Options = options
	version, err := apiVersion(os.Getenv("KUBERNETES_EXEC_INFO"))
	if err != nil && !options.TokenOnly {
		return err
	}
	token, err := c.unlessDone(ctx)
	if err != nil {
		return err
	}
	if token.Long {
		c.warn("the token has %d characters; aws-iam-authenticator refuses more than 4096", len(token.Value))
	}
	if options.TokenOnly {
		_, err = fmt.Fprintln(c.Out, token.Value)
		return err
	}
	return writeExecCredential(c.Out, version, token)
}

func (c Config) warn(format string, args ...any) {
	fmt.Fprintf(c.Err, "Warning: "+format+"\n", args...)
}

// unlessDone is token, but ends with ctx, too: what waits for a pipe or for
// somebody who types does not ask ctx.
func (c Config) unlessDone(ctx context.Context) (ekstoken.Token, error) {
	type result struct {
		token ekstoken.Token
		err   error
	}
	done := make(chan result, 1)
	go func() {
		token, err := c.token(ctx)
		done <- result{token, err}
	}()
	select {
	case r := <-done:
		return r.token, r.err
	case <-ctx.Done():
		return ekstoken.Token{}, context.Cause(ctx)
	}
}

// token takes the token from the cache or makes one. A cache that does not work
// costs time, not the token.
func (c Config) token(ctx context.Context) (ekstoken.Token, error) {
	if !c.Options.Cache {
		token, _, err := c.mint(ctx)
		return token, err
	}
	cached, err := openCache(ctx, c.Options)
	if err != nil {
		c.warn("no cache: %v", err)
		token, _, err := c.mint(ctx)
		return token, err
	}
	if token, ok := cached.get(c.Now()); ok {
		return token, nil
	}
	token, signed, err := c.mint(ctx)
	if err != nil || !signed.lasting() {
		return token, err
	}
	// The key must be that of what the token was made from. Where something
	// changed meanwhile, such as a session that the SDK renewed, nobody knows
	// which of the two was read.
	if now, err := openCache(ctx, c.Options); err != nil || now != cached {
		return token, nil //nolint:nilerr // the next run says so
	}
	if err := cached.put(token, c.Now()); err != nil {
		c.warn("the token is not cached: %v", err)
	}
	return token, nil
}

func (c Config) mint(ctx context.Context) (ekstoken.Token, signer, error) {
	s, err := c.signer(ctx)
	if err != nil {
		return ekstoken.Token{}, signer{}, err
	}
	token, err := ekstoken.Mint(ekstoken.MintConfig{
		ClusterID:   c.Options.ClusterID,
		Region:      s.region,
		FIPS:        s.fips,
		DualStack:   s.dualStack,
		Credentials: s.credentials,
		Now:         c.Now,
	})
	return token, s, err
}
