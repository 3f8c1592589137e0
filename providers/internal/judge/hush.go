package judge

import (
	"net/url"
	"strings"
)

const redacted = "[redacted]"

// Hush takes the secrets of a request from the refusal that answered it.
func (r *Refusal) Hush(secrets ...string) {
	r.Description, r.URI = without(r.Description, secrets...), without(r.URI, secrets...)
	for _, s := range secrets {
		r.Description, r.URI = cutEnd(r.Description, s), cutEnd(r.URI, s)
	}
	if without(r.Code, secrets...) != r.Code {
		r.Code = ""
	}
}

// without returns text from which values were taken that it may repeat: a provider likes to say what it did not like.
func without(text string, secrets ...string) string {
	for _, s := range secrets {
		if len(s) >= 4 {
			text = strings.ReplaceAll(text, s, redacted)
			text = strings.ReplaceAll(text, url.QueryEscape(s), redacted)
		}
	}
	return text
}

// cutEnd takes the beginning of secret from the end of text, which may have been cut there.
func cutEnd(text, secret string) string {
	for n := min(len(secret)-1, len(text)); n >= 4; n-- {
		if strings.HasSuffix(text, secret[:n]) {
			return text[:len(text)-n] + redacted
		}
	}
	return text
}
