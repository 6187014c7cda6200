package arn_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/arn"
)

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		reason string
		want   arn.ARN
	}{
		"arn:aws:iam::123456789012:root": {
			reason: "root has neither path nor name",
			want:   arn.ARN{Partition: "aws", AccountID: "123456789012", Type: "root", Path: "/"},
		},
		"arn:aws:iam::123456789012:user/alice": {
			reason: "no path is the path /",
			want:   arn.ARN{Partition: "aws", AccountID: "123456789012", Type: "user", Path: "/", Name: "alice"},
		},
		"arn:aws:iam::1234567890:user/tmp-foo-one": {
			reason: "examples use shorter accounts",
			want:   arn.ARN{Partition: "aws", AccountID: "1234567890", Type: "user", Path: "/", Name: "tmp-foo-one"},
		},
		"arn:aws-us-gov:iam::123456789012:user/a/b/Al_+=,.@-1": {
			reason: "other partitions, a path, every character of a name",
			want:   arn.ARN{Partition: "aws-us-gov", AccountID: "123456789012", Type: "user", Path: "/a/b/", Name: "Al_+=,.@-1"},
		},
		"arn:aws:iam::123456789012:user/x:user/tmp-foo-1": {
			reason: "a path may hold colons; only the first five separate",
			want:   arn.ARN{Partition: "aws", AccountID: "123456789012", Type: "user", Path: "/x:user/", Name: "tmp-foo-1"},
		},
		"arn:aws:iam::123456789012:user///x": {
			reason: "IAM's path type allows a slash between two slashes",
			want:   arn.ARN{Partition: "aws", AccountID: "123456789012", Type: "user", Path: "///", Name: "x"},
		},
		"arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_A_0123456789abcdef": {
			reason: "an SSO role",
			want: arn.ARN{
				Partition: "aws", AccountID: "123456789012", Type: "role",
				Path: "/aws-reserved/sso.amazonaws.com/", Name: "AWSReservedSSO_A_0123456789abcdef",
			},
		},
		"arn:aws:iam::123456789012:instance-profile/p/x": {
			reason: "an instance profile",
			want:   arn.ARN{Partition: "aws", AccountID: "123456789012", Type: "instance-profile", Path: "/p/", Name: "x"},
		},
		"arn:aws:iam::123456789012:group/devs": {
			reason: "a group",
			want:   arn.ARN{Partition: "aws", AccountID: "123456789012", Type: "group", Path: "/", Name: "devs"},
		},
		"arn:aws:sts::123456789012:assumed-role/Deployer/i-0abc": {
			reason: "an assumed role has a session and no path",
			want: arn.ARN{
				Partition: "aws", AccountID: "123456789012", Type: "assumed-role",
				Path: "/", Name: "Deployer", Session: "i-0abc",
			},
		},
		"arn:aws:sts::123456789012:federated-user/bob": {
			reason: "a federated user",
			want:   arn.ARN{Partition: "aws", AccountID: "123456789012", Type: "federated-user", Path: "/", Name: "bob"},
		},
	}
	for in, tc := range tests {
		got, err := arn.Parse(in)
		if err != nil {
			t.Errorf("Parse(%q): %v; want %s", in, err, tc.reason)
			continue
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("Parse(%q): %s (-want +got):\n%s", in, tc.reason, diff)
		}
		if back := got.String(); back != in {
			t.Errorf("Parse(%q).String() = %q", in, back)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"":                                                        "nothing",
		"arn":                                                     "no parts",
		"arn:aws:iam::123456789012":                               "too few parts",
		"ARN:aws:iam::123456789012:root":                          "the word arn is in lower case",
		" arn:aws:iam::123456789012:root":                         "a space before",
		"arn:aws:iam::123456789012:root ":                         "a space behind",
		"arn:aws:iam::123456789012:root\n":                        "a line end behind",
		"arn::iam::123456789012:root":                             "no partition",
		"arn:amazon:iam::123456789012:root":                       "not a partition",
		"arn:aws-:iam::123456789012:root":                         "half a partition",
		"arn:aws--cn:iam::123456789012:root":                      "not a partition either",
		"arn:aws-CN:iam::123456789012:root":                       "partitions are in lower case",
		"arn:aws:s3:::bucket":                                     "another service",
		"arn:aws:iam:us-east-1:123456789012:root":                 "IAM has no regions",
		"arn:aws:iam:::user/alice":                                "no account",
		"arn:aws:iam::aws:policy/AdministratorAccess":             "a managed policy is nobody",
		"arn:aws:iam::1234567890123:root":                         "13 digits",
		"arn:aws:iam::12345678901a:root":                          "not a number",
		"arn:aws:iam::１２３:root":                                   "digits, but not ASCII's",
		"arn:aws:iam::123456789012:":                              "no resource",
		"arn:aws:iam::123456789012:root/":                         "root with a slash",
		"arn:aws:iam::123456789012:user":                          "a type without a name",
		"arn:aws:iam::123456789012:user/":                         "an empty name",
		"arn:aws:iam::123456789012:user/a/":                       "an empty name below a path",
		"arn:aws:iam::123456789012:user//a":                       "an empty path element alone is not a path",
		"arn:aws:iam::123456789012:User/a":                        "types are in lower case",
		"arn:aws:iam::123456789012:user/a b":                      "a space in the name",
		"arn:aws:iam::123456789012:user/a b/c":                    "a space in the path",
		"arn:aws:iam::123456789012:user/ä":                        "not ASCII",
		"arn:aws:iam::123456789012:user/a:b":                      "a colon in the name",
		"arn:aws:iam::123456789012:user/*":                        "a wildcard is not a name",
		"arn:aws:iam::123456789012:user/a\x00":                    "a control character",
		"arn:aws:iam::123456789012:assumed-role/R/s":              "assumed roles belong to STS",
		"arn:aws:sts::123456789012:role/R":                        "roles belong to IAM",
		"arn:aws:sts::123456789012:assumed-role/R":                "no session",
		"arn:aws:sts::123456789012:assumed-role/R/":               "an empty session",
		"arn:aws:sts::123456789012:assumed-role/R/s/t":            "two sessions",
		"arn:aws:sts::123456789012:assumed-role//s":               "an empty role",
		"arn:aws:iam::123456789012:user/" + long("n", 65):         "a user's name of 65 characters",
		"arn:aws:iam::123456789012:group/" + long("n", 129):       "a group's name of 129 characters",
		"arn:aws:iam::123456789012:user/" + long("p", 511) + "/n": "a path of 513 characters",
		"arn:aws:iam::123456789012:user/" + long("x", 1<<20):      "a megabyte",
	}
	for in, reason := range tests {
		got, err := arn.Parse(in)
		if !errors.Is(err, arn.ErrInvalid) {
			t.Errorf("Parse(%.80q) = %+v, %v; want ErrInvalid: %s", in, got, err, reason)
			continue
		}
		if got != (arn.ARN{}) {
			t.Errorf("Parse(%.80q) gave %+v beside its error", in, got)
		}
		if len(err.Error()) > 400 {
			t.Errorf("Parse(%.80q): the error has %d characters", in, len(err.Error()))
		}
	}
}

