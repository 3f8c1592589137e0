package main

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// An invitation is the form on the share page, finished or not. As JSON it is what the page saves
// before somebody leaves to allow more.
type invitation struct {
	To      string   `json:"to,omitempty"`
	Message string   `json:"message,omitempty"`
	Videos  []string `json:"videos,omitempty"` // ids
}

const (
	maxTo          = 120
	maxMessage     = 1000
	maxShared      = 50 // videos of an invitation
	maxInvitations = 20 // of a person: the oldest goes
)

// invitationOf reads the form of r. Text is kept as it was typed, so that a mistake can be shown and
// mended.
func invitationOf(r *http.Request) invitation {
	i := invitation{
		To:      strings.TrimSpace(r.PostFormValue("to")),
		Message: strings.TrimSpace(strings.ReplaceAll(r.PostFormValue("message"), "\r\n", "\n")),
	}
	for _, id := range r.PostForm["video"] {
		if len(id) <= 64 && len(i.Videos) < maxShared {
			i.Videos = append(i.Videos, id)
		}
	}
	return i
}

// from returns i without the videos that are not on the shelf.
func (i invitation) from(shelf []video) invitation {
	var there []string
	for _, v := range shelf {
		if i.Has(v.ID) {
			there = append(there, v.ID)
		}
	}
	i.Videos = there
	return i
}

// Has reports whether a video is ticked.
func (i invitation) Has(id string) bool { return slices.Contains(i.Videos, id) }

// still is draft.still for an invitation.
func (i invitation) still(notice string) string {
	return still(notice, i.To == "" && i.Message == "" && len(i.Videos) == 0)
}

// tooLong returns the mistakes that keep even a half-filled form from being saved.
func (i invitation) tooLong() mistakes {
	var m mistakes
	if utf8.RuneCountInString(i.To) > maxTo {
		m = append(m, mistake{"to", "The name is too long: 120 characters are enough for an envelope."})
	}
	if utf8.RuneCountInString(i.Message) > maxMessage {
		m = append(m, mistake{"message", "The message is too long: it may have 1,000 characters."})
	}
	return m
}

// mistakes returns everything that is wrong with a form that is meant to be finished.
func (i invitation) mistakes() mistakes {
	var m mistakes
	if i.To == "" {
		m = append(m, mistake{"to", "Say whom you invite."})
	}
	m = append(m, i.tooLong()...)
	if len(i.Videos) == 0 {
		m = append(m, mistake{"videos", "Choose at least one video to share."})
	}
	return m
}
