package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// callTimeout bounds each call, with whatever is tried again inside.
	callTimeout = 3 * time.Second
	dialTimeout = time.Second
	ioTimeout   = time.Second

	recordPurpose = "session record v1"
	indexPurpose  = "session index v1"
	logoutPurpose = "session logout v1"
)

// RedisConfig says where the sessions are and what protects them there.
type RedisConfig struct {
	// URL is redis://[user:password@]host[:port][/database], rediss:// likewise
	// for TLS, or unix://[user:password@]/path. Required.
	URL string
	// RootCAs verify the server of a rediss URL. Default: those of the system.
	RootCAs *x509.CertPool
	// Keys seal what is stored. Required, and the same in every replica.
	Keys *Keys
	// Associated names what the sessions are for: issuer, client and cluster.
	// Stores that differ in it do not see each other's sessions.
	Associated string
	// Idle is after how long without Get a session ends. Default: 0, never.
	Idle time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Log is told of records that do not open and of watching being cut off.
	Log logr.Logger
}

// Redis keeps the sessions that several replicas share. It is for concurrent
// use. Whoever reads Redis sees neither ids nor what a session holds. Whoever
// writes to it can neither make a session up nor change what one holds, but can
// end one, and bring back what was there before, as far as its Ends: an earlier
// state of a session, or one that has ended. So does a Redis that forgets its
// last writes, as after a failover or when it begins again from an old copy.
type Redis struct {
	cfg     RedisConfig
	client  *redis.Client
	scripts scripts
	prefix  string // of every key
}

// NewRedis checks the configuration. It does not connect: Ready does.
func NewRedis(cfg RedisConfig) (*Redis, error) {
	if cfg.Keys == nil {
		return nil, errors.New("a Redis store needs keys that seal its sessions")
	}
	options, ok := parseURL(cfg.URL)
	if !ok {
		// The library's words may hold a piece of the password.
		return nil, errors.New("the Redis URL cannot be read; it looks like redis://[user:password@]host[:port][/database], " +
			"rediss:// likewise for TLS, or unix://[user:password@]/path, with special characters of the password %-encoded")
	}
	setUp(options)
	if options.TLSConfig != nil && cfg.RootCAs != nil {
		options.TLSConfig.RootCAs = cfg.RootCAs
	}
	// The library has one logger for the whole process.
	redis.SetLogger(libraryLog{cfg.Log})
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	namespace := sha256.Sum256([]byte(cfg.Associated))
	return &Redis{
		cfg:     cfg,
		client:  redis.NewClient(options),
		scripts: newScripts(),
		// The braces keep the keys of one script together in a Redis cluster.
		prefix: "aws-auth-refresher:login:{" + hex.EncodeToString(namespace[:8]) + "}:",
	}, nil
}

// parseURL reads a URL, and refuses a password without its "@", which the
// library takes for a host.
func parseURL(text string) (*redis.Options, bool) {
	options, err := redis.ParseURL(text)
	if err != nil {
		return nil, false
	}
	if options.Network == "unix" {
		return options, true
	}
	host, _, err := net.SplitHostPort(options.Addr)
	return options, err == nil && (!strings.Contains(host, ":") || net.ParseIP(host) != nil)
}

// libraryLog passes on what the library says about its connections.
type libraryLog struct{ log logr.Logger }

// Printf is what the library calls.
func (l libraryLog) Printf(_ context.Context, format string, args ...any) {
	l.log.V(1).Info("from the Redis client", "said", fmt.Sprintf(format, args...))
}

// setUp makes the client give up soon. What the URL says stays.
func setUp(o *redis.Options) {
	o.ContextTimeoutEnabled = true
	o.DialerRetries = 1
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	// One more try is for connections that died unnoticed in the pool.
	if o.MaxRetries == 0 {
		o.MaxRetries = 1
	}
	for _, setting := range []struct {
		value *time.Duration
		ours  time.Duration
	}{
		{&o.DialTimeout, dialTimeout},
		{&o.ReadTimeout, ioTimeout},
		{&o.WriteTimeout, ioTimeout},
		{&o.PoolTimeout, ioTimeout},
		{&o.ConnMaxIdleTime, 5 * time.Minute},
	} {
		if *setting.value == 0 {
			*setting.value = setting.ours
		}
	}
}

