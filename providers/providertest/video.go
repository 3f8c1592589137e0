package providertest

import (
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// A video of the API behind the provider.
type video struct {
	id, name, about string
	seconds         int
}

var videos = []video{
	{"1", "Notes by the translator", "How an engine would compute Bernoulli numbers.", 372},
	{"2", "Nanoseconds", "A piece of wire, as long as light travels in one.", 115},
	{"3", "The first actual bug", "It was a moth.", 64},
	{"4", "Group theory before breakfast", "Written down in one night.", 540},
}

// serveMe is GET /me: who the token is for.
func (s *Server) serveMe(w http.ResponseWriter, r *http.Request) {
	a, ok := s.reader(w, r, "")
	if !ok {
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"uri": "/users/" + a.account.ID, "name": a.account.Name, "link": s.URL("/"), "account": "practice",
		"metadata": map[string]any{"connections": map[string]any{
			"videos": map[string]any{"uri": "/me/videos", "total": len(videos)},
		}},
	})
}

// serveVideos is GET /me/videos. It needs scope videos.
func (s *Server) serveVideos(w http.ResponseWriter, r *http.Request) {
	a, ok := s.reader(w, r, "videos")
	if !ok {
		return
	}
	data := make([]any, len(videos))
	for i, v := range videos {
		data[i] = s.describe(v, a.account)
	}
	writeJSON(w, http.StatusOK, map[string]any{
		"total": len(data), "page": 1, "per_page": 25, "data": data,
		"paging": map[string]any{"next": nil, "previous": nil, "first": "/me/videos?page=1", "last": "/me/videos?page=1"},
	})
}

// serveVideo is GET /me/videos/{id}. It needs scope videos.
func (s *Server) serveVideo(w http.ResponseWriter, r *http.Request) {
	v, a, ok := s.requested(w, r)
	if !ok {
		return
	}
	writeJSON(w, http.StatusOK, s.describe(v, a.account))
}

// requested returns the video of the URL, and the token that may see it. If not ok, w has the answer.
func (s *Server) requested(w http.ResponseWriter, r *http.Request) (v video, a *access, ok bool) {
	a, ok = s.reader(w, r, "videos")
	if !ok {
		return video{}, a, false
	}
	v, ok = findVideo(r.PathValue("id"))
	if !ok {
		writeJSON(w, http.StatusNotFound, map[string]any{"error": "The requested video could not be found."})
	}
	return v, a, ok
}

// reader returns the token of a GET of the API that needs this scope. If not ok, w has the answer.
func (s *Server) reader(w http.ResponseWriter, r *http.Request, scope string) (a *access, ok bool) {
	if !allow(w, r, http.MethodGet) {
		return nil, false
	}
	a, ok = s.bearer(w, r, scope)
	return a, ok && s.satisfied(w, r, a)
}

func findVideo(id string) (video, bool) {
	for _, v := range videos {
		if v.id == id {
			return v, true
		}
	}
	return video{}, false
}

func (s *Server) describe(v video, owner Account) map[string]any {
	return map[string]any{
		"uri": "/videos/" + v.id, "name": v.name, "description": v.about, "duration": v.seconds,
		"width": 640, "height": 360, "created_time": "2026-01-0" + v.id + "T10:00:00+00:00",
		"link": s.URL("/"), "user": map[string]any{"uri": "/users/" + owner.ID, "name": owner.Name},
		"pictures": map[string]any{"sizes": []any{
			map[string]any{"width": 640, "height": 360, "link": s.URL("/videos/" + v.id + "/picture.svg")},
		}},
		"files": []any{map[string]any{"quality": "sd", "type": "application/octet-stream", "link": s.URL("/me/videos/" + v.id + "/file")}},
	}
}

const fileSize = 1 << 20

// serveFile is GET /me/videos/{id}/file: a mebibyte, or as much as the parameter bytes says, up to a
// gibibyte, sent as it is made. It needs scope videos. The bytes are no film.
func (s *Server) serveFile(w http.ResponseWriter, r *http.Request) {
	v, _, ok := s.requested(w, r)
	if !ok {
		return
	}
	size := int64(fileSize)
	if n, err := strconv.ParseInt(r.URL.Query().Get("bytes"), 10, 64); err == nil && n >= 0 && n <= 1<<30 {
		size = n
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	w.Header().Set("Cache-Control", "private, no-store")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	stream(w, io.LimitReader(&frames{line: strings.Repeat("this would be "+v.name+"\n", 200)}, size))
}

// frames is an endless stream of one line.
type frames struct {
	line string
	at   int // in line
}

func (f *frames) Read(p []byte) (n int, err error) {
	for n < len(p) {
		c := copy(p[n:], f.line[f.at:])
		n, f.at = n+c, (f.at+c)%len(f.line)
	}
	return n, nil
}

// servePicture draws a picture for a video. It is public, as such pictures are.
func (s *Server) servePicture(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodGet) {
		return
	}
	v, ok := findVideo(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := fnv.New32a()
	_, _ = io.WriteString(h, v.name) // never fails
	hue := h.Sum32() % 360
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Cache-Control", "max-age=300")
	// Pictures are embedded by pages of other origins, some of which isolate themselves.
	w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
	w.Header().Set("Content-Security-Policy", "default-src 'none'")
	fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 360" role="img" aria-label=%q>`+
		`<rect width="640" height="360" fill="hsl(%d 45%% 32%%)"/><circle cx="%d" cy="360" r="220" fill="hsl(%d 55%% 46%%)"/>`+
		`<path d="M290 130v100l86-50z" fill="#fff" opacity=".9"/></svg>`, v.name, hue, 120+hue, (hue+40)%360)
}
