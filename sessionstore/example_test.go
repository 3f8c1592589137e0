package sessionstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/returnleg/returnleg/sessionstore"
)

// A value that may be used once, such as a code that was sent by mail, is a field with a version.
// Whoever deletes it under the condition that it still has that version has taken it: of several
// that try at once, one succeeds.
func Example() {
	ctx := context.Background()
	var store sessionstore.Store = new(sessionstore.Memory)
	key := sessionstore.Key{Kind: "session", ID: "VGhlcmUncyBhIHdheSBiYWNr"}

	err := store.Update(ctx, key, sessionstore.Change{
		Mode:    sessionstore.MustNotExist,
		Set:     []sessionstore.Field{{Name: "code", Value: "314159", Version: rand.Uint64() | 1}},
		Expires: time.Now().Add(10 * time.Minute),
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	take := func() (string, error) {
		r, err := store.Load(ctx, key)
		if err != nil {
			return "", err
		}
		code, ok := r.Field("code")
		if !ok {
			return "", errors.New("there is no code")
		}
		return code.Value, store.Update(ctx, key, sessionstore.Change{
			If:     []sessionstore.Match{{Name: code.Name, Version: code.Version}},
			Delete: []string{code.Name},
		})
	}
	fmt.Println(take())
	fmt.Println(take())
	// Output:
	// 314159 <nil>
	//  there is no code
}

// Two requests of one session that set different fields both win, and neither has to read first.
func ExampleStore_merge() {
	ctx := context.Background()
	store := new(sessionstore.Memory)
	key := sessionstore.Key{Kind: "session", ID: "one"}
	hour := time.Now().Add(time.Hour)
	store.Update(ctx, key, sessionstore.Change{Mode: sessionstore.MustNotExist, Expires: hour})

	store.Update(ctx, key, sessionstore.Change{Set: []sessionstore.Field{{Name: "cart", Value: "3 apples"}}})
	store.Update(ctx, key, sessionstore.Change{Set: []sessionstore.Field{{Name: "theme", Value: "dark"}}})

	r, err := store.Load(ctx, key)
	if err != nil {
		fmt.Println(err)
		return
	}
	for f := range r.All() {
		fmt.Println(f.Name, "=", f.Value)
	}
	// Output:
	// cart = 3 apples
	// theme = dark
}

// The mistake to avoid: a change that may create a record revives one that was deleted while the
// request was on its way, and the person who signed out is signed in again. The zero Mode does not.
func ExampleMode() {
	ctx := context.Background()
	store := new(sessionstore.Memory)
	key := sessionstore.Key{Kind: "session", ID: "one"}
	late := sessionstore.Change{
		Set:     []sessionstore.Field{{Name: "seen", Value: "today"}},
		Expires: time.Now().Add(time.Hour),
	}
	fmt.Println(store.Update(ctx, key, late))

	late.Mode = sessionstore.MayExist // wrong, for a session
	fmt.Println(store.Update(ctx, key, late))
	// Output:
	// sessionstore: not found
	// <nil>
}

// A store that processes share holds nothing in the clear. To rotate keys, put a new one in front.
func ExampleSealed() {
	keys, err := sessionstore.ParseKeyring("BH8v4SMX1N3D2kq5bR0mKxo8uVtW7zYcAaLpQeGjHiE=")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	shared := new(sessionstore.Memory) // in its place: Redis, or a database
	store := sessionstore.Sealed(shared, keys)
	store.Unopened = func(k sessionstore.Key, field string, err error) {
		fmt.Printf("%s %s: %v\n", k.Kind, field, err)
	}

	key := sessionstore.Key{Kind: "session", ID: "one"}
	store.Update(ctx, key, sessionstore.Change{
		Mode:    sessionstore.MustNotExist,
		Set:     []sessionstore.Field{{Name: "name", Value: "Ada"}},
		Expires: time.Now().Add(time.Hour),
	})
	r, _ := store.Load(ctx, key)
	name, ok := r.Field("name")
	fmt.Println(name.Value, ok)

	// Somebody with access to the shared store writes into it.
	shared.Update(ctx, key, sessionstore.Change{Set: []sessionstore.Field{{Name: "name", Value: "Eve"}}})
	r, _ = store.Load(ctx, key)
	name, ok = r.Field("name")
	fmt.Println(name.Value, ok)
	// Output:
	// Ada true
	// session name: sessionstore: sealed by a key that is not in the ring: id 69
	//  false
}
