package session_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws-auth-refresher/aws-auth-refresher/internal/redisbed"
	"github.com/aws-auth-refresher/aws-auth-refresher/internal/session"
)

// realistic is a session as large as they are: an ID token of 1.5 KB, a session
// token of 1 KB.
func realistic(i int) session.Session {
	now := time.Now()
	person := fmt.Sprintf("person-%d", i)
	groups := []any{}
	for g := range 8 {
		groups = append(groups, fmt.Sprintf("department-%d-team-%d", i%7, g))
	}
	return session.Session{
		Issuer: "https://idp.example/realms/people", Subject: fmt.Sprintf("6f1c9a52-7a1f-4a8e-9c39-%012d", i),
		SID: fmt.Sprintf("sid-%032d", i), Email: person + "@example.com",
		Claims: map[string]any{
			"iss": "https://idp.example/realms/people", "sub": fmt.Sprintf("6f1c9a52-7a1f-4a8e-9c39-%012d", i),
			"aud": "dashboard", "exp": float64(now.Unix()), "iat": float64(now.Unix()), "auth_time": float64(now.Unix()),
			"email": person + "@example.com", "email_verified": true, "name": person, "groups": groups,
		},
		IDToken: strings.Repeat("i", 1500), RefreshToken: strings.Repeat("r", 600),
		Identity: "arn:aws:iam::123456789012:role/dashboard-viewer", RoleSessionName: person + "@example.com",
		Credentials: session.AWSCredentials{
			AccessKeyID: fmt.Sprintf("ASIA%016d", i), SecretAccessKey: strings.Repeat("s", 40),
			SessionToken: strings.Repeat("t", 1000), Expires: now.Add(time.Hour),
		},
		CSRF: strings.Repeat("c", 43), Created: now, Ends: now.Add(maxAge),
	}
}

// fill creates sessions and returns their ids.
func fill(b *testing.B, s store, n int) []session.ID {
	b.Helper()
	ids := make([]session.ID, n)
	for i := range ids {
		ids[i] = newID(b)
		if err := s.Create(b.Context(), ids[i], realistic(i)); err != nil {
			b.Fatal(err)
		}
	}
	return ids
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapInuse
}

// BenchmarkMemory10000 reports what 10,000 sessions take in memory: MiB, the
// HeapInuse after a collection.
func BenchmarkMemory10000(b *testing.B) {
	for b.Loop() {
		before := heapInUse()
		m := session.NewMemory(session.MemoryConfig{Idle: idle})
		ids := fill(b, m, 10_000)
		after := heapInUse()
		b.ReportMetric(float64(after)/(1<<20), "MiB-in-use")
		b.ReportMetric(float64(after-before)/float64(len(ids)), "B/session")
		runtime.KeepAlive(m)
	}
}

func BenchmarkGet(b *testing.B) {
	each(b, func(b *testing.B, s store) {
		ids := fill(b, s, 1000)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if _, err := s.Get(context.Background(), ids[i%len(ids)]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

func BenchmarkCreate(b *testing.B) {
	each(b, func(b *testing.B, s store) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if err := s.Create(b.Context(), newID(b), realistic(i)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkCreateFull creates in a store that is full.
func BenchmarkCreateFull(b *testing.B) {
	for _, size := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			m := session.NewMemory(session.MemoryConfig{Max: size, Idle: idle})
			fill(b, m, size)
			for i := 0; b.Loop(); i++ {
				if err := m.Create(b.Context(), newID(b), realistic(i)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func each(b *testing.B, run func(b *testing.B, s store)) {
	b.Helper()
	b.Run("memory", func(b *testing.B) { run(b, session.NewMemory(session.MemoryConfig{Idle: idle})) })
	b.Run("redis", func(b *testing.B) {
		server := redisbed.Start(b)
		run(b, newRedis(b, session.RedisConfig{URL: server.URL(), Keys: keys(b, secretA), Associated: "here", Idle: idle}))
	})
}

func BenchmarkSealOpen(b *testing.B) {
	k, plain := keys(b, secretA), make([]byte, 1024)
	for b.Loop() {
		if _, err := k.Open("purpose", k.Seal("purpose", plain, nil), nil); err != nil {
			b.Fatal(err)
		}
	}
}
