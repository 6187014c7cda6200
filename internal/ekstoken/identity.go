package ekstoken

import (
	"encoding/json"
	"strings"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
)

const maxUserID = 256

// Identity is whom a token proves its bearer to be.
type Identity struct {
	// ARN is as STS says.
	ARN string
	// CanonicalARN is for look-ups: arn:aws:sts::1:assumed-role/X/session
	// becomes arn:aws:iam::1:role/X; all others stay as they are.
	CanonicalARN string
	// AccountID has 12 digits.
	AccountID string
	// UserID is the principal's unique id: AROA… without the session's name for
	// roles, whole (AIDA…) for all others.
	UserID string
	// PrincipalID is the user id as STS says: AROA…:session for roles.
	PrincipalID string
	// SessionName is the session's name of a role, "" for all others. Who may
	// assume the role has chosen it.
	SessionName string
	// AccessKeyID is that of the credentials that signed the token.
	AccessKeyID string
}

// callerIdentity is the answer of GetCallerIdentity in JSON.
type callerIdentity struct {
	Response struct {
		Result struct {
			Account string `json:"Account"`
			ARN     string `json:"Arn"`
			UserID  string `json:"UserId"`
		} `json:"GetCallerIdentityResult"`
	} `json:"GetCallerIdentityResponse"`
}

// readIdentity reads the body of a successful answer. All that it says must
// agree: it comes from a machine that speaks for AWS, and may be something else
// that sits in between.
func readIdentity(body []byte, partitionID string) (Identity, error) {
	var answer callerIdentity
	if err := json.Unmarshal(body, &answer); err != nil {
		return Identity{}, unavailable(errNotJSON)
	}
	result := answer.Response.Result
	if result.ARN == "" {
		return Identity{}, unavailable(errNotJSON)
	}
	a, err := arn.Parse(result.ARN)
	switch {
	case err != nil:
		return Identity{}, unavailable(errARN)
	case a.Partition != partitionID:
		return Identity{}, unavailable(errPartition)
	case a.AccountID != result.Account || len(a.AccountID) != len("123456789012"):
		return Identity{}, unavailable(errAccount)
	case !isUserID(result.UserID):
		return Identity{}, unavailable(errUserID)
	}
	id := Identity{ARN: result.ARN, CanonicalARN: result.ARN, AccountID: a.AccountID, UserID: result.UserID, PrincipalID: result.UserID}
	switch a.Type {
	case arn.TypeUser, arn.TypeRoot, arn.TypeFederatedUser:
	case arn.TypeAssumedRole:
		var session string
		id.UserID, session, _ = strings.Cut(result.UserID, ":")
		if id.UserID == "" || session != a.Session {
			return Identity{}, unavailable(errUserID)
		}
		id.SessionName = session
		id.CanonicalARN = arn.ARN{Partition: a.Partition, AccountID: a.AccountID, Type: arn.TypeRole, Path: "/", Name: a.Name}.String()
	default:
		return Identity{}, unavailable(errARN)
	}
	return id, nil
}

// isUserID tells whether s is visible ASCII of a length that a unique id with a
// session's name can have.
func isUserID(s string) bool {
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxUserID
}
