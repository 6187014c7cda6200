package mappings

import (
	"context"
	"errors"
	"strings"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/ekstoken"
)

const nodeNameTemplate = "{{EC2PrivateDNSName}}"

// render fills in the templates of aws-iam-authenticator, all at once, so that
// what one of them puts in is no template for another:
//
//	{{AccountID}}         the account, 12 digits
//	{{SessionName}}       the session's name with - for @
//	{{SessionNameRaw}}    the session's name as it is
//	{{AccessKeyID}}       the key that made the token
//	{{EC2PrivateDNSName}} the private DNS name of the instance that the
//	                      session is named after
func (c *Chain) render(ctx context.Context, template string, id ekstoken.Identity) (string, error) {
	if !strings.Contains(template, "{{") {
		return template, nil
	}
	values := []string{
		"{{AccountID}}", id.AccountID,
		"{{SessionName}}", strings.ReplaceAll(id.SessionName, "@", "-"),
		"{{SessionNameRaw}}", id.SessionName,
		"{{AccessKeyID}}", id.AccessKeyID,
	}
	if strings.Contains(template, nodeNameTemplate) {
		name, err := c.nodeName(ctx, id.SessionName)
		if err != nil {
			return "", err
		}
		values = append(values, nodeNameTemplate, name)
	}
	return strings.NewReplacer(values...).Replace(template), nil
}

func (c *Chain) nodeName(ctx context.Context, session string) (string, error) {
	if !isInstanceID(session) {
		return "", errors.New("the session is not named after an instance, as " + nodeNameTemplate + " needs it")
	}
	if c.Nodes == nil {
		return "", errors.New(nodeNameTemplate + " cannot be looked up here")
	}
	return c.Nodes.PrivateDNSName(ctx, session)
}

// isInstanceID recognizes i- with 8 or 17 hexadecimal digits (EC2 user guide,
// resource IDs).
func isInstanceID(s string) bool {
	digits, ok := strings.CutPrefix(s, "i-")
	if !ok || len(digits) != 8 && len(digits) != 17 {
		return false
	}
	return strings.Trim(digits, "0123456789abcdef") == ""
}
