package session

// keys returns those of the session and of its index entries.
func (r *Redis) keys(id ID, s Session) []string {
	keys := []string{r.sessionKey(id.Key())}
	for _, entry := range s.indexEntries() {
		keys = append(keys, r.indexKeys(entry)[0])
	}
	return keys
}

func (r *Redis) sessionKey(key string) string { return r.prefix + "session:" + key }
func (r *Redis) lockKey(key string) string    { return r.prefix + "lock:" + key }
func (r *Redis) channel() string              { return r.prefix + "ended" }

// indexKeys returns the key of an index entry under each secret, the current
// one first.
func (r *Redis) indexKeys(e indexEntry) []string {
	return r.macKeys("index:", indexPurpose, e)
}

func (r *Redis) macKeys(name, purpose string, e indexEntry) []string {
	macs := r.cfg.Keys.MACs(purpose, e.kind, e.issuer, e.value)
	for i, mac := range macs {
		macs[i] = r.prefix + name + mac
	}
	return macs
}

// logoutKeys returns the key of a noted logout under each secret.
func (r *Redis) logoutKeys(e indexEntry) []string {
	return r.macKeys("logout:", logoutPurpose, e)
}
