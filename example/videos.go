package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"path"
	"slices"

	"github.com/returnleg/returnleg/middleware"
)

// A video is one that can be on the shelf.
type video struct {
	ID, Title, Length string
	Picture           string // URL; "": a drawn one
	Chosen            bool
}

// Tone, SunX and SunY make one drawn picture differ from the next, and stay the same for a video.
func (v video) Tone() uint32 { return v.hash() % 6 }
func (v video) SunX() uint32 { return 70 + v.hash()/7%180 }
func (v video) SunY() uint32 { return 46 + v.hash()/1301%40 }

func (v video) hash() uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(v.ID)) // never fails
	return h.Sum32()
}

// houseVideos are for people whose provider has no videos.
var houseVideos = []video{
	{ID: "house-1", Title: "The Ferry at Low Water", Length: "18 min"},
	{ID: "house-2", Title: "Bread, from the Beginning", Length: "42 min"},
	{ID: "house-3", Title: "A Field Guide to Streetlights", Length: "26 min"},
	{ID: "house-4", Title: "Nine Bridges", Length: "1 h 31 min"},
	{ID: "house-5", Title: "My Grandmother’s Radio", Length: "12 min"},
	{ID: "house-6", Title: "Night Train, Window Seat", Length: "55 min"},
}

// errVideos is an answer of the API that is no list of videos.
var errVideos = errors.New("the API answered with something that is not a list of videos")

// offered returns the videos that the person of ctx can choose from.
func (s *service) offered(ctx context.Context) ([]video, error) {
	if s.videos == "" {
		return slices.Clone(houseVideos), nil
	}
	b, err := fetch(ctx, middleware.Client(ctx, s.Name), s.videos)
	if err != nil {
		return nil, err
	}
	var list struct {
		Data []struct {
			URI, Name string
			Duration  int
			Pictures  struct {
				Sizes []struct {
					Width int
					Link  string
				}
			}
		}
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, errVideos
	}
	var all []video
	for _, d := range list.Data {
		if d.URI == "" || d.Name == "" {
			continue
		}
		v := video{ID: path.Base(d.URI), Title: d.Name, Length: length(d.Duration)}
		for _, p := range d.Pictures.Sizes {
			if s.shows(p.Link) && (v.Picture == "" || p.Width <= 640) {
				v.Picture = p.Link
			}
		}
		all = append(all, v)
	}
	return all, nil
}

// shows reports whether a picture comes from where this service keeps pictures: the page's policy
// lets the browser load no others.
func (s *service) shows(picture string) bool {
	u, err := url.Parse(picture)
	return err == nil && s.pictures != "" && u.Scheme+"://"+u.Host == s.pictures
}

func length(seconds int) string {
	switch minutes := (seconds + 59) / 60; {
	case seconds <= 0:
		return ""
	case minutes < 60:
		return fmt.Sprintf("%d min", minutes)
	case minutes%60 == 0:
		return fmt.Sprintf("%d h", minutes/60)
	default:
		return fmt.Sprintf("%d h %d min", minutes/60, minutes%60)
	}
}

// showVideos is the page where videos are chosen.
func (a *app) showVideos(w http.ResponseWriter, r *http.Request) error {
	return a.videosForm(w, r, http.StatusOK, "")
}

func (a *app) videosForm(w http.ResponseWriter, r *http.Request, status int, wrong string) error {
	ctx := r.Context()
	acc, err := middleware.User(ctx)
	if err != nil {
		return err
	}
	p := a.people.find(acc.ID)
	if p.Library.Name == "" {
		http.Redirect(w, r, "/library", http.StatusSeeOther)
		return nil
	}
	s := a.signedInWith(ctx)
	all, err := s.offered(ctx)
	if err != nil {
		return a.apiTrouble(w, r, s, err)
	}
	for i := range all {
		all[i].Chosen = slices.ContainsFunc(p.Videos, func(v video) bool { return v.ID == all[i].ID })
	}
	pg := a.page(r, "Choose videos")
	data := struct {
		Person              person
		Videos              []video
		House               bool
		Hello, Label, Error string
	}{Person: p, Videos: all, House: s.videos == "", Hello: pg.GivenName(), Label: s.Label, Error: wrong}
	if data.House {
		// The catalogue is ours, but whom we greet is the provider's to say.
		if me, err := s.me(ctx); err == nil {
			if name, ok := me["name"].(string); ok && name != "" {
				data.Hello = name
			}
		}
	}
	pg.Data = data
	return a.pages.render(w, status, "videos", pg)
}

// saveVideos puts the chosen ones of the offered videos onto the shelf.
func (a *app) saveVideos(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	acc, err := middleware.User(ctx)
	if err != nil {
		return err
	}
	ids := r.PostForm["video"]
	if len(ids) == 0 {
		return a.videosForm(w, r, http.StatusUnprocessableEntity, "Choose at least one video.")
	}
	s := a.signedInWith(ctx)
	all, err := s.offered(ctx)
	if err != nil {
		return a.apiTrouble(w, r, s, err)
	}
	chosen := slices.DeleteFunc(all, func(v video) bool { return !slices.Contains(ids, v.ID) })
	if len(chosen) == 0 {
		return a.videosForm(w, r, http.StatusUnprocessableEntity, "These videos are not there any more. Choose again.")
	}
	a.people.change(acc.ID, func(p *person) {
		if p.Since.IsZero() {
			p.Since = a.people.now()
		}
		p.Videos = chosen
	})
	http.Redirect(w, r, "/done", http.StatusSeeOther)
	return nil
}

// showDone is the end of the story.
func (a *app) showDone(w http.ResponseWriter, r *http.Request) error {
	acc, err := middleware.User(r.Context())
	if err != nil {
		return err
	}
	p := a.people.find(acc.ID)
	if len(p.Videos) == 0 {
		http.Redirect(w, r, "/videos", http.StatusSeeOther)
		return nil
	}
	var chosen []string
	for _, h := range p.Library.Habits {
		chosen = append(chosen, label(habits, h))
	}
	pg := a.page(r, "Done")
	pg.Data = struct {
		Person   person
		Audience string
		Habits   []string
	}{p, label(audiences, p.Library.Audience), chosen}
	return a.pages.render(w, http.StatusOK, "done", pg)
}
