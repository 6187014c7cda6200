package session

import "github.com/redis/go-redis/v9"

// Hook puts something between the store and its server.
func Hook(r *Redis, hook redis.Hook) { r.client.AddHook(hook) }
