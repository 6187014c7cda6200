package webidentity

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// stsName is what STS takes for a session's name and for a source identity.
var stsName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

func TestRoleSessionName(t *testing.T) {
	for _, row := range []struct{ reason, email, want string }{
		{"an email as it is", "jane@example.com", "jane@example.com"},
		{"in lower case", "Jane.Doe+X@Example.COM", "jane.doe+x@example.com"},
		{"other characters replaced and marked", "o'brien@example.com", "o-brien@example.com-kgrcrys6psilt2sz"},
		{"whose replacement is somebody else", "o-brien@example.com", "o-brien@example.com"},
		{"64 characters", strings.Repeat("a", 52) + "@example.com", strings.Repeat("a", 52) + "@example.com"},
		{"letters of other alphabets", "Zoë@example.com", "zo-@example.com-kqmith32vps7ixot"},
		{"in any case", "ZOË@example.com", "zo-@example.com-kqmith32vps7ixot"},
		{"no control over what follows", "a\r\nb@x.org", "a--b@x.org-d6es4nlno4vgcho3"},
	} {
		if got := RoleSessionName(row.email); got != row.want {
			t.Errorf("%s: %q: got %q, want %q", row.reason, row.email, got, row.want)
		}
	}
	long := RoleSessionName(strings.Repeat("a", 53) + "@example.com")
	if len(long) != 64 || !strings.HasPrefix(long, strings.Repeat("a", 47)+"-") {
		t.Errorf("65 characters are cut and marked: got %q", long)
	}
	if kelvin := RoleSessionName("\u212Aate@example.com"); kelvin == RoleSessionName("kate@example.com") {
		t.Errorf("the Kelvin sign is not the letter k: both are %q", kelvin)
	}
	if forged := RoleSessionName("o-brien@example.com-kgrcrys6psilt2sz"); forged == RoleSessionName("o'brien@example.com") {
		t.Errorf("an email that looks like somebody's marked name is somebody else: got %q", forged)
	}
}

// emails makes addresses that are easily taken for each other.
func emails() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		letters := rapid.SampledFrom([]rune("aAbBkKsſ\u212A'-_.+ @oOéÉİıßẞ\x00\ufffd"))
		local := rapid.StringOfN(letters, 0, 70, -1).Draw(t, "local")
		if rapid.Bool().Draw(t, "marked") {
			return RoleSessionName(local)
		}
		return local + rapid.SampledFrom([]string{"", "@example.com", "@EXAMPLE.com"}).Draw(t, "domain")
	})
}

func TestNamesOfDifferentPeopleDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.OneOf(emails(), rapid.String()).Draw(t, "a")
		b := rapid.OneOf(emails(), rapid.String()).Draw(t, "b")
		x, y := RoleSessionName(a), RoleSessionName(b)
		if !stsName.MatchString(x) || !stsName.MatchString(y) {
			t.Fatalf("%q or %q is no session name", x, y)
		}
		if same := lower(a) == lower(b); same != (x == y) {
			t.Fatalf("%q and %q: same person %t, names %q and %q", a, b, same, x, y)
		}
	})
}

func TestTinyEmailsDiffer(t *testing.T) {
	names := map[string]string{}
	for _, a := range "ab'-.é\u212Ak" {
		for _, b := range "ab'-.é\u212Ak" {
			email := string(a) + string(b)
			name := RoleSessionName(email)
			if other, taken := names[name]; taken {
				t.Errorf("%q and %q are both %q", email, other, name)
			}
			names[name] = email
		}
	}
}

func FuzzRoleSessionName(f *testing.F) {
	for _, seed := range []string{"", "a", "jane@example.com", "o'brien@example.com", "\xff\xfe@x", strings.Repeat("é", 80)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, email string) {
		name := RoleSessionName(email)
		if !stsName.MatchString(name) {
			t.Fatalf("%q becomes %q", email, name)
		}
		if again := RoleSessionName(lower(email)); again != name {
			t.Fatalf("%q in lower case becomes %q, not %q", email, again, name)
		}
	})
}

func TestTagValue(t *testing.T) {
	taken := regexp.MustCompile(`^[\w .:/=+@-]{1,256}$`)
	for _, v := range []string{"https://idp.example.com/x", "auth0|123", "a,b", strings.Repeat("x", 300), strings.Repeat("x", 256)} {
		if got := tagValue(v); !taken.MatchString(got) {
			t.Errorf("%q becomes %q", v, got)
		}
	}
	if tagValue("auth0|123") == tagValue("auth0,123") || tagValue("auth0|123") == tagValue("auth0-123") {
		t.Error("the tags of different people differ")
	}
	if got := tagValue("https://idp.example.com/x"); got != "https://idp.example.com/x" {
		t.Errorf("a value that fits stays: got %q", got)
	}
}
