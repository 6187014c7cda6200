package session_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

// dump returns everything that is in Redis, as text.
func dump(t *testing.T, raw *redis.Client) string {
	t.Helper()
	names, err := raw.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	var all []any
	for _, name := range names {
		var value any
		switch kind := raw.Type(t.Context(), name).Val(); kind {
		case "hash":
			value = raw.HGetAll(t.Context(), name).Val()
		case "zset":
			value = raw.ZRangeWithScores(t.Context(), name, 0, -1).Val()
		default:
			value = raw.Get(t.Context(), name).Val()
		}
		all = append(all, name, value)
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRedisSeesNothing(t *testing.T) {
	b := redisStores(t)
	raw := rawClient(t, b.redis)
	id := b.create(t, nil)
	if _, ok, err := b.Lock(t.Context(), id, time.Minute); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := b.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := b.mustPeek(t, id)
	text := dump(t, raw)
	for _, secret := range []string{
		string(id), s.Issuer, "idp.example", s.Subject, s.SID, s.Email, s.IDToken, s.RefreshToken, s.Identity, s.CSRF,
		s.Credentials.AccessKeyID, s.Credentials.SecretAccessKey, s.Credentials.SessionToken, s.Lease.Token, "admins",
	} {
		if strings.Contains(text, `"`+secret) || len(secret) > 5 && strings.Contains(text, secret) {
			t.Errorf("Redis holds %q", secret)
		}
	}
	if !strings.Contains(text, id.Key()) {
		t.Error("the test looks in the wrong place: the key is not there either")
	}
	b.forward(0) // everything must have a time to live
}

func TestNothingStaysInRedis(t *testing.T) {
	b := redisStores(t)
	raw := rawClient(t, b.redis)
	for range 3 {
		id := b.create(t, nil)
		if err := b.Update(t.Context(), id, b.mustPeek(t, id)); err != nil {
			t.Fatal(err)
		}
		if _, _, err := b.Lock(t.Context(), id, time.Minute); err != nil {
			t.Fatal(err)
		}
		b.forward(time.Hour / 2)
	}
	if err := b.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.forward(maxAge + 15*time.Minute)
	if left := raw.DBSize(t.Context()).Val(); left != 0 {
		t.Errorf("%d keys stay in Redis: %s", left, dump(t, raw))
	}

	ended := b.create(t, nil)
	if _, err := b.End(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	if left := raw.DBSize(t.Context()).Val(); left != 0 {
		t.Errorf("%d keys stay in Redis after an end: %s", left, dump(t, raw))
	}
}

func TestAnIndexOfSomebodyWhoLogsInAgainAndAgainStaysSmall(t *testing.T) {
	b := redisStores(t)
	raw := rawClient(t, b.redis)
	for range 60 {
		b.create(t, func(s *session.Session) { s.SID = "" })
		b.forward(idle)
	}
	for _, name := range raw.Keys(t.Context(), "*:index:*").Val() {
		if n := raw.ZCard(t.Context(), name).Val(); n > 15 {
			t.Errorf("an index holds %d sessions, of which at most 13 could live", n)
		}
	}
}

func TestWhoWritesToRedisMakesNoSession(t *testing.T) {
	for _, c := range []struct {
		reason string
		tamper func(t *testing.T, raw *redis.Client, victim, own string)
	}{
		{"another session's record", func(t *testing.T, raw *redis.Client, victim, own string) {
			t.Helper()
			stored := raw.HGetAll(t.Context(), victim).Val()
			raw.HSet(t.Context(), own, stored)
		}},
		{"another version", func(t *testing.T, raw *redis.Client, _, own string) {
			t.Helper()
			raw.HSet(t.Context(), own, "v", "2")
		}},
		{"a changed record", func(t *testing.T, raw *redis.Client, _, own string) {
			t.Helper()
			sealed := []byte(raw.HGet(t.Context(), own, "d").Val())
			if sealed[60]++; sealed[60] > 'z' {
				sealed[60] = 'A'
			}
			raw.HSet(t.Context(), own, "d", string(sealed))
		}},
		{"no record", func(t *testing.T, raw *redis.Client, _, own string) {
			t.Helper()
			raw.HSet(t.Context(), own, "d", "")
		}},
	} {
		t.Run(c.reason, func(t *testing.T) {
			b := redisStores(t)
			raw := rawClient(t, b.redis)
			victim, own := b.create(t, nil), b.create(t, func(s *session.Session) { s.Subject = "mallory" })
			at := func(id session.ID) string {
				return raw.Keys(t.Context(), "*:session:"+id.Key()).Val()[0]
			}
			c.tamper(t, raw, at(victim), at(own))
			b.gone(t, own, "its record does not open")
		})
	}
}

func TestALaterEndInRedisDoesNotProlong(t *testing.T) {
	b := redisStores(t)
	raw := rawClient(t, b.redis)
	id := b.create(t, func(s *session.Session) { s.Ends = s.Created.Add(time.Minute) })
	name := raw.Keys(t.Context(), "*:session:"+id.Key()).Val()[0]
	raw.HSet(t.Context(), name, "e", b.now().Add(maxAge).UnixMilli())
	raw.PExpire(t.Context(), name, maxAge)
	b.forward(time.Minute)
	b.gone(t, id, "the sealed end counts")
}

func TestStoresOfOtherClustersAreApart(t *testing.T) {
	b := redisStores(t)
	id := b.create(t, nil)
	other := newRedis(t, session.RedisConfig{URL: b.redis.URL(), Keys: keys(t, secretA), Associated: "elsewhere", Now: b.now})
	if _, err := other.Get(t.Context(), id); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("the store of another cluster answered %v, want ErrNotFound", err)
	}
	if ended, err := other.EndIndexed(t.Context(), session.Index{Issuer: issuer, Subject: "alice"}); err != nil || len(ended) != 0 {
		t.Errorf("the store of another cluster ended %v, %v", ended, err)
	}
	b.mustPeek(t, id)

	// Not even a record that is moved there opens.
	raw := rawClient(t, b.redis)
	name := raw.Keys(t.Context(), "*:session:"+id.Key()).Val()[0]
	if err := other.Create(t.Context(), newID(t), b.login()); err != nil {
		t.Fatal(err)
	}
	var there string
	for _, n := range raw.Keys(t.Context(), "*:session:*").Val() {
		if prefix, _, ok := strings.Cut(n, "session:"); ok && n != name {
			there = prefix + "session:" + id.Key()
		}
	}
	if err := raw.Rename(t.Context(), name, there).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Get(t.Context(), id); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("a record that was moved to another cluster answered %v, want ErrNotFound", err)
	}
}

func TestSecretsRotateInRedis(t *testing.T) {
	b := redisStores(t)
	with := func(k *session.Keys) *session.Redis {
		return newRedis(t, session.RedisConfig{URL: b.redis.URL(), Keys: k, Associated: "here", Idle: idle, Now: b.now})
	}
	both, onlyNew := with(keys(t, secretB, secretA)), with(keys(t, secretB))
	old, renewed := b.create(t, nil), b.create(t, nil)
	b.create(t, func(s *session.Session) { s.SID = "sid-2" })

	s, err := both.Get(t.Context(), renewed)
	if err != nil {
		t.Fatal("with the previous secret:", err)
	}
	if err := both.Update(t.Context(), renewed, s); err != nil {
		t.Fatal(err)
	}
	if _, err := onlyNew.Get(t.Context(), renewed); err != nil {
		t.Error("an update seals with the current secret:", err)
	}
	if _, err := onlyNew.Get(t.Context(), old); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("without the previous secret: %v, want ErrNotFound", err)
	}
	if ended, err := both.EndIndexed(t.Context(), session.Index{Issuer: issuer, SID: "sid-1"}); err != nil || len(ended) != 2 {
		t.Errorf("under two secrets EndIndexed ended %d, %v, want 2", len(ended), err)
	}
	if ended, err := both.EndIndexed(t.Context(), session.Index{Issuer: issuer, Subject: "alice"}); err != nil || len(ended) != 1 {
		t.Errorf("under the previous secret EndIndexed ended %d, %v, want 1", len(ended), err)
	}
}

