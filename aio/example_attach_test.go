//go:build linux

package aio_test

import (
	"fmt"
	"log"

	"github.com/aioloop/aioloop/aio"
)

// words is what a package keeps for each loop.
type words struct{ all []string }

func (w *words) End() (left []string) { return nil }
func (w *words) Work() []string       { return w.all }

type wordsKey struct{}

// A package finds what it keeps for a loop with the loop alone, and learns of the loop's end.
func ExampleAttachment() {
	loop, err := aio.New()
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	for _, word := range []string{"one", "two"} {
		a, err := loop.Attach(wordsKey{}, func() (aio.Attachment, error) { return new(words), nil })
		if err != nil {
			log.Fatal(err)
		}
		w := a.(*words)
		w.all = append(w.all, word)
		fmt.Println(w.all)
	}
	// Output:
	// [one]
	// [one two]
}
