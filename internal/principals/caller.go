package principals

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/rules"
)

// caller is who we are for AWS.
type caller struct {
	keyID              string // empty: not to be remembered
	partition, account string
}

// head is what the ARNs of our account's principals begin with, up to the path.
func (c caller) head(k rules.Kind) string {
	return "arn:" + c.partition + ":iam::" + c.account + ":" + string(k)
}

// caller asks AWS who we are, once for each access key: a key belongs to one
// account for ever.
func (l *Lister) caller(ctx context.Context) (caller, error) {
	const doing = "ask AWS who we are"
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	key, err := l.keyID(ctx)
	if err != nil {
		return caller{}, stable("get AWS credentials", err)
	}
	if known := l.remembered(); key != "" && known.keyID == key {
		return known, nil
	}
	out, err := l.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return caller{}, stable(doing, err)
	}
	who, err := parseCaller(out)
	if err != nil {
		return caller{}, stable(doing, err)
	}
	if l.expected.account != "" && (who.account != l.expected.account || who.partition != l.expected.partition) {
		return caller{}, fmt.Errorf("%w: the credentials are of account %s and not of %s", ErrOtherAccount, who.account, l.expected.account)
	}
	// The client may have signed with a key that came after the one we saw.
	if after, err := l.keyID(ctx); err == nil && after == key {
		who.keyID = key
		l.remember(who)
	}
	return who, nil
}

// stillIn refuses what was learned if meanwhile our credentials became those
// of another account.
func (l *Lister) stillIn(ctx context.Context, was caller) error {
	who, err := l.caller(ctx)
	if err != nil {
		return err
	}
	if who.partition != was.partition || who.account != was.account {
		return fmt.Errorf("%w: the credentials went from account %s to %s", ErrOtherAccount, was.account, who.account)
	}
	return nil
}

func (l *Lister) keyID(ctx context.Context) (string, error) {
	if l.credentials == nil {
		return "", nil
	}
	c, err := l.credentials.Retrieve(ctx)
	return c.AccessKeyID, err
}

func (l *Lister) remembered() caller {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known
}

func (l *Lister) remember(who caller) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known = who
}

// parseCaller takes partition and account; what kind of identity we are does
// not matter.
func parseCaller(out *sts.GetCallerIdentityOutput) (caller, error) {
	text, account := aws.ToString(out.Arn), aws.ToString(out.Account)
	parts := strings.SplitN(text, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[1] == "" || account == "" || parts[4] != account {
		return caller{}, fmt.Errorf("the answer has ARN %q and account %q", text, account)
	}
	return caller{partition: parts[1], account: account}, nil
}
