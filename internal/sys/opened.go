package sys

import (
	"fmt"
	"os"
	"strings"
)

// What a descriptor is, as the link in /proc/self/fd shows it.
const (
	KindEventfd   = "[eventfd]"
	KindEventpoll = "[eventpoll]"
	KindIOUring   = "[io_uring]"
	KindSignalfd  = "[signalfd]"
	KindTimerfd   = "[timerfd]"
)

// onOpened is nil outside tests.
var onOpened func(fd int, kind string)

// OnOpened makes f be called, on the goroutine that opened it, for each descriptor
// that the library opens. Only package internal/leak calls it, before the first
// test.
func OnOpened(f func(fd int, kind string)) { onOpened = f }

// Opened tells the function of OnOpened, if there is one. Every place of the
// library that opens a descriptor calls it.
func Opened(fd int, kind string) {
	if f := onOpened; f != nil {
		f(fd, kind)
	}
}

// OpenedDuplicate is Opened for a duplicate of a descriptor of any kind.
func OpenedDuplicate(fd int) {
	if onOpened != nil {
		link, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		Opened(fd, strings.TrimPrefix(link, "anon_inode:"))
	}
}