func TestParseLongest(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"arn:aws:iam::123456789012:user/" + long("n", 64),
		"arn:aws:iam::123456789012:group/" + long("n", 128),
		"arn:aws:iam::123456789012:role/" + long("p", 510) + "/" + long("n", 64),
	} {
		if _, err := arn.Parse(in); err != nil {
			t.Errorf("Parse(%.60q…) with every part as long as IAM allows: %v", in, err)
		}
	}
}

func TestWithoutPath(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"arn:aws:iam::123456789012:role/a/b/X":           "arn:aws:iam::123456789012:role/X",
		"arn:aws:iam::123456789012:role/X":               "arn:aws:iam::123456789012:role/X",
		"arn:aws:iam::123456789012:root":                 "arn:aws:iam::123456789012:root",
		"arn:aws:sts::123456789012:assumed-role/X/i-0ab": "arn:aws:sts::123456789012:assumed-role/X/i-0ab",
	}
	for in, want := range tests {
		a, err := arn.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := a.WithoutPath().String(); got != want {
			t.Errorf("%s without its path is %s, want %s", in, got, want)
		}
	}
}

// TestFold does not run in parallel: counting allocations forbids it.
func TestFold(t *testing.T) {
	if got, want := arn.Fold("arn:aws:iam::1:user/AbC"), "arn:aws:iam::1:user/abc"; got != want {
		t.Errorf("Fold = %q, want %q", got, want)
	}
	lower := "arn:aws:iam::123456789012:user/tmp-foo-one"
	if n := testing.AllocsPerRun(100, func() { _ = arn.Fold(lower) }); n != 0 {
		t.Errorf("Fold of a lower-case ARN allocates %v times", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"arn:aws:iam::123456789012:root",
		"arn:aws:iam::1234567890:user/tmp-foo-one",
		"arn:aws-cn:iam::123456789012:role/a/b/X",
		"arn:aws:iam::123456789012:user/x:user/tmp-foo-1",
		"arn:aws:iam::123456789012:user///x",
		"arn:aws:sts::123456789012:assumed-role/Deployer/i-0abc",
		"arn:aws:sts::123456789012:federated-user/bob",
		"arn:aws:iam::aws:policy/AdministratorAccess",
		"arn:::::", "arn:aws:iam::1:user/\xff", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := arn.Parse(s)
		if err != nil {
			return
		}
		if got := a.String(); got != s {
			t.Fatalf("Parse(%q).String() = %q", s, got)
		}
		for i := range len(s) {
			if s[i] < '!' || s[i] > '~' {
				t.Fatalf("Parse(%q) accepted byte %#x", s, s[i])
			}
		}
		if !strings.HasPrefix(a.Path, "/") || !strings.HasSuffix(a.Path, "/") {
			t.Fatalf("Parse(%q) has path %q", s, a.Path)
		}
		folded, err := arn.Parse(arn.Fold(s))
		if err != nil || folded.String() != arn.Fold(s) {
			t.Fatalf("Parse(Fold(%q)) = %v, %v", s, folded, err)
		}
		if _, err := arn.Parse(a.WithoutPath().String()); err != nil {
			t.Fatalf("%q without its path: %v", s, err)
		}
	})
}

func long(s string, n int) string { return strings.Repeat(s, n) }
