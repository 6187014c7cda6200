package session

import "github.com/redis/go-redis/v9"

// A session is a hash, which Redis frees when its time is up:
//
//	v  the version, for compare-and-set
//	d  the session, sealed together with its key and version
//	e  when it ends, in milliseconds since 1970
//	x  the index entries it stands in, with spaces between
//
// An index entry is a sorted set of keys of sessions, by when they end. A noted
// logout is a string, when the provider gave the order, in milliseconds.
//
// Redis may run a script a second time if its first answer was lost on the way.
// A write then finds its own sealed text, which is never the same twice, and
// says "ok" again.

// indexLua adds a session to index entries: KEYS[2] to KEYS[last].
// What has ended for longer than clocks may differ is forgotten on the way, and
// the entry lives as long as the last session in it.
const indexLua = `
local function index(last, member, ends, now)
  local margin = 600000
  for i = 2, last do
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - margin)
    redis.call('ZADD', KEYS[i], ends, member)
    local left = ends - now + margin
    if redis.call('PTTL', KEYS[i]) < left then
      redis.call('PEXPIRE', KEYS[i], left)
    end
  end
  return table.concat(KEYS, ' ', 2, last)
end
`

// createLua: KEYS session, index entries, logouts; ARGV member, sealed, ends,
// now, idle, the number of keys before the logouts, time of the login.
const createLua = indexLua + `
local member, sealed = ARGV[1], ARGV[2]
local ends, now, idle = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local stored = redis.call('HGET', KEYS[1], 'd')
if stored == sealed then
  return 'ok'
elseif stored then
  return 'conflict'
end
local last = tonumber(ARGV[6])
for i = last + 1, #KEYS do
  local at = redis.call('GET', KEYS[i])
  if at and tonumber(ARGV[7]) <= tonumber(at) then
    return 'logged out'
  end
end
local left = ends - now
if idle > 0 and idle < left then
  left = idle
end
local x = index(last, member, ends, now)
redis.call('HSET', KEYS[1], 'v', '1', 'd', sealed, 'e', ARGV[3], 'x', x)
redis.call('PEXPIRE', KEYS[1], left)
return 'ok'
`

// getLua: KEYS session; ARGV now, idle. Answers version and sealed, or nothing.
const getLua = `
local found = redis.call('HMGET', KEYS[1], 'v', 'd', 'e')
if not found[2] then
  return false
end
local idle, left = tonumber(ARGV[2]), tonumber(found[3]) - tonumber(ARGV[1])
if left <= 0 then
  return false
end
if idle > 0 and idle < left then
  left = idle
end
redis.call('PEXPIRE', KEYS[1], left)
return {found[1], found[2]}
`

// updateLua: KEYS session, index entries; ARGV member, sealed, ends, now, idle,
// seen version, new version. The time left to an unused session stays.
const updateLua = indexLua + `
local member, sealed = ARGV[1], ARGV[2]
local ends, now, idle = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local found = redis.call('HMGET', KEYS[1], 'v', 'd', 'x')
if not found[2] then
  return 'gone'
elseif found[2] == sealed then
  return 'ok'
elseif found[1] ~= ARGV[6] then
  return 'conflict'
end
for entry in string.gmatch(found[3], '%S+') do
  redis.call('ZREM', entry, member)
end
local x = index(#KEYS, member, ends, now)
redis.call('HSET', KEYS[1], 'v', ARGV[7], 'd', sealed, 'e', ARGV[3], 'x', x)
if idle <= 0 or redis.call('PTTL', KEYS[1]) > ends - now then
  redis.call('PEXPIRE', KEYS[1], ends - now)
end
return 'ok'
`

// endLua: KEYS session, an index entry it was found in, if any; ARGV member,
// channel. Answers version and sealed, or nothing.
const endLua = `
local found = redis.call('HMGET', KEYS[1], 'v', 'd', 'x')
if KEYS[2] then
  redis.call('ZREM', KEYS[2], ARGV[1])
end
if not found[2] then
  return false
end
redis.call('DEL', KEYS[1])
for entry in string.gmatch(found[3], '%S+') do
  redis.call('ZREM', entry, ARGV[1])
end
redis.call('PUBLISH', ARGV[2], ARGV[1])
return {found[1], found[2]}
`

// logoutLua: KEYS logouts; ARGV when, milliseconds to remember it. The latest
// counts.
const logoutLua = `
for i = 1, #KEYS do
  local at = redis.call('GET', KEYS[i])
  if not at or tonumber(at) < tonumber(ARGV[1]) then
    redis.call('SET', KEYS[i], ARGV[1], 'PX', ARGV[2])
  end
end
return 'ok'
`

// lockLua: KEYS session, lock; ARGV owner, milliseconds.
const lockLua = `
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 'gone'
elseif redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return 'ok'
elseif redis.call('GET', KEYS[2]) == ARGV[1] then
  return 'ok'
end
return 'held'
`

// unlockLua: KEYS lock; ARGV owner.
const unlockLua = `
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 'ok'
`

// readyLua tries what the other scripts need: KEYS a key; ARGV channel. The
// empty message names no session.
const readyLua = `
redis.call('SET', KEYS[1], '1', 'PX', 10000)
redis.call('PUBLISH', ARGV[1], '')
return 'ok'
`

type scripts struct {
	create, get, update, end, logout, lock, unlock, ready *redis.Script
}

func newScripts() scripts {
	return scripts{
		create: redis.NewScript(createLua),
		get:    redis.NewScript(getLua),
		update: redis.NewScript(updateLua),
		end:    redis.NewScript(endLua),
		logout: redis.NewScript(logoutLua),
		lock:   redis.NewScript(lockLua),
		unlock: redis.NewScript(unlockLua),
		ready:  redis.NewScript(readyLua),
	}
}
