//go:build !glib || !cgo

package main

import "log"

func main() {
	log.SetFlags(0)
	log.Fatal("glib: built without GLib: make glib, or go run -tags glib ./examples/glib, where libglib2.0-dev is installed")
}
