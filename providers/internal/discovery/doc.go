// Package discovery fetches what a provider publishes about itself, and keeps a copy.
//
// It promises that one request at a time fetches a document for all that wait, that a failure is not repeated at once, and
// that a copy is a day old at most; and that metadata is of the issuer that was asked, with endpoints that lead where its
// requests may go. Keys are read by package idtoken, which keeps them in a Document, too.
package discovery
