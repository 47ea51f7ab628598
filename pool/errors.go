//go:build linux

package pool

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// The errors of this package, for errors.Is.
var (
	// ErrCanceled is what Done gets if the job was cancelled before its Work began. It wraps
	// ECANCELED.
	ErrCanceled = fmt.Errorf("pool: the job was cancelled before it began: %w", unix.ECANCELED)

	// ErrUnderWay is returned by Submit for a job whose Done has not been called yet. It wraps
	// EBUSY.
	ErrUnderWay = fmt.Errorf("pool: the job is under way: submit it again when its Done is called: %w", unix.EBUSY)

	// ErrGoexit is what Done gets if Work has ended its goroutine, with runtime.Goexit or with
	// FailNow of a test.
	ErrGoexit = errors.New("pool: the work has ended its goroutine")
)

// PanicError is what the home goroutine panics with if Work has panicked.
type PanicError struct {
	Job   string // its name, or where its Work was written
	Value any    // what Work panicked with
	Stack []byte // of the worker, as debug.Stack returns it
}

// Error has the value and the stack, so that both are seen if nothing recovers.
func (e *PanicError) Error() string {
	return fmt.Sprintf("pool: job %s panicked: %v\n\n%s", e.Job, e.Value, e.Stack)
}

// Unwrap returns the value if it is an error, else nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
