// Package coroutine lets sequential code run on a loop.
package coroutine
