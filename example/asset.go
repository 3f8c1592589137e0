package main

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
)

//go:embed static
var static embed.FS

// assets serves the files of a folder. Their addresses carry a hash of the content, so that browsers
// may keep them for good.
type assets struct {
	files  http.Handler
	hashes map[string]string
}

func newAssets(fsys fs.FS) (*assets, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, err
	}
	a := &assets{files: http.FileServerFS(fsys), hashes: map[string]string{}}
	for _, e := range entries {
		b, err := fs.ReadFile(fsys, e.Name())
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(b)
		a.hashes[e.Name()] = base64.RawURLEncoding.EncodeToString(sum[:9])
	}
	return a, nil
}

// url returns the address of a file. A name that no file has is a mistake in a template, and shows as 404.
func (a *assets) url(name string) string {
	return "/static/" + name + "?v=" + a.hashes[name]
}

func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	hash, ok := a.hashes[path.Base(r.URL.Path)]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "public, no-cache")
	if r.URL.Query().Get("v") == hash {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.Header().Set("ETag", `"`+hash+`"`)
	a.files.ServeHTTP(w, r)
}
