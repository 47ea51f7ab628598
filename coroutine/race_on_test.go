//go:build race

package coroutine_test

const raceEnabled = true