// Close closes the connections.
func (r *Redis) Close() error { return r.client.Close() }

// Create stores a new session under an id that NewID has made. It answers
// ErrConflict if the id is taken, and ErrLoggedOut if the provider has ended the
// login meanwhile.
func (r *Redis) Create(ctx context.Context, id ID, s Session) error {
	now := r.cfg.Now()
	if err := s.checkNew(now); err != nil {
		return err
	}
	s.Version = 1
	sealed, err := r.seal(id.Key(), s)
	if err != nil {
		return err
	}
	keys := r.keys(id, s)
	args := append(r.args(id, s, sealed, now), len(keys), s.LoggedIn.UnixMilli())
	for _, entry := range s.indexEntries() {
		keys = append(keys, r.logoutKeys(entry)...)
	}
	return r.write(ctx, r.scripts.create, keys, args)
}

// Update stores a session that was read and changed, and counts its Version up.
// It answers ErrConflict if the stored Version is another one by now, and
// ErrNotFound if the session has ended: it never creates one. It does not mark
// the session used.
func (r *Redis) Update(ctx context.Context, id ID, s Session) error {
	stored, err := r.Peek(ctx, id)
	if err != nil {
		return err
	}
	now := r.cfg.Now()
	switch {
	case s.over(now):
		return ErrNotFound
	case stored.Version != s.Version:
		return ErrConflict
	}
	if err := s.checkUpdate(stored); err != nil {
		return err
	}
	s.Version++
	sealed, err := r.seal(id.Key(), s)
	if err != nil {
		return err
	}
	args := append(r.args(id, s, sealed, now), version(stored.Version), version(s.Version))
	return r.write(ctx, r.scripts.update, r.keys(id, s), args)
}

func (r *Redis) args(id ID, s Session, sealed string, now time.Time) []any {
	return []any{id.Key(), sealed, s.Ends.UnixMilli(), now.UnixMilli(), r.cfg.Idle.Milliseconds()}
}

func (r *Redis) write(ctx context.Context, script *redis.Script, keys []string, args []any) error {
	answer, err := r.run(ctx, script, keys, args...).Text()
	if err != nil {
		return unavailable(err)
	}
	switch answer {
	case "ok":
		return nil
	case "conflict":
		return ErrConflict
	case "logged out":
		return ErrLoggedOut
	default:
		return ErrNotFound
	}
}

// Get returns a session and marks it used.
func (r *Redis) Get(ctx context.Context, id ID) (Session, error) {
	key := id.Key()
	found, err := r.run(ctx, r.scripts.get, []string{r.sessionKey(key)},
		r.cfg.Now().UnixMilli(), r.cfg.Idle.Milliseconds()).Slice()
	return r.found(key, found, err)
}

// Peek returns a session without marking it used.
func (r *Redis) Peek(ctx context.Context, id ID) (Session, error) {
	key := id.Key()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	found, err := r.client.HMGet(ctx, r.sessionKey(key), "v", "d").Result()
	return r.found(key, found, err)
}

// End ends a session and returns what it was. The Watch of every replica hears
// of it. If Redis ends it but its answer is lost on the way, End says
// ErrUnavailable or, after its second try, ErrNotFound.
func (r *Redis) End(ctx context.Context, id ID) (Session, error) {
	return r.end(ctx, id.Key())
}

// end ends the session of that key and forgets it in the index entries too.
func (r *Redis) end(ctx context.Context, key string, entries ...string) (Session, error) {
	keys := append([]string{r.sessionKey(key)}, entries...)
	found, err := r.run(ctx, r.scripts.end, keys, key, r.channel()).Slice()
	return r.found(key, found, err)
}

