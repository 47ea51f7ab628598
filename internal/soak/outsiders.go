//go:build linux

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// outsider is a goroutine, not the home goroutine, that reads and writes files and waits, with patience
// or without.
func (g *disks) outsider(i int) {
	debt := g.newDebt("outsider %d of files", i)
	g.producer(func(r *rand.Rand) {
		var a *access
		g.do(debt.name, func() {
			if len(g.all) > 0 {
				a = g.all[r.IntN(len(g.all))].outside(r)
			}
		})
		if a == nil {
			return
		}
		debt.sent.Add(1)
		ctx, cancel := g.rep.ctx, context.CancelFunc(func() {})
		if a.early = r.IntN(3) == 0; a.early {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(r.IntN(300))*time.Microsecond)
		}
		n, err := a.call(ctx)
		cancel()
		g.do(debt.name, func() {
			if a.early && (errors.Is(err, context.DeadlineExceeded) || err == nil && n < len(a.buf)) {
				err = unix.ECANCELED
			}
			if !isClosed(err) { // else the File was closed before the call came
				a.judge(int64(n), false, err)
			}
			a.disk.finish(a)
			a.disk.goOn()
			debt.seen.Add(1)
		})
	})
}

// outside prepares a call of another goroutine, nil if there can be none now.
func (d *disk) outside(r *rand.Rand) *access {
	if d.closing || d.sits() {
		return nil
	}
	a := d.prepare(r, kind(r.IntN(2)))
	if a != nil {
		d.busy++
	}
	return a
}

func (a *access) call(ctx context.Context) (n int, err error) {
	at := a.file.At(ctx)
	if a.what == writing {
		return at.WriteAt(a.buf, a.request.Offset)
	}
	return at.ReadAt(a.buf, a.request.Offset)
}
