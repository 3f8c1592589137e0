// Package frameworks has the programs of docs/frameworks.md as functions, which its tests run.
package frameworks