// EndIndexed ends the sessions that a provider names and returns what they
// were, the oldest first. None is no error. With an error come those that were
// ended before it.
func (r *Redis) EndIndexed(ctx context.Context, x Index) ([]Session, error) {
	entries, err := x.entries()
	if err != nil {
		return nil, err
	}
	if !x.At.IsZero() {
		if err := r.noteLogout(ctx, entries, x.At); err != nil {
			return nil, err
		}
	}
	var names []string
	for _, entry := range entries {
		names = append(names, r.indexKeys(entry)...)
	}
	var ended []Session
	for _, name := range names {
		keys, err := r.indexed(ctx, name)
		if err != nil {
			return sorted(ended), err
		}
		for _, key := range keys {
			switch s, err := r.end(ctx, key, name); {
			case err == nil:
				ended = append(ended, s)
			case !errors.Is(err, ErrNotFound):
				return sorted(ended), err
			}
		}
	}
	return sorted(ended), nil
}

// indexed returns the keys of the sessions in an index entry.
func (r *Redis) indexed(ctx context.Context, name string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	keys, err := r.client.ZRange(ctx, name, 0, -1).Result()
	if err != nil {
		return nil, unavailable(err)
	}
	return keys, nil
}

// Lock gives one caller at a time, of all replicas, the right to renew a
// session, for at most ttl. It does not wait: ok says whether the caller has it.
// release gives it back, may be called always and more than once, and takes it
// from nobody who got it later.
func (r *Redis) Lock(ctx context.Context, id ID, ttl time.Duration) (release func(), ok bool, err error) {
	if ttl < time.Millisecond {
		return func() {}, false, errNoTTL()
	}
	key, owner := id.Key(), rand.Text()
	answer, err := r.run(ctx, r.scripts.lock, []string{r.sessionKey(key), r.lockKey(key)}, owner, ttl.Milliseconds()).Text()
	switch {
	case err != nil:
		return func() {}, false, unavailable(err)
	case answer == "gone":
		return func() {}, false, ErrNotFound
	case answer != "ok":
		return func() {}, false, nil
	}
	return func() {
		// The caller's context may have ended; the lock is given back all the same.
		err := r.run(context.WithoutCancel(ctx), r.scripts.unlock, []string{r.lockKey(key)}, owner).Err()
		if err != nil {
			r.cfg.Log.V(1).Info("a lock stays until its time is up", "session", key[:shownOfKey], "error", err.Error())
		}
	}, true, nil
}

// Ready tries whether sessions can be written and their ends announced.
func (r *Redis) Ready(ctx context.Context) error {
	if err := r.run(ctx, r.scripts.ready, []string{r.prefix + "ready"}, r.channel()).Err(); err != nil {
		return unavailable(err)
	}
	return nil
}

func (r *Redis) run(ctx context.Context, script *redis.Script, keys []string, args ...any) *redis.Cmd {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return script.Run(ctx, r.client, keys, args...)
}

// found turns an answer of version and sealed record into a session.
func (r *Redis) found(key string, answer []any, err error) (Session, error) {
	switch {
	case errors.Is(err, redis.Nil):
		return Session{}, ErrNotFound
	case err != nil:
		return Session{}, unavailable(err)
	case len(answer) != 2 || answer[1] == nil:
		return Session{}, ErrNotFound
	}
	stored, _ := answer[0].(string)
	sealed, _ := answer[1].(string)
	s, err := r.open(key, stored, sealed)
	if err != nil {
		// Sealed by a secret that is no longer given, or tampered with.
		r.cfg.Log.Info("a stored session does not open", "session", key[:shownOfKey], "error", err.Error())
		return Session{}, ErrNotFound
	}
	if s.over(r.cfg.Now()) {
		return Session{}, ErrNotFound
	}
	return s, nil
}

func (r *Redis) seal(key string, s Session) (string, error) {
	text, err := encode(s)
	if err != nil {
		return "", err
	}
	return r.cfg.Keys.Seal(recordPurpose, text, r.associated(key, version(s.Version))), nil
}

func (r *Redis) open(key, stored, sealed string) (Session, error) {
	text, err := r.cfg.Keys.Open(recordPurpose, sealed, r.associated(key, stored))
	if err != nil {
		return Session{}, err
	}
	return decode(text)
}

func (r *Redis) associated(key, version string) []byte {
	return appendPart(appendPart(appendPart(nil, key), version), r.cfg.Associated)
}

func version(v uint64) string { return strconv.FormatUint(v, 10) }

func unavailable(err error) error { return fmt.Errorf("%w: %w", ErrUnavailable, err) }
