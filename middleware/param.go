package middleware

import "github.com/returnleg/returnleg/internal/signin"

// Parameters of a start. All others are ignored: they are the provider's business, and nobody
// else's page may set them.
const (
	returnParam  = "return_to"
	needParam    = "need"
	purposeParam = "purpose"

	elsewhereParam = "elsewhere" // of a page that loaded itself again: another site had the link
)

// PageParam is the query parameter of a landing URL by which [Returned] finds what was saved. An
// app that sends the person on to a page of its own keeps it.
const PageParam = signin.PageParam

// Parameters of a link.
const (
	labelParam = "label"
	moveParam  = "move"
)

const (
	freshPath  = "/fresh" // below the prefix: loads itself again once, and goes on to a page
	againParam = "again"
)