func TestNewRedisRefuses(t *testing.T) {
	for _, url := range []string{
		"", "memory", "http://localhost", "redis://:hunter2/x@localhost:6379", "redis://user:hunter2@localhost/hunter2",
		"redis://:hunter2@local host", "redis://:hunter2:6379", "redis://localhost?password=hunter2",
	} {
		_, err := session.NewRedis(session.RedisConfig{URL: url, Keys: keys(t, secretA)})
		if err == nil {
			t.Errorf("%q was taken", url)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "redis://[user:password@]host") {
			t.Errorf("the refusal of %q leaks the password or does not help: %v", url, err)
		}
	}
	if _, err := session.NewRedis(session.RedisConfig{URL: "redis://localhost"}); err == nil {
		t.Error("a store without keys was made")
	}
}

// TestARepeatedWriteIsNoConflict stands for an answer that was lost on the way:
// the client sends the very same script again.
func TestARepeatedWriteIsNoConflict(t *testing.T) {
	b := redisStores(t)
	raw := rawClient(t, b.redis)
	hook := &repeat{}
	r := newRedis(t, session.RedisConfig{URL: b.redis.URL(), Keys: keys(t, secretA), Associated: "here", Idle: idle, Now: b.now})
	session.Hook(r, hook)
	id := newID(t)
	if err := r.Create(t.Context(), id, b.login()); err != nil {
		t.Error("Create:", err)
	}
	s, err := r.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Update(t.Context(), id, s); err != nil {
		t.Error("Update:", err)
	}
	if s, err := b.Get(t.Context(), id); err != nil || s.Version != 2 {
		t.Errorf("version %d, %v, want 2", s.Version, err)
	}
	release, ok, err := r.Lock(t.Context(), id, time.Minute)
	if err != nil || !ok {
		t.Errorf("Lock: %t, %v", ok, err)
	}
	release()
	if n := len(raw.Keys(t.Context(), "*:lock:*").Val()); n != 0 {
		t.Errorf("%d locks are left", n)
	}
	if hook.repeated < 5 {
		t.Errorf("only %d calls were repeated", hook.repeated)
	}
}

func TestHidden(t *testing.T) {
	b := &bed{now: time.Now}
	id, s := newID(t), b.login()
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, value := range []any{id, s, &s, s.Credentials, s.Lease, struct{ S session.Session }{s}, []session.ID{id}} {
			text := fmt.Sprintf(format, value)
			for _, secret := range []string{string(id), s.IDToken, s.RefreshToken, "hvs.1", "secret", "csrf-1"} {
				if strings.Contains(text, secret) {
					t.Errorf("%s of a %T shows %q", format, value, secret)
				}
			}
		}
	}
}
